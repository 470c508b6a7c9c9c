from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from convnet.models.backbones import (
    build_compact,
    build_source_classifier,
    cut,
    find_layer,
    layer_table,
    load_backbone,
    unfreeze_from,
)
from convnet.models.cnn import build_cnn, build_head
from convnet.models.heads import choose_head, encode_labels
from convnet.models.transfer import build_transfer, weights_digest, with_augmentation, without_training
from convnet.params.backbone import Backbone
from convnet.params.load import load_params
from convnet.params.recipe import smallest_image
from convnet.params.training import Augmentation, Fit, Network
from convnet.system.errors import UserError
from convnet.training.optimizers import compile_model
from helpers import tiny_study as tiny

tiny.start_keras()

PARAMS = load_params(tiny.PROJECT / "params.yaml")
SIGMOID = choose_head(2, "sparse")


@pytest.fixture(autouse=True)
def _same_weights_every_time() -> None:
    keras.utils.set_random_seed(0)


def value(variable: keras.Variable) -> NDArray[Any]:
    return np.asarray(keras.ops.convert_to_numpy(variable)).copy()


def pixels(images: int, side: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (images, side, side, 3)).astype(np.uint8)


def randomise(model: keras.Model) -> None:
    """Give every variable a value of its own, batch normalisation's statistics included, so that none goes unseen."""
    generator = np.random.default_rng(0)
    for variable in model.variables:
        variable.assign(generator.uniform(0.2, 0.8, variable.shape) * (1 if len(variable.shape) == 1 else 0.4) - 0.1)


@pytest.fixture
def source_file(tmp_path: Path) -> Path:
    """A compact backbone as the backbone stage leaves it."""
    model = build_source_classifier((16, 16), (4, 8), classes=5)
    randomise(model)
    model.save(tmp_path / "source.keras")
    return tmp_path / "source.keras"


@pytest.mark.parametrize(
    ("filters", "dense", "classes", "parameters"),
    [
        ((16, 32, 64), 512, 2, 9_494_561),  # the course's cats vs dogs notebook
        ((32, 64, 128, 128), 512, 2, 3_453_121),  # its larger network
    ],
)
def test_parameters_of_the_courses_networks(
    filters: tuple[int, ...], dense: int, classes: int, parameters: int
) -> None:
    model = build_cnn((150, 150), Network(filters=filters, dense=dense), 0.0, choose_head(classes, "sparse"))
    assert model.count_params() == parameters
    assert model.output_shape == (None, 1)


def test_layers_of_the_cnn_have_names_and_the_shapes_of_the_course() -> None:
    model = build_cnn((150, 150), Network(filters=(16, 32, 64), dense=512), 0.5, choose_head(3, "sparse"))
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers}
    assert list(shapes) == [
        *("pixels", "rescale", "conv1", "pool1", "conv2", "pool2", "conv3", "pool3"),
        *("flatten", "dense", "dropout", "output"),
    ]
    assert shapes["conv1"] == (148, 148, 16)
    assert shapes["pool3"] == (17, 17, 64)
    assert shapes["flatten"] == (18_496,)
    assert shapes["output"] == (3,)
    assert model.get_layer("output").activation is keras.activations.softmax


def test_dropout_of_nought_is_no_layer() -> None:
    model = build_cnn((16, 16), Network(filters=(4,), dense=8), 0.0, SIGMOID)
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in model.layers)


@pytest.mark.parametrize("filters", [(4,), (4, 4), (4, 4, 4), (4, 4, 4, 4)])
def test_smallest_image_leaves_one_pixel_and_one_less_leaves_none(filters: tuple[int, ...]) -> None:
    network = Network(filters=filters, dense=8)
    side = smallest_image(network)
    model = build_cnn((side, side), network, 0.0, SIGMOID)
    assert model.get_layer(f"pool{len(filters)}").output.shape[1:3] == (1, 1)
    with pytest.raises(ValueError, match=r"[Nn]egative|output shape|smaller"):
        build_cnn((side - 1, side), network, 0.0, SIGMOID)


def test_pixels_are_rescaled_inside_the_model() -> None:
    model = build_cnn((8, 8), Network(filters=(4,), dense=8), 0.0, SIGMOID)
    rescaled = keras.Model(model.input, model.get_layer("rescale").output)
    images = pixels(2, 8)
    assert np.allclose(rescaled.predict_on_batch(images), images / 255, atol=1e-7)


def test_augmented_model_shares_the_weights_and_predicts_the_same() -> None:
    classifier = build_cnn((16, 16), Network(filters=(4,), dense=8), 0.5, SIGMOID)
    outer = with_augmentation(classifier, PARAMS.augmentation, seed=0)
    assert [id(v) for v in outer.trainable_variables] == [id(v) for v in classifier.trainable_variables]
    images = pixels(4, 16)
    assert np.array_equal(outer.predict_on_batch(images), classifier.predict_on_batch(images))


@pytest.mark.parametrize(("classes", "labels"), [(2, "sparse"), (3, "sparse"), (3, "one_hot")])
def test_loss_and_accuracy_are_those_of_sklearn(classes: int, labels: Any) -> None:
    head = choose_head(classes, labels)
    model = build_head(6, 5, 0.0, head)
    compile_model(model, PARAMS.training, head)
    features = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
    truth = np.arange(30, dtype=np.int64) % classes
    measured = model.evaluate(features, encode_labels(truth, head), batch_size=7, verbose=0, return_dict=True)
    outputs = model.predict_on_batch(features).astype(np.float64)
    probabilities = np.concatenate([1 - outputs, outputs], axis=1) if classes == 2 else outputs
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    assert measured["loss"] == pytest.approx(log_loss(truth, probabilities), rel=1e-5)
    assert measured["accuracy"] == pytest.approx(np.mean(probabilities.argmax(axis=1) == truth))


@pytest.mark.parametrize(("name", "kind"), [("rmsprop", "RMSprop"), ("adam", "Adam"), ("sgd", "SGD")])
def test_optimizer_is_the_one_named(name: Any, kind: str) -> None:
    model = build_head(4, 3, 0.0, SIGMOID)
    fit = PARAMS.training.model_copy(update={"optimizer": name, "learning_rate": 0.0125})
    compile_model(model, fit, SIGMOID)
    assert isinstance(model.optimizer, getattr(keras.optimizers, kind))
    assert float(model.optimizer.learning_rate) == pytest.approx(0.0125)


def test_compact_backbone_takes_pixels_between_minus_one_and_one() -> None:
    model = build_source_classifier((16, 16), (4, 8), classes=5)
    images = pixels(3, 16)
    inner = model.get_layer("backbone").predict_on_batch(images.astype(np.float32) / 127.5 - 1)
    assert np.allclose(model.predict_on_batch(images), inner, atol=1e-6)
    assert inner.shape == (3, 5)


def test_compact_backbone_comes_back_for_another_image_size(source_file: Path) -> None:
    source = keras.saving.load_model(source_file).get_layer("backbone")
    backbone = load_backbone("compact", PARAMS.backbones["compact"], source_file, (24, 20))
    assert backbone.input_shape == (None, 24, 20, 3)
    assert [v.name for v in backbone.variables] == [v.name for v in source.variables]
    for one, other in zip(backbone.variables, source.variables, strict=True):
        assert np.array_equal(value(one), value(other))
    scaled = pixels(2, 16).astype(np.float32) / 127.5 - 1
    same = load_backbone("compact", PARAMS.backbones["compact"], source_file, (16, 16))
    assert np.allclose(same.predict_on_batch(scaled), source.predict_on_batch(scaled), atol=1e-6)


def test_loaded_backbone_is_frozen(source_file: Path) -> None:
    backbone = load_backbone("compact", PARAMS.backbones["compact"], source_file, (16, 16))
    assert backbone.trainable_variables == []
    assert len(backbone.non_trainable_variables) == len(backbone.variables) > 0


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 cut short"])
@pytest.mark.parametrize("name", ["compact", "mobilenet_v2"])
def test_file_that_holds_no_weights_is_one_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / ("source.keras" if name == "compact" else "weights.h5")
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"backbone {name}: .* does not fit .*check backbones.{name} in params.yaml"):
        load_backbone(name, PARAMS.backbones[name], path, (32, 32))


def test_weights_of_another_model_are_one_sentence(tmp_path: Path) -> None:
    build_cnn((16, 16), Network(filters=(4,), dense=8), 0.0, SIGMOID).save(tmp_path / "other.keras")
    with pytest.raises(UserError, match=r"backbone compact: other\.keras does not fit compact"):
        load_backbone("compact", PARAMS.backbones["compact"], tmp_path / "other.keras", (16, 16))


def test_width_and_weight_file_of_mobilenet_are_the_users_choice(tmp_path: Path) -> None:
    wide = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3), alpha=0.5)
    with h5py.File(tmp_path / "wide.h5", "w") as file:  # the format of the published files
        save_weights_to_hdf5_group(file, wide)
    settings = PARAMS.backbones["mobilenet_v2"].model_copy(update={"alpha": 0.5})
    loaded = load_backbone("mobilenet_v2", settings, tmp_path / "wide.h5", (32, 32))
    assert loaded.count_params() == wide.count_params()
    assert weights_digest(loaded) == weights_digest(wide)
    narrow = settings.model_copy(update={"alpha": 0.35})
    with pytest.raises(UserError, match=r"wide\.h5 does not fit MobileNetV2 .*check backbones\.mobilenet_v2"):
        load_backbone("mobilenet_v2", narrow, tmp_path / "wide.h5", (32, 32))


def test_cut_ends_at_the_layer_and_is_frozen() -> None:
    whole = build_compact((16, 16), (4, 8), 5)
    shortened = cut(whole, "block1_pool", "backbones.compact.last_layer")
    assert shortened.name == "backbone"
    assert shortened.layers[-1].name == "block1_pool"
    assert shortened.output_shape == (None, 8, 8, 4)
    assert shortened.trainable_variables == []


def test_cut_at_a_wrong_name_gives_the_nearest() -> None:
    whole = build_compact((16, 16), (4, 8), 5)
    with pytest.raises(UserError) as error:
        cut(whole, "blok2_pol", "backbones.compact.last_layer")
    assert str(error.value).startswith("backbones.compact.last_layer is 'blok2_pol', but the network has no such layer")
    assert "block2_pool" in str(error.value)


def test_name_unlike_any_layer_gives_the_last_ones() -> None:
    with pytest.raises(UserError, match="nearest: block2_pool, mean, source"):
        find_layer(build_compact((16, 16), (4, 8), 5), "###", "key")


@pytest.mark.parametrize("pooling", ["flatten", "average"])
def test_transfer_model_is_rescaling_backbone_pooling_and_head(source_file: Path, pooling: str) -> None:
    backbone = cut(load_backbone("compact", PARAMS.backbones["compact"], source_file, (16, 16)), "block2_pool", "key")
    head = build_head(8 if pooling == "average" else 4 * 4 * 8, 6, 0.2, SIGMOID)
    model = build_transfer(backbone, (-1.0, 1.0), pooling, head)
    images = pixels(3, 16)
    maps = backbone.predict_on_batch(images.astype(np.float32) / 127.5 - 1)
    features = maps.mean(axis=(1, 2)) if pooling == "average" else maps.reshape(3, -1)
    assert np.allclose(model.predict_on_batch(images), head.predict_on_batch(features), atol=1e-5)
    assert [id(v) for v in model.trainable_variables] == [id(v) for v in head.trainable_variables]


def test_range_of_the_backbone_decides_the_rescaling() -> None:
    backbone = cut(build_compact((8, 8), (4,), 2), "scaled", "key")
    head = build_head(192, 2, 0.0, SIGMOID)
    model = build_transfer(backbone, (0.0, 2.0), "flatten", head)
    rescaled = keras.Model(model.input, model.get_layer("rescale").output)
    assert np.allclose(rescaled.predict_on_batch(pixels(1, 8)), pixels(1, 8) / 127.5, atol=1e-6)


def trained_variables(model: keras.Model, fit: Fit) -> set[str]:
    """Train for two steps and return the paths of the variables whose value has changed."""
    before = {variable.path: value(variable) for variable in model.variables}
    compile_model(model, fit, SIGMOID)
    model.run_eagerly = True  # quicker than tracing, for two steps
    targets = encode_labels(np.arange(8, dtype=np.int64) % 2, SIGMOID)
    model.fit(pixels(8, 16), targets, batch_size=4, verbose=0)
    states = {v.path for v in model.variables if v.name == "seed_generator_state"}
    return {v.path for v in model.variables if not np.array_equal(before[v.path], value(v))} - states


def transfer_model(source_file: Path) -> keras.Model:
    backbone = cut(load_backbone("compact", PARAMS.backbones["compact"], source_file, (16, 16)), "block2_pool", "key")
    return build_transfer(backbone, (-1.0, 1.0), "average", build_head(8, 6, 0.2, SIGMOID))


FIT = PARAMS.training.model_copy(update={"learning_rate": 0.01})


def test_training_end_to_end_changes_exactly_the_head(source_file: Path) -> None:
    model = transfer_model(source_file)
    head = {v.path for v in model.get_layer("head").trainable_variables}
    assert len(head) == 4
    assert trained_variables(model, FIT) == head


def test_fine_tuning_changes_the_head_and_the_named_layers_but_no_statistics(source_file: Path) -> None:
    model = transfer_model(source_file)
    assert unfreeze_from(model, "block2_conv", "fine_tune.trainable_from") == ["block2_conv"]
    changed = trained_variables(model, FIT)
    head = {v.path for v in model.get_layer("head").trainable_variables}
    assert changed == head | {v.path for v in model.get_layer("backbone").get_layer("block2_conv").variables}


@pytest.mark.parametrize(
    ("first", "layers"),
    [
        ("block1_conv", ["block1_conv", "block2_conv", "block3_conv"]),
        ("block1_pool", ["block2_conv", "block3_conv"]),
        ("block2_norm", ["block3_conv"]),
        ("block3_pool", []),
    ],
)
def test_unfreezing_begins_exactly_there_and_leaves_batch_normalisation_out(first: str, layers: list[str]) -> None:
    backbone = cut(build_compact((16, 16), (4, 4, 4), 5), "block3_pool", "key")
    model = build_transfer(backbone, (-1.0, 1.0), "average", build_head(4, 3, 0.0, SIGMOID))
    assert unfreeze_from(model, first, "key") == layers
    expected = [v.path for name in layers for v in backbone.get_layer(name).variables]
    assert [v.path for v in backbone.trainable_variables] == expected


def test_unfreezing_holds_for_a_saved_model(source_file: Path, tmp_path: Path) -> None:
    transfer_model(source_file).save(tmp_path / "transfer.keras")
    model = keras.saving.load_model(tmp_path / "transfer.keras", compile=False)
    assert unfreeze_from(model, "block2_conv", "key") == ["block2_conv"]
    head = {v.path for v in model.get_layer("head").trainable_variables}
    assert trained_variables(model, FIT) == head | {"block2_conv/kernel"}


def test_unfreezing_from_a_layer_beyond_the_cut_gives_the_nearest(source_file: Path) -> None:
    with pytest.raises(UserError, match=r"fine_tune\.trainable_from is 'block3_conv'.*block2_conv"):
        unfreeze_from(transfer_model(source_file), "block3_conv", "fine_tune.trainable_from")


def test_saved_without_training_predicts_the_same_and_is_smaller(tmp_path: Path) -> None:
    model = build_cnn((16, 16), Network(filters=(4,), dense=64), 0.5, SIGMOID)
    assert trained_variables(model, FIT)
    bare = without_training(model)
    assert np.array_equal(bare.predict_on_batch(pixels(2, 16)), model.predict_on_batch(pixels(2, 16)))
    assert weights_digest(bare) == weights_digest(model)
    for name, kept in {"bare": bare, "whole": model}.items():
        kept.save(tmp_path / f"{name}.keras")
    assert (tmp_path / "bare.keras").stat().st_size < 0.7 * (tmp_path / "whole.keras").stat().st_size


def test_digest_of_weights_sees_one_changed_bit_and_survives_saving(tmp_path: Path) -> None:
    model = build_cnn((8, 8), Network(filters=(4,), dense=8), 0.0, SIGMOID)
    before = weights_digest(model)
    model.save(tmp_path / "model.keras")
    assert weights_digest(keras.saving.load_model(tmp_path / "model.keras")) == before
    bias = model.get_layer("dense").bias
    bias.assign(np.nextafter(value(bias), np.float32(1)))
    assert weights_digest(model) != before


def test_layer_table_tells_types_shapes_parameters_and_the_cut() -> None:
    rows = layer_table(build_compact((16, 16), (4, 8), 5), "block1_pool")
    by_name = {row["name"]: row for row in rows}
    assert by_name["block1_conv"]["parameters"] == 3 * 3 * 3 * 4
    assert by_name["block1_pool"]["output_shape"] == [8, 8, 4]
    assert by_name["block2_norm"]["type"] == "BatchNormalization"
    assert [row["name"] for row in rows if row["cut"]] == ["block1_pool"]
    assert [row["name"] for row in rows if not row["used"]] == [row["name"] for row in rows][5:]


KNOBS = Augmentation(
    rotation=0.0, width_shift=0.0, height_shift=0.0, shear=0.0, zoom=0.0,
    horizontal_flip=True, vertical_flip=False, fill="nearest",
)  # fmt: skip


def test_augmentation_is_no_part_of_the_saved_classifier(tmp_path: Path) -> None:
    classifier = build_cnn((8, 8), Network(filters=(4,), dense=8), 0.0, SIGMOID)
    with_augmentation(classifier, KNOBS, seed=0)
    classifier.save(tmp_path / "model.keras")
    saved = keras.saving.load_model(tmp_path / "model.keras")
    assert [layer.name for layer in saved.layers] == [layer.name for layer in classifier.layers]


@pytest.fixture(scope="module")
def weights(convnet_data: Path) -> Path:
    folder = convnet_data.parent / "weights"
    if not folder.is_dir():
        pytest.skip(f"no folder of backbone weights beside {convnet_data}")
    return folder


REAL: dict[str, tuple[str, tuple[int, int], tuple[int, int, int]]] = {
    "inception_v3": ("inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5", (150, 150), (7, 7, 768)),
    "mobilenet_v2": ("mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5", (96, 96), (6, 6, 192)),
}


@pytest.mark.parametrize("name", REAL)
def test_real_weights_load_and_are_cut_where_the_course_cuts(weights: Path, name: str) -> None:
    file, image_size, shape = REAL[name]
    settings: Backbone = PARAMS.backbones[name]
    whole = load_backbone(name, settings, weights / file, image_size)
    shortened = cut(whole, settings.last_layer, f"backbones.{name}.last_layer")
    assert shortened.output_shape == (None, *shape)
    for layer in settings.explain_layers:
        find_layer(shortened, layer, "key")
    find_layer(shortened, settings.trainable_from, "key")
    maps = shortened.predict_on_batch(pixels(2, image_size[0]).astype(np.float32) / 127.5 - 1)
    assert np.isfinite(maps).all()
    assert maps.std() > 0


def test_real_weights_of_another_architecture_are_one_sentence(weights: Path) -> None:
    file = weights / REAL["mobilenet_v2"][0]
    with pytest.raises(UserError, match="does not fit InceptionV3"):
        load_backbone("inception_v3", PARAMS.backbones["inception_v3"], file, (75, 75))
