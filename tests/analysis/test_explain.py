"""Figures of the networks of a tiny study, and their parts on networks whose weights are known."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from numpy.typing import NDArray
from PIL import Image

from convnet.analysis import kept_figures, network_drawing
from convnet.analysis.augmented_draws import draw_augmented, draw_knobs
from convnet.analysis.example_images import choose_cases, choose_evenly
from convnet.analysis.explain import explain_dataset
from convnet.analysis.feature_maps import feature_maps, mapped_layers
from convnet.analysis.first_filters import first_filters
from convnet.analysis.grad_cam import grad_cam
from convnet.analysis.networks import FROZEN, load_network, plan_networks
from convnet.backend.gradients import gradients
from convnet.data.arrays import load_arrays
from convnet.jobs import store
from convnet.jobs.predictions import Prediction, Predictions, save_predictions
from convnet.models.backbones import build_compact, cut
from convnet.models.cnn import build_cnn, build_head
from convnet.models.heads import choose_head
from convnet.models.transfer import build_transfer
from convnet.params.schema import Params
from convnet.params.training import Augmentation, Network
from convnet.report.charts.feature_maps import standardise, tile_channels
from convnet.system.errors import UserError
from convnet.system.files import file_digest, read_json, write_json
from helpers.tiny_study import COUNTS, IMAGE_SIZE, params, run_stage, start_keras, write_arrays

start_keras()

FILTERS = (4, 40)  # the second layer has more channels than are shown
DEAD = 3
CLASSES = ["a $class^ of long name", "<b>"]
HEAD = choose_head(2, "sparse")
VARIANTS = ("baseline", "augmented", "transfer", "transfer_dropout", "fine_tune")
CHANGES = {
    "run.pixel_variants": ["baseline", "augmented"],
    "run.feature_variants": ["transfer", "transfer_dropout"],
    "run.fine_tune_variants": ["fine_tune"],
    "backbones.compact.explain_layers": ["block1_relu", "block2_relu", "block3_relu"],
    "robustness.images_per_split": 0,
    "explain.images": 4,
    "explain.draws": 3,
    "explain.channels": 20,
}


@dataclass(frozen=True)
class Study:
    """A folder with params.yaml, arrays, models, and what explaining them wrote."""

    folder: Path
    params: Params

    def explain(self, destination: str = "out") -> Path:
        path = self.folder / destination
        explain_dataset(self.params, "tiny", self.folder / "arrays", self.folder / "models", path)
        return path


def make_cnn() -> keras.Model:
    """Return the course's CNN, three of whose second layer's channels are dead."""
    model = build_cnn(IMAGE_SIZE, Network(filters=FILTERS, dense=8), 0.0, HEAD)
    kernel, bias = (np.array(value) for value in model.get_layer("conv2").get_weights())
    kernel[..., :DEAD], bias[:DEAD] = 0.0, -1.0
    model.get_layer("conv2").set_weights([kernel, bias])
    return model


def make_transfer() -> keras.Model:
    backbone = cut(build_compact(IMAGE_SIZE, (4, 8), 3), "block2_pool", "last_layer")
    return build_transfer(backbone, (-1.0, 1.0), "flatten", build_head(4 * 4 * 8, 16, 0.0, HEAD))


def make_predictions(seed: int, resplit: bool) -> Predictions:
    """Return predictions that are wrong on every third image, or pair of images where `seed` is odd.

    Four cases then hold every combination of right and wrong. `resplit` mixes the rows of all splits.
    """
    order = np.random.default_rng([7]).permutation(sum(COUNTS.values())) if resplit else None
    predictions, start = {}, 0
    for split, count in COUNTS.items():
        index = np.arange(count) if order is None else np.sort(order[start : start + count])
        starts = np.cumsum([0, *COUNTS.values()])
        labels = (index if order is None else index - starts[np.searchsorted(starts, index, side="right") - 1]) % 2
        said = np.where(np.arange(count) // (1 + seed % 2) % 3 == 0, 1 - labels, labels)
        predictions[split] = Prediction((np.eye(2)[said] * 0.8 + 0.1).astype(np.float32), labels, index)
        start += count
    return predictions


def make_study(folder: Path, changes: dict[str, Any]) -> Study:
    settings = params(folder, {**CHANGES, **changes})
    write_arrays(folder / "arrays")
    described = read_json(folder / "arrays" / "dataset.json") | {"classes": CLASSES}
    (folder / "arrays" / "dataset.json").write_text(json.dumps(described))
    keras.utils.set_random_seed(0)
    transfer = make_transfer()
    for number, variant in enumerate(settings.run.variants):
        place = folder / "models" / variant
        place.mkdir(parents=True)
        model = make_transfer() if variant == "fine_tune" else transfer if "transfer" in variant else make_cnn()
        model.save(place / "seed-0.keras")
        run = {"seed": 0, "model_sha256": file_digest(place / "seed-0.keras")}
        job = {"dataset": "tiny", "variant": variant, "classes": CLASSES, "threads": 1, "seeds": [run]}
        write_json(place / "job.json", job | {"recipe": {"image_size": IMAGE_SIZE}})
        save_predictions(place / "predictions.npz", {0: make_predictions(number, settings.run.own_splits)})
    return Study(folder, settings)


@pytest.fixture(scope="module", autouse=True)
def own_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (kept_figures, store):
            patch.setattr(module, "STORE", tmp_path_factory.mktemp("store"))
        yield


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_study(tmp_path_factory.mktemp("study"), {})


@pytest.fixture(scope="module")
def out(study: Study) -> Path:
    return study.explain()


@pytest.fixture(scope="module")
def entries(out: Path) -> dict[str, dict[str, Any]]:
    """The list of images, by file."""
    return {entry["file"]: entry for entry in read_json(out / "figures.json")}


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (2, *IMAGE_SIZE, 3)).astype(np.uint8)


# What is written


def test_the_list_names_every_figure_once_in_the_order_of_the_page(out: Path) -> None:
    listed = read_json(out / "figures.json")
    assert [entry["file"] for entry in listed] == [
        "plots/augmentation.png",
        "knobs.png",
        "filters_baseline.png",
        "filters_the_frozen_backbone.png",
        "plots/feature_maps_baseline.png",
        "plots/feature_maps_augmented.png",
        "plots/feature_maps_the_frozen_backbone.png",
        "plots/feature_maps_fine_tune.png",
        "grad_cam_baseline.png",
        "grad_cam_transfer.png",
        "cuts.png",
    ]
    drawn = {path.relative_to(out).as_posix() for path in out.rglob("*.png")}
    assert {name for name in drawn if not name.startswith("feature_maps/")} == {entry["file"] for entry in listed}
    for entry in listed:
        assert set(entry) == {"section", "title", "file", "alt", "caption", "table"}
        assert entry["section"]
        assert entry["alt"].endswith(".")
        assert "tiny, rendered images" in entry["title"]
        with Image.open(out / entry["file"]) as picture:
            assert picture.width == 1000
            assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 50  # something is drawn


def test_the_stage_in_a_process_of_its_own_writes_the_same_bytes(study: Study, out: Path) -> None:
    done = run_stage(study.folder, "look", "--dataset", "tiny", "arrays", "models", "again", "again.json")
    assert done.returncode == 0, done.stderr
    assert all(line.startswith(("explain tiny: ", "robustness of ")) for line in done.stderr.splitlines()), (
        done.stderr
    )  # progress only
    again = study.folder / "again"
    files = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    assert sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file()) == files
    for path in files:
        assert (again / path).read_bytes() == (out / path).read_bytes(), path


def test_a_damaged_model_is_said_in_one_sentence(study: Study, tmp_path: Path) -> None:
    models = shutil.copytree(study.folder / "models", tmp_path / "models")
    (models / "augmented" / "seed-0.keras").write_bytes(b"not a model")
    with pytest.raises(UserError, match=r"augmented/seed-0\.keras is refused: it is a text file"):
        explain_dataset(study.params, "tiny", study.folder / "arrays", models, tmp_path / "out")


def drawn_again(study: Study, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch, place: Path) -> list[str]:
    """Return the variants whose network is loaded when a study with changed settings is explained."""
    loaded: list[str] = []

    def load(path: Path) -> keras.Model:
        loaded.append(path.parent.name)
        return load_network(path)

    monkeypatch.setattr(network_drawing, "load_network", load)
    settings = params(place, {**CHANGES, **changes})
    explain_dataset(settings, "tiny", study.folder / "arrays", study.folder / "models", place / "out")
    return loaded


@pytest.mark.usefixtures("out")  # drawn once before
def test_only_the_network_of_a_changed_variant_is_drawn_again(
    study: Study, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert drawn_again(study, {}, monkeypatch, tmp_path / "same") == []
    files = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    again = tmp_path / "same" / "out"
    assert {path.relative_to(again): path.read_bytes() for path in again.rglob("*") if path.is_file()} == files
    copied = dataclasses.replace(study, folder=tmp_path / "other")
    shutil.copytree(study.folder, copied.folder)
    place = copied.folder / "models" / "augmented"
    model = make_cnn()
    model.save(place / "seed-0.keras")
    job = read_json(place / "job.json")
    job["seeds"][0]["model_sha256"] = file_digest(place / "seed-0.keras")
    write_json(place / "job.json", job)
    assert drawn_again(copied, {}, monkeypatch, tmp_path / "one") == ["augmented"]
    assert drawn_again(study, {"explain.channels": 2}, monkeypatch, tmp_path / "all") == [
        "baseline", "augmented", "transfer", "fine_tune",
    ]  # fmt: skip


# Which networks and images


def test_a_frozen_backbone_is_shown_once_for_all_variants_that_share_it(study: Study) -> None:
    planned = {network.name: network for network in plan_networks(study.params, "tiny")}
    assert list(planned) == ["baseline", "augmented", FROZEN, "fine_tune"]
    assert planned[FROZEN].shared_by == ("transfer", "transfer_dropout")
    assert [network.variant for network in planned.values() if network.example] == ["baseline", "transfer"]


def test_a_run_without_transfer_shows_its_own_networks_only(tmp_path: Path) -> None:
    settings = params(tmp_path, {"run.feature_variants": [], "run.fine_tune_variants": []})
    assert [network.name for network in plan_networks(settings, "tiny")] == ["baseline"]


def test_all_networks_are_shown_the_same_images(study: Study, out: Path, entries: dict[str, Any]) -> None:
    test = load_arrays(study.folder / "arrays", "test")
    rows = choose_evenly(test.labels, 4, study.params.split.seed)
    assert sorted(test.labels[rows]) == [0, 0, 1, 1]
    for network in plan_networks(study.params, "tiny"):
        model = keras.saving.load_model(study.folder / "models" / network.variant / "seed-0.keras", compile=False)
        name = network.name.replace(" ", "_")
        with np.load(out / f"feature_maps_{name}.npz") as written:
            assert written.files == mapped_layers(model, network.layers)
            for layer, expected in feature_maps(model, written.files, test.images[rows]).items():
                np.testing.assert_array_equal(written[layer], expected.astype(np.float16))
        caption = entries[f"plots/feature_maps_{name}.png"]["caption"]
        assert test.members[rows[0]] in caption
        assert "The maps of 3 more" in caption
        assert len({path.read_bytes() for path in (out / "feature_maps").glob(f"{name}_[234].png")}) == 3


def test_dvc_plots_finds_images_only(out: Path) -> None:
    assert {path.suffix for path in (out / "plots").iterdir()} == {".png"}
    assert len(list((out / "plots").iterdir())) == 1 + 4
    assert len(list((out / "feature_maps").iterdir())) == 3 * 4


def test_with_resplit_images_come_from_the_splits_the_seed_saw(tmp_path: Path) -> None:
    changes = {"run.split": "resplit", "run.pixel_variants": ["baseline"]}
    empty: dict[str, Any] = {"run.feature_variants": [], "run.fine_tune_variants": []}
    study = make_study(tmp_path, changes | empty)
    listed = read_json(study.explain() / "figures.json")
    seen = make_predictions(0, resplit=True)["test"]
    members = [name for split in COUNTS for name in load_arrays(tmp_path / "arrays", split).members]
    shown = seen.index[choose_evenly(seen.labels, 4, study.params.split.seed)[0]]
    maps = next(entry for entry in listed if entry["file"] == "plots/feature_maps_baseline.png")
    assert f"image {members[shown]}," in maps["caption"]
    cases = next(entry for entry in listed if entry["file"] == "grad_cam_baseline.png")["table"]["rows"]
    assert {row[0] for row in cases} <= {members[i] for i in seen.index}


def test_images_are_drawn_evenly_over_classes() -> None:
    labels = np.array([0] * 50 + [1] * 3 + [2] * 20)
    rows = choose_evenly(labels, 12, seed=1)
    assert len(set(rows.tolist())) == 12
    assert np.bincount(labels[rows]).tolist() == [5, 3, 4]
    assert choose_evenly(labels, 12, seed=1).tolist() == rows.tolist()
    assert choose_evenly(labels, 12, seed=2).tolist() != rows.tolist()
    assert sorted(choose_evenly(labels[:2], 12, seed=1)) == [0, 1]


def test_cases_hold_every_combination_of_right_and_wrong() -> None:
    labels = np.zeros(40, dtype=np.int64)
    wrong = {"baseline": np.arange(40) < 20, "transfer": np.arange(40) % 20 == 0}
    said = {name: np.eye(2, dtype=np.float32)[of.astype(int)] for name, of in wrong.items()}
    predictions = {name: Prediction(of, labels, np.arange(40)) for name, of in said.items()}
    rows = choose_cases(predictions, 4, seed=0)
    assert {(bool(wrong["baseline"][i]), bool(wrong["transfer"][i])) for i in rows} == {
        (right, other) for right in (False, True) for other in (False, True)
    }


# Augmentation


def test_each_knob_is_drawn_alone(images: NDArray[np.uint8]) -> None:
    knobs = Augmentation(rotation=30.0, width_shift=0.2, height_shift=0.2, shear=0.2, zoom=0.0,
                         horizontal_flip=True, vertical_flip=False, fill="nearest")  # fmt: skip
    drawn = draw_knobs(images[0], knobs, seed=0)
    assert next(iter(drawn)) == "rotation"
    assert "zoom (off here)" in drawn
    assert list(drawn)[-5:] == ["fill nearest", "fill constant", "fill reflect", "fill wrap", "all together"]
    np.testing.assert_array_equal(drawn["horizontal_flip"], images[0][:, ::-1])
    np.testing.assert_array_equal(drawn["vertical_flip (off here)"], images[0][::-1])
    assert all((image != images[0]).any() for image in drawn.values())


def test_augmented_draws_differ_and_without_knobs_are_the_image(images: NDArray[np.uint8]) -> None:
    off = Augmentation(rotation=0.0, width_shift=0.0, height_shift=0.0, shear=0.0, zoom=0.0,
                       horizontal_flip=False, vertical_flip=False, fill="nearest")  # fmt: skip
    still = draw_augmented(images, off, 3, seed=0)
    np.testing.assert_array_equal(still, np.repeat(images[:, np.newaxis], 3, axis=1))
    moved = draw_augmented(images, off.model_copy(update={"rotation": 40.0}), 3, seed=0)
    assert moved.shape == (2, 3, *IMAGE_SIZE, 3)
    assert len({draw.tobytes() for of_image in moved for draw in of_image}) == 6


# Feature maps and filters


def test_feature_maps_of_a_cnn_are_what_its_layers_give(images: NDArray[np.uint8]) -> None:
    model = make_cnn()
    names = mapped_layers(model, ())
    assert names == ["conv1", "pool1", "conv2", "pool2"]
    expected = images / np.float32(255)
    maps = feature_maps(model, names, images)
    for name in names:  # layer by layer
        expected = keras.ops.convert_to_numpy(keras.Sequential([model.get_layer(name)])(expected))
        np.testing.assert_allclose(maps[name], expected, rtol=1e-5, atol=1e-6)
    assert maps["conv2"].shape == (2, 5, 5, 40)


def test_feature_maps_inside_a_nested_backbone_see_rescaled_pixels(images: NDArray[np.uint8]) -> None:
    model = make_transfer()
    names = mapped_layers(model, ["block2_relu", "block1_relu", "block3_relu"])
    assert names == ["block1_relu", "block2_relu"]  # in the order of the network, and none behind the cut
    twin = build_compact(IMAGE_SIZE, (4, 8), 3)
    for layer in model.get_layer("backbone").layers:
        twin.get_layer(layer.name).set_weights(layer.get_weights())
    for name, maps in feature_maps(model, names, images).items():
        expected = keras.Model(twin.input, twin.get_layer(name).output).predict(images / 127.5 - 1.0, verbose=0)
        np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5)


def test_feature_maps_of_one_layer_keep_their_name(images: NDArray[np.uint8]) -> None:
    assert feature_maps(make_cnn(), ["conv1"], images)["conv1"].shape == (2, 14, 14, 4)


def test_feature_maps_computed_in_bfloat16_are_given_as_float32(images: NDArray[np.uint8]) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = make_cnn()
    finally:
        keras.config.set_dtype_policy("float32")
    assert feature_maps(model, ["conv1"], images)["conv1"].dtype == np.float32
    assert np.isfinite(grad_cam(model, images, np.array([0, 1]))).all()


def test_maps_are_displayed_by_the_rule_of_the_course(out: Path) -> None:
    with np.load(out / "feature_maps_baseline.npz") as written:
        channel = written["conv1"][0, :, :, 0].astype(np.float64)
    with np.errstate(all="raise"):
        expected = np.clip((channel - np.mean(channel)) / np.std(channel) * 64 + 128, 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(standardise(channel), expected)


def test_dead_channels_are_counted_and_wide_layers_limited(out: Path, entries: dict[str, Any]) -> None:
    table = entries["plots/feature_maps_baseline.png"]["table"]
    assert table["columns"] == ["layer", "channels", "shown", "dead"]
    rows = {row[0]: row[1:] for row in table["rows"]}
    with np.load(out / "feature_maps_baseline.npz") as written:
        dead = {name: int((np.ptp(written[name][0], axis=(0, 1)) == 0).sum()) for name in written.files}
    assert dead["conv2"] >= DEAD
    assert rows == {name: [channels, min(channels, 20), dead[name]] for name, (channels, *_) in rows.items()}
    assert rows["conv2"][:2] == [40, 20]


def test_the_most_active_channels_are_shown() -> None:
    maps = np.random.default_rng(0).random((5, 5, 40)).astype(np.float32)
    maps[:, :, 10:18] = 0.0
    tiles = tile_channels(maps, 32)
    assert (tiles.shown, tiles.channels, tiles.dead) == (32, 40, 8)
    assert not (tiles.image == 200).all(axis=-1).any()  # no grey tile


def test_a_backbone_without_any_layer_to_show_is_told(study: Study, tmp_path: Path) -> None:
    settings = params(tmp_path, CHANGES | {"backbones.compact.explain_layers": ["mixed7"]})
    with pytest.raises(UserError, match=r"explain_layers .* no layer of it up to its last_layer: mixed7"):
        explain_dataset(settings, "tiny", study.folder / "arrays", study.folder / "models", tmp_path / "out")


def test_sharing_and_layers_behind_the_cut_are_told(entries: dict[str, Any]) -> None:
    caption = entries["plots/feature_maps_the_frozen_backbone.png"]["caption"]
    assert "transfer, transfer_dropout share this backbone" in caption
    assert "The cut backbone has no block3_relu." in caption


def test_filters_are_those_of_the_first_layer_if_it_sees_colours() -> None:
    name, kernel = first_filters(make_transfer()) or pytest.fail("no filters")
    assert (name, kernel.shape) == ("block1_conv", (3, 3, 3, 4))
    grey = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(2, 3)])
    assert first_filters(grey) is None


# Grad-CAM


def quadrants(size: int = 16) -> NDArray[np.uint8]:
    """Return a dark image with a red, a green and a blue quadrant: upper left, upper right, lower left."""
    image = np.full((1, size, size, 3), 20, dtype=np.uint8)
    half = size // 2
    image[0, :half, :half, 0] = image[0, :half, half:, 1] = image[0, half:, :half, 2] = 220
    return image


def colour_classifier(units: int) -> keras.Model:
    """Return a network whose class is the colour that there is most of; sure of it to the last digit."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(3, 1, activation="relu", name="conv1")(layers.Rescaling(1 / 255)(inputs))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(units, activation="softmax" if units > 1 else "sigmoid", name="output")(x))
    model.get_layer("conv1").set_weights([np.eye(3).reshape(1, 1, 3, 3), np.full(3, -0.2)])
    weights = np.eye(3) if units > 1 else np.array([[-1.0], [1.0], [0.0]])  # class 0 is red, class 1 green
    model.get_layer("output").set_weights([1000 * weights, np.zeros(units)])
    return model


@pytest.mark.parametrize(("units", "colour"), [(3, 0), (3, 1), (3, 2), (1, 0), (1, 1)])
def test_grad_cam_lights_up_the_quadrant_of_its_class_only(units: int, colour: int) -> None:
    heat = grad_cam(colour_classifier(units), quadrants(), np.array([colour]))[0]
    inside = (quadrants()[0] == 220)[:, :, colour]
    assert heat[inside].min() > 0
    assert (heat[~inside] == 0).all()


def test_grad_cam_of_a_linear_classifier_is_its_weighted_maps() -> None:
    model, image = colour_classifier(3), np.random.default_rng(1).integers(0, 256, (4, 16, 16, 3)).astype(np.uint8)
    kernel = np.random.default_rng(2).normal(size=(3, 3))
    model.get_layer("output").set_weights([kernel, np.zeros(3)])
    maps = np.maximum(image / 255 - 0.2, 0)
    classes = np.array([0, 1, 2, 1])
    expected = np.stack([np.maximum(of @ kernel[:, i], 0) / 256 for of, i in zip(maps, classes, strict=True)])
    np.testing.assert_allclose(grad_cam(model, image, classes), expected, rtol=1e-4, atol=1e-6)


def test_grad_cam_of_a_nested_backbone_follows_the_formula(images: NDArray[np.uint8]) -> None:
    model, classes = make_transfer(), np.array([1, 0])
    before = model.predict(images, verbose=0)
    heat = grad_cam(model, images, classes)
    maps = model.get_layer("backbone").predict(images / 127.5 - 1.0, verbose=0)  # (2, 4, 4, 8)
    first, first_bias, last, _ = model.get_layer("head").get_weights()
    active = (maps.reshape(2, -1) @ first + first_bias) > 0
    slopes = np.stack([sign * first @ (on * last[:, 0]) for sign, on in zip((1, -1), active, strict=True)])
    weights = slopes.reshape(maps.shape).mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(heat, np.maximum((weights * maps).sum(axis=-1), 0), rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(model.predict(images, verbose=0), before)  # its sigmoid is back


def test_grad_cam_cases_are_told_with_their_names(study: Study, entries: dict[str, Any]) -> None:
    for variant in ("baseline", "transfer"):
        table = entries[f"grad_cam_{variant}.png"]["table"]
        assert table["columns"] == ["file", "true", "said", "probability", "highest_heat"]
        assert {row[1] == row[2] for row in table["rows"]} == {True, False}
        assert {row[1] for row in table["rows"]} <= set(CLASSES)
        assert all(row[3] == pytest.approx(0.9) for row in table["rows"])
    files = [[row[0] for row in entries[f"grad_cam_{name}.png"]["table"]["rows"]] for name in ("baseline", "transfer")]
    assert files[0] == files[1]


def test_gradients_are_those_of_calculus() -> None:
    x = np.array([[1.0, -2.0], [0.5, 3.0]], dtype=np.float32)
    slopes = gradients(lambda value: keras.ops.sum(value**3, axis=-1), keras.ops.convert_to_tensor(x))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(slopes), 3 * x**2, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("KERAS_BACKEND") == "jax", reason="this is the run with jax")
def test_jax_backend_passes_these_tests_too() -> None:
    pytest.importorskip("jax")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-W", "ignore:__array__:DeprecationWarning", __file__],
        env=os.environ | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
