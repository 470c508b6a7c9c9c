"""The committed table of keras.applications is what Keras does, and networks built by it see images as Keras' own."""

import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

from convnet.models.applications import as_published
from convnet.models.backbones import cut, load_backbone, rescale, shared_layers
from convnet.params.applications import TABLE, applications, architectures
from convnet.params.backbone import Backbone
from convnet.system.errors import UserError
from helpers import tiny_study as tiny

tiny.start_keras()


def backbone_of(name: str) -> Backbone:
    return Backbone.model_validate({"architecture": name})


def random_file(path: Path, name: str, side: int) -> Path:
    """Write random weights of a network in the format of the published files."""
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(side, side, 3))
    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, model)
    return path


def test_table_knows_the_names_of_keras() -> None:
    assert architectures() == [name for name in dir(keras.applications) if name[0].isupper()]


@pytest.mark.slow  # builds the graphs of all networks, without weights
def test_table_is_what_keras_records_for_every_name() -> None:
    from bench.correctness.applications import as_csv, names, record

    recorded = as_csv([row for name in names() for row in record(name)])
    assert recorded == TABLE.read_text("utf-8")


@pytest.mark.parametrize("name", ["InceptionV3", "MobileNetV2", "VGG16", "MobileNetV3Small"])
def test_row_is_what_keras_records(name: str) -> None:
    from bench.correctness.applications import as_csv, record

    lines = TABLE.read_text("utf-8").splitlines()
    assert as_csv(record(name)).splitlines()[1:] == [line for line in lines if line.startswith(f"{name},")]


def test_default_cuts_are_those_of_the_course_and_of_mobilenet() -> None:
    assert backbone_of("InceptionV3").last_layer == "mixed7"
    assert backbone_of("MobileNetV2").last_layer == "block_13_expand_relu"


@pytest.mark.parametrize("name", architectures())
def test_scaling_is_that_of_preprocess_input(name: str) -> None:
    images = np.random.default_rng(0).uniform(0, 255, (2, 5, 4, 3))
    expected = sys.modules[getattr(keras.applications, name).__module__].preprocess_input(images.copy())
    backbone = backbone_of(name)
    low, high = (np.array(level) for level in backbone.input_range)
    scaled = images * ((high - low) / 255) + low
    order = slice(None, None, -1) if backbone.channels == "bgr" else slice(None)
    assert np.allclose(scaled[..., order], expected, rtol=0, atol=1e-6)
    layer = keras.ops.convert_to_numpy(rescale(backbone.input_range)(images.astype(np.float32)))
    assert np.allclose(layer[..., order], expected, rtol=1e-6, atol=1e-5)


def test_network_trained_on_bgr_sees_rgb_as_keras_meant_it(tmp_path: Path) -> None:
    path = random_file(tmp_path / "resnet.h5", "ResNet50", 32)
    published = as_published("ResNet50", None, (32, 32), lambda *_, **__: str(path))
    ours = load_backbone("ResNet50", backbone_of("ResNet50"), path, (32, 32))
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    expected = published.predict_on_batch(keras.applications.resnet50.preprocess_input(images.copy()))
    seen = rescale(backbone_of("ResNet50").input_range)(images)
    assert np.allclose(ours.predict_on_batch(keras.ops.convert_to_numpy(seen)), expected, rtol=1e-3, atol=1e-4)


def test_first_efficientnets_keep_the_layer_that_only_published_weights_have(tmp_path: Path) -> None:
    path = random_file(tmp_path / "b0.h5", "EfficientNetB0", 32)
    ours = load_backbone("EfficientNetB0", backbone_of("EfficientNetB0"), path, (32, 32))
    assert sum(isinstance(layer, keras.layers.Rescaling) for layer in ours.layers) == 2


def test_names_of_layers_do_not_depend_on_networks_built_before(tmp_path: Path) -> None:
    path = random_file(tmp_path / "v3.h5", "MobileNetV3Small", 32)
    built = [load_backbone("x", backbone_of("MobileNetV3Small"), path, (32, 32)) for _ in range(2)]
    names = [[operation.name for operation in model.operations[1:]] for model in built]
    assert names[0] == names[1]
    assert backbone_of("MobileNetV3Small").last_layer in names[0]


def test_shared_layers_are_those_that_no_path_goes_around() -> None:
    inputs = keras.Input((8, 8, 3), name="in")
    one = keras.layers.Conv2D(2, 1, name="one")(inputs)
    left = keras.layers.Conv2D(2, 1, name="left")(one)
    joined = keras.layers.Add(name="joined")([left, one])
    last = keras.layers.Conv2D(2, 1, name="last")(joined)
    assert [layer.name for layer in shared_layers(keras.Model(inputs, last))] == ["in", "one", "joined", "last"]


def test_cut_behind_zeros_is_refused_and_names_the_last_layer_before(tmp_path: Path) -> None:
    path = random_file(tmp_path / "v2.h5", "MobileNetV2", 32)
    model = load_backbone("x", backbone_of("MobileNetV2"), path, (32, 32))
    layer = model.get_layer("block_13_project")
    layer.set_weights([np.zeros_like(value) for value in layer.get_weights()])
    assert cut(model, "block_13_expand_relu", "key").output_shape[-1] == 576
    with pytest.raises(UserError, match=r"key is 'out_relu', but the weights of block_13_project .*are all zero.*"
                                        r"choose block_13_depthwise_relu or"):  # fmt: skip
        cut(model, "out_relu", "key")


def test_every_default_names_layers_up_to_the_cut() -> None:
    for name, settings in applications().items():
        assert settings["explain_layers"][-1] == settings["last_layer"], name
