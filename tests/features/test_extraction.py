import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from convnet.data.arrays import load_arrays
from convnet.features.extraction import extract_features, extract_views
from convnet.jobs.feature_plan import Views
from convnet.jobs.gather import gather
from convnet.jobs.job import Job, UsedBackbone
from convnet.jobs.planning import plan_jobs
from convnet.jobs.predictions import load_predictions
from convnet.jobs.store import facts
from convnet.models.backbones import load_backbone
from convnet.params.schema import Params
from convnet.params.training import Augmentation
from convnet.system.errors import UserError
from convnet.system.files import file_digest, read_json
from convnet.training.job_data import load_job_data
from convnet.training.train import train_job
from helpers import tiny_study as tiny

tiny.start_keras()

# The cached features have 11 significant bits, the saved model computes with 24 from pixels on.
FLOAT16_TOLERANCE = 2e-3
# A head in bfloat16 rounds to 8 significant bits whatever it is given, once on each of the two ways.
BFLOAT16_TOLERANCE = 1e-2

VARIANTS: dict[str, Any] = {
    "run.feature_variants": ["transfer", "transfer_average", "transfer_augmented"],
    "transfer.augmented_views": 2,
    "transfer.epochs": 5,
    "transfer.learning_rate": 0.01,
    # Too small to lead away from where fine-tuning starts.
    "fine_tune.learning_rate": 0.00001,
}


@dataclass(frozen=True)
class Study:
    """Arrays, a backbone with random weights, and the features it gives, with two augmented views per image."""

    folder: Path
    params: Params

    @property
    def arrays(self) -> Path:
        return self.folder / "arrays"

    @property
    def backbone(self) -> Path:
        return self.folder / "backbone"

    @property
    def features(self) -> Path:
        return self.folder / "features"

    def job(self, variant: str, params: Params | None = None, features: Path | None = None) -> Job:
        return plan_jobs(
            params or self.params,
            variant,
            self.arrays,
            features=features or self.features,
            backbone=self.backbone,
        )[0]

    def extract(self, destination: Path, views: Views | None = None, last_layer: str = "block2_pool") -> None:
        settings = self.params.backbones["compact"]
        backbone = UsedBackbone("compact", settings, self.backbone / "source.keras", last_layer)
        extract_features(self.arrays, tiny.IMAGE_SIZE, backbone, destination)
        if views:
            extract_views(self.arrays, tiny.IMAGE_SIZE, backbone, views, destination)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    folder = tmp_path_factory.mktemp("features")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        study = Study(folder, tiny.params(folder, VARIANTS))
        tiny.write_arrays(study.arrays)
        tiny.write_backbone(study.backbone)
        study.extract(study.features, Views(study.params.augmentation, 2, ("train",), seed=0))
        yield study


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def trained(job: Job) -> Job:
    if not job.done:
        train_job(job)
    return job


def images_of(study: Study, split: str) -> NDArray[np.uint8]:
    return np.array(load_arrays(study.arrays, split).images)


def source(study: Study) -> keras.Model:
    """The backbone as it was saved: pixels -1..1 in."""
    return keras.saving.load_model(study.backbone / "source.keras").get_layer("backbone")


def values(model: keras.Model) -> dict[str, NDArray[Any]]:
    return {v.path: np.asarray(keras.ops.convert_to_numpy(v)).copy() for v in model.variables}


def test_features_are_those_of_the_backbone_in_half_precision(study: Study) -> None:
    inner = source(study)
    cut = keras.Model(inner.inputs, inner.get_layer("block2_pool").output)
    for split, count in tiny.COUNTS.items():
        features = np.load(study.features / f"{split}.npy")
        assert features.dtype == np.float16
        assert features.shape == (count, 4, 4, 8)
        expected = cut.predict_on_batch(images_of(study, split).astype(np.float32) / 127.5 - 1)
        assert features == pytest.approx(expected, rel=2e-3, abs=2e-3)
        assert features.std() > 0.01


def test_features_tell_their_shape_their_cut_and_their_digest(study: Study) -> None:
    described = json.loads((study.features / "features.json").read_text())
    assert described["shape"] == [4, 4, 8]
    assert (described["backbone"], described["last_layer"]) == ("compact", "block2_pool")
    assert described["parameters"] == 3 * 9 * 4 + 16 + 4 * 9 * 8 + 32
    assert described["weights_sha256"] == file_digest(study.backbone / "source.keras")
    for listing, names in (("features", ("train", "validation", "test")), ("views", ("train_views",))):
        files = json.loads((study.features / f"{listing}.json").read_text())["files"]
        assert files == {name: file_digest(study.features / f"{name}.npy") for name in names}
    layers = json.loads((study.features / "layers.json").read_text())
    assert [row["name"] for row in layers if row["cut"]] == ["block2_pool"]
    assert all(row["frozen"] for row in layers)


def test_features_are_the_same_bytes_every_time(study: Study, tmp_path: Path) -> None:
    study.extract(tmp_path, Views(study.params.augmentation, 2, ("train",), seed=0))
    names = ("train.npy", "train_views.npy", "validation.npy", "test.npy", "features.json", "views.json", "layers.json")
    for name in names:
        assert (tmp_path / name).read_bytes() == (study.features / name).read_bytes()


def test_views_differ_from_each_other_and_from_the_picture(study: Study) -> None:
    views = np.load(study.features / "train_views.npy").reshape(40, 2, -1).astype(np.float32)
    plain = np.load(study.features / "train.npy").reshape(40, -1).astype(np.float32)
    for first, second in ((views[:, 0], views[:, 1]), (views[:, 0], plain), (views[:, 1], plain)):
        assert (np.abs(first - second).max(axis=1) > 1e-3).all()


def test_views_without_any_move_are_the_picture_twice(study: Study, tmp_path: Path) -> None:
    still = Augmentation(
        rotation=0.0, width_shift=0.0, height_shift=0.0, shear=0.0, zoom=0.0,
        horizontal_flip=False, vertical_flip=False, fill="nearest",
    )  # fmt: skip
    study.extract(tmp_path, Views(still, 2, ("validation",), seed=0))
    plain, views = np.load(tmp_path / "validation.npy"), np.load(tmp_path / "validation_views.npy")
    assert views == pytest.approx(np.repeat(plain, 2, axis=0), rel=2e-3, abs=2e-3)
    assert not (tmp_path / "train_views.npy").exists()


def test_other_cut_gives_other_features(study: Study, tmp_path: Path) -> None:
    study.extract(tmp_path, last_layer="block1_pool")
    assert np.load(tmp_path / "test.npy").shape == (15, 8, 8, 4)
    with pytest.raises(UserError, match=r"backbones\.compact\.last_layer is 'block9_pool'"):
        study.extract(tmp_path, last_layer="block9_pool")
    with pytest.raises(UserError, match=r"last_layer is 'mean', whose output has no height and width any more"):
        study.extract(tmp_path, last_layer="mean")


def test_key_of_a_job_changes_with_the_features(study: Study, tmp_path: Path) -> None:
    study.extract(tmp_path, last_layer="block1_pool")
    assert len({study.job("transfer").key, study.job("transfer", features=tmp_path).key}) == 2


def test_views_decide_the_key_of_those_who_train_on_them_only(study: Study, tmp_path: Path) -> None:
    study.extract(tmp_path, Views(study.params.augmentation, 2, ("train",), seed=1))
    assert study.job("transfer").key == study.job("transfer", features=tmp_path).key
    assert study.job("transfer_augmented").key != study.job("transfer_augmented", features=tmp_path).key


@pytest.mark.parametrize(
    ("variant", "precision", "tolerance"),
    [
        ("transfer", "float32", FLOAT16_TOLERANCE),
        ("transfer_average", "float32", FLOAT16_TOLERANCE),
        ("transfer_augmented", "float32", FLOAT16_TOLERANCE),
        ("transfer", "mixed_bfloat16", BFLOAT16_TOLERANCE),
    ],
)
def test_saved_model_predicts_from_pixels_what_the_head_predicts_from_features(
    study: Study, variant: str, precision: str, tolerance: float
) -> None:
    # Enough epochs for outputs that differ from image to image.
    params = tiny.params(study.folder, {**VARIANTS, "transfer.precision": precision, "transfer.epochs": 15})
    with computing_in(precision):
        job = trained(study.job(variant, params))
    model = keras.saving.load_model(job.result / "model.keras")
    predictions = load_predictions(job.result / "predictions.npz")[0]
    spread = []
    for split, prediction in predictions.items():
        outputs = model.predict_on_batch(images_of(study, split))
        assert prediction.probabilities[:, 1] == pytest.approx(outputs[:, 0], abs=tolerance)
        spread.append(outputs.std())
    assert max(spread) > 10 * tolerance  # or the comparison would tell nothing


def test_head_on_features_learns(study: Study) -> None:
    rows = read_json(trained(study.job("transfer")).result / "history.json")
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert rows[-1]["validation_accuracy"] >= 0.9


def test_frozen_backbone_is_saved_bit_for_bit(study: Study) -> None:
    job = trained(study.job("transfer"))
    model = keras.saving.load_model(job.result / "model.keras")
    settings = study.params.backbones["compact"]
    whole = load_backbone("compact", settings, study.backbone / "source.keras", tiny.IMAGE_SIZE)
    before, after = values(whole), values(model.get_layer("backbone"))
    assert len(after) == 10
    assert all(np.array_equal(before[path], value) for path, value in after.items())
    head = model.get_layer("head")
    assert facts(job)["trainable_parameters"] == head.count_params() == 128 * 16 + 16 + 17
    assert facts(job)["parameters"] == head.count_params() + 3 * 9 * 4 + 16 + 4 * 9 * 8 + 32


def test_training_takes_views_and_evaluation_the_picture_itself(study: Study) -> None:
    data = load_job_data(study.job("transfer_augmented"))
    assert data.views == 2
    for rows, name in ((data.training, "train_views"), (data.rows["train"], "train"), (data.rows["test"], "test")):
        stored = np.load(study.features / f"{name}.npy")
        assert np.array_equal(rows[np.arange(len(rows))], stored.reshape(len(stored), -1))


def test_views_of_a_subset_belong_to_its_images(study: Study) -> None:
    data = load_job_data(replace(study.job("transfer_augmented"), share=0.5))
    views = np.load(study.features / "train_views.npy").reshape(40, 2, -1)
    assert len(data.training) == 2 * len(data.index["train"]) == 40
    assert np.array_equal(data.training[np.arange(40)], views[data.index["train"]].reshape(40, -1))


def test_fresh_views_train_the_head_end_to_end_and_leave_the_backbone_alone(study: Study) -> None:
    params = tiny.params(study.folder, {**VARIANTS, "transfer.fresh_views": True, "transfer.epochs": 1})
    job = trained(study.job("transfer_augmented", params))
    assert job.recipe.kind == "pixels"
    model = keras.saving.load_model(job.result / "model.keras")
    settings = study.params.backbones["compact"]
    before = values(load_backbone("compact", settings, study.backbone / "source.keras", tiny.IMAGE_SIZE))
    after = values(model.get_layer("backbone"))
    assert all(np.array_equal(before[path], value) for path, value in after.items())
    assert "augmentation" not in [layer.name for layer in model.layers]
    outputs = model.predict_on_batch(images_of(study, "test"))
    test = load_predictions(job.result / "predictions.npz")[0]["test"]
    assert test.probabilities[:, 1] == pytest.approx(outputs[:, 0], abs=1e-6)


def test_fine_tuning_starts_from_transfer_and_changes_the_upper_part_only(study: Study) -> None:
    start = trained(study.job("transfer"))
    gather([start], study.folder / "start")
    (job,) = plan_jobs(study.params, "fine_tune", study.arrays, backbone=study.backbone, start=study.folder / "start")
    trained(job)
    before = values(keras.saving.load_model(start.result / "model.keras"))
    after = values(keras.saving.load_model(job.result / "model.keras"))
    assert list(before) == list(after)
    changed = {path for path in after if not np.array_equal(before[path], after[path])}
    assert changed == {
        *("block2_conv/kernel", "dense/kernel", "dense/bias", "output/kernel", "output/bias"),
    }
    assert facts(job)["trainable_parameters"] == 4 * 9 * 8 + 128 * 16 + 16 + 17
    assert max(np.abs(after[path] - before[path]).max() for path in changed) < 1e-3


def test_fine_tuning_computes_in_its_own_precision(study: Study) -> None:
    gather([trained(study.job("transfer"))], study.folder / "start")
    params = tiny.params(study.folder, {**VARIANTS, "fine_tune.precision": "mixed_bfloat16"})
    (job,) = plan_jobs(params, "fine_tune", study.arrays, backbone=study.backbone, start=study.folder / "start")
    with computing_in("mixed_bfloat16"):
        trained(job)
    model = keras.saving.load_model(job.result / "model.keras")
    inner, head = model.get_layer("backbone"), model.get_layer("head")
    layers = [inner.get_layer("block2_conv"), inner.get_layer("block2_norm"), head.get_layer("dense")]
    assert {(layer.compute_dtype, layer.variable_dtype) for layer in layers} == {("bfloat16", "float32")}
    assert head.get_layer("output").compute_dtype == "float32"
    outputs = model.predict_on_batch(images_of(study, "test"))
    test = load_predictions(job.result / "predictions.npz")[0]["test"]
    assert test.probabilities[:, 1] == pytest.approx(outputs[:, 0], abs=1e-6)


def test_fine_tuning_key_changes_with_the_model_it_starts_from(study: Study) -> None:
    gather([trained(study.job("transfer"))], study.folder / "start")
    other = study.folder / "other-start"
    shutil.rmtree(other, ignore_errors=True)
    shutil.copytree(study.folder / "start", other)
    job = json.loads((other / "job.json").read_text())
    job["seeds"][0]["weights_digest"] = "other"
    (other / "job.json").write_text(json.dumps(job))
    keys = {
        plan_jobs(study.params, "fine_tune", study.arrays, backbone=study.backbone, start=start)[0].key
        for start in (study.folder / "start", other)
    }
    assert len(keys) == 2


def test_fine_tuning_refuses_a_model_that_was_changed_since(study: Study) -> None:
    gather([trained(study.job("transfer"))], study.folder / "start")
    changed = study.folder / "changed"
    shutil.copytree(study.folder / "start", changed)
    with (changed / "seed-0.keras").open("ab") as file:
        file.write(b"more")
    with pytest.raises(UserError, match=r"seed-0\.keras is refused: .*another SHA-256"):
        plan_jobs(study.params, "fine_tune", study.arrays, backbone=study.backbone, start=changed)
