"""The whole chain runs for a network of each family of keras.applications, with random weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group
from PIL import Image

from convnet.analysis.explain import explain_dataset
from convnet.engine.variants import train_variants
from convnet.evaluation.evaluate import evaluate
from convnet.evaluation.model_selection import choose_best
from convnet.features.dataset import bring_dataset
from convnet.inference.export import export_model
from convnet.inference.predict import Counts, predict_files
from convnet.jobs.feature_plan import plan_features
from convnet.jobs.predictions import load_predictions
from convnet.params.applications import applications
from convnet.params.schema import Params
from convnet.system.files import file_digest, read_json
from helpers import tiny_study as tiny

tiny.start_keras()

COUNTS = {"train": 4, "validation": 2, "test": 4}
SETTINGS: Mapping[str, Any] = {
    "run.pixel_variants": [],
    "training.batch_size": 4,
    "transfer.epochs": 1,
    "transfer.batch_size": 4,
    "transfer.pooling": "average",
    "fine_tune.batch_size": 4,
    "explain.images": 1,
    "robustness.images_per_split": 2,
}
FAMILIES = (
    "InceptionV3",
    "ResNet50V2",
    "EfficientNetV2B0",
    "ConvNeXtTiny",
    "MobileNetV3Small",
    "DenseNet121",
    "Xception",
)


def write_random_weights(path: Path, name: str, side: int) -> dict[str, Any]:
    """Write random weights in the format of the published files, and return their entry of params.yaml."""
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(side, side, 3))
    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, model)
    return {"weights": {"url": f"file://{path}", "sha256": file_digest(path)}}


def run(changes: Mapping[str, Any], sizes: tuple[int, ...]) -> Params:
    """Run features and training of a tiny dataset in the current folder, with arrays of several sizes."""
    for side in sizes:
        tiny.write_arrays(
            Path("arrays", "" if side == sizes[0] else f"{side}x{side}"), image_size=(side, side), counts=COUNTS
        )
    params = tiny.params(Path(), {**SETTINGS, "datasets.tiny.image_size": [sizes[0]] * 2, **changes})
    folders = Path("arrays"), Path("backbones"), Path("features")
    assert bring_dataset(params, "tiny", plan_features(params, "tiny"), *folders) == []
    arrays, backbones, features = folders
    train_variants(params, arrays, features, backbones, Path("models"))
    return params


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_whole_chain_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    side = applications()[name]["smallest_image"]
    *_, first, cut, _ = applications()[name]["explain_layers"]  # a stage before the default cut: a third of the network
    entry = write_random_weights(tmp_path / "weights.h5", name, side) | {"last_layer": cut, "trainable_from": first}
    params = run({f"backbones.{name}": entry, "datasets.tiny.backbone": name}, (side,))
    arrays, models = Path("arrays"), Path("models")
    trained = read_json(models / "fine_tune" / "job.json")["seeds"][0]
    assert 0 < trained["trainable_parameters"] < trained["parameters"]
    explain_dataset(params, "tiny", arrays, models, Path("explanations"))
    assert tiny.robustness(params, arrays, models).keys() == {*params.run.variants}
    choose_best(models, params.run.variants, "rendered", Path("best"))
    saved = keras.saving.load_model(models / "fine_tune" / "seed-0.keras", compile=False)  # plain Keras
    outputs = saved.predict_on_batch(np.load(arrays / "test" / "images.npy")).reshape(-1)
    stored = load_predictions(models / "fine_tune" / "predictions.npz")[0]["test"].probabilities
    assert np.allclose(outputs, stored[:, 1], atol=1e-3)
    Image.fromarray(np.load(arrays / "test" / "images.npy")[0]).save("image.png")
    heading, row = predict_files(next(Path("best").glob("*.keras")), [Path("image.png")], False, "csv", Counts())
    assert heading.startswith("path,")
    assert row.startswith("image.png,")
    exported = export_model(next(Path("best").glob("*.keras")), "saved_model", Path("exported"))
    assert exported.difference < 1e-3


def test_several_backbones_and_sizes_in_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    entry = write_random_weights(tmp_path / "weights.h5", "MobileNetV2", 32)
    variants = {
        "run.feature_variants": ["transfer", "earlier", "larger_images"],
        "variants.earlier": {"transfer": True, "last_layer": "block_6_expand_relu", "against": "transfer"},
        "variants.larger_images": {"transfer": True, "image_size": [48, 48], "against": "transfer"},
        "variants.other": {"transfer": True, "backbone": "other", "against": "transfer"},
        "backbones.MobileNetV2": entry,
        "backbones.other": {"architecture": "MobileNetV2", "last_layer": "block_3_expand_relu", **entry},
        "datasets.tiny.backbone": "MobileNetV2",
        "run.pixel_variants": ["baseline"],
        "run.fine_tune_variants": [],
    }
    variants["run.feature_variants"].append("other")  # type: ignore[attr-defined]
    params = run(variants, (32, 48))
    recipes = {name: read_json(Path("models", name, "job.json"))["recipe"] for name in params.run.feature_variants}
    assert recipes["larger_images"]["image_size"] == [48, 48]
    assert recipes["earlier"]["last_layer"] == "block_6_expand_relu"
    assert sorted(path.name for path in Path("features").iterdir() if path.is_dir()) == [
        "MobileNetV2-block_13_expand_relu-48x48",
        "MobileNetV2-block_6_expand_relu-32x32",
        "other-block_3_expand_relu-32x32",
    ]
    assert [path.name for path in Path("backbones").iterdir() if path.is_dir()] == ["other"]
    shapes = {name: keras.saving.load_model(f"models/{name}/seed-0.keras", compile=False) for name in recipes}
    assert {name: model.input_shape[1] for name, model in shapes.items()} == {
        "transfer": 32, "earlier": 32, "larger_images": 48, "other": 32,
    }  # fmt: skip
    assert shapes["other"].get_layer("backbone").output_shape[1:] == (8, 8, 144)
    large = np.load("arrays/48x48/test/images.npy")
    stored = load_predictions(Path("models/larger_images/predictions.npz"))[0]["test"].probabilities[:, 1]
    assert np.allclose(shapes["larger_images"].predict_on_batch(large).reshape(-1), stored, atol=1e-3)
    explain_dataset(params, "tiny", Path("arrays"), Path("models"), Path("explanations"))
    assert tiny.robustness(params, Path("arrays"), Path("models")).keys() == {*params.run.variants}
    evaluations = {
        name: evaluate(Path("arrays"), Path("models", name), Path("features")) for name in params.run.variants
    }
    assert all(evaluations[name].seconds.features for name in recipes)
