import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from convnet.data.arrays import load_arrays
from convnet.data.division import Division
from convnet.data.splits import SPLITS
from convnet.jobs.job import Job
from convnet.jobs.planning import plan_jobs
from convnet.jobs.predictions import CALIBRATION, load_predictions
from convnet.jobs.store import facts
from convnet.models.augmentation import reset_seed_generators
from convnet.models.cnn import build_cnn
from convnet.models.heads import choose_head
from convnet.models.transfer import with_augmentation
from convnet.params.load import load_params
from convnet.params.training import Network
from convnet.system.errors import UserError
from convnet.system.files import read_json
from convnet.training.job_data import load_job_data
from convnet.training.train import train_job
from helpers import tiny_study as tiny

tiny.start_keras()

PARAMS = load_params(tiny.PROJECT / "params.yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with a store of its own, so that a job several tests look at is trained once."""
    path = tmp_path_factory.mktemp("training")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        yield path


def trained(job: Job) -> Job:
    if not job.done:
        train_job(job)
    return job


def history(job: Job) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_json(job.result / "history.json")
    return rows


def images_of(job: Job, split: str) -> NDArray[np.uint8]:
    return np.array(load_arrays(job.arrays, split).images)


LEARNS: dict[str, Any] = {"learning_rate": 0.01, "epochs": 5}


@pytest.fixture(scope="module")
def baseline(folder: Path) -> Job:
    return trained(tiny.pixel_jobs(folder, **LEARNS)[0])


def test_baseline_learns(baseline: Job) -> None:
    test = load_predictions(baseline.result / "predictions.npz")[0]["test"]
    assert np.mean(test.probabilities.argmax(axis=1) == test.labels) >= 0.9
    assert history(baseline)[-1]["loss"] < 0.5 * history(baseline)[0]["loss"]


def test_finished_job_keeps_its_result_and_nothing_else(baseline: Job) -> None:
    assert [path.name for path in baseline.folder.iterdir()] == ["result"]
    assert sorted(path.name for path in baseline.result.iterdir()) == [
        *("facts.json", "history.json", "model.keras", "predictions.npz", "timing.json"),
    ]


def test_history_has_one_row_per_epoch(baseline: Job) -> None:
    assert [row["epoch"] for row in history(baseline)] == [1, 2, 3, 4, 5]
    assert {row["learning_rate"] for row in history(baseline)} == {0.01}


def test_predictions_are_those_of_the_saved_model_on_pixels(baseline: Job) -> None:
    model = keras.saving.load_model(baseline.result / "model.keras")
    predictions = load_predictions(baseline.result / "predictions.npz")[0]
    assert tuple(predictions) == SPLITS
    for split, prediction in predictions.items():
        outputs = model.predict_on_batch(images_of(baseline, split))
        assert prediction.probabilities[:, 1] == pytest.approx(outputs[:, 0], abs=1e-6)
        assert prediction.probabilities.sum(axis=1) == pytest.approx(1.0)
        assert np.array_equal(prediction.labels, load_arrays(baseline.arrays, split).labels)
        assert np.array_equal(prediction.index, np.arange(tiny.COUNTS[split]))


def test_last_validation_row_is_what_sklearn_finds_in_the_predictions(baseline: Job) -> None:
    validation = load_predictions(baseline.result / "predictions.npz")[0]["validation"]
    last = history(baseline)[-1]
    probabilities = validation.probabilities.astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    assert last["validation_loss"] == pytest.approx(log_loss(validation.labels, probabilities), rel=1e-4)
    correct = validation.probabilities.argmax(axis=1) == validation.labels
    assert last["validation_accuracy"] == pytest.approx(correct.mean())


def test_facts_count_parameters_and_bytes(baseline: Job) -> None:
    found, model = facts(baseline), baseline.result / "model.keras"
    # conv 3*3*3*4+4, conv 3*3*4*8+8, 2*2*8 features into 16, 16 into 1
    assert found["parameters"] == found["trainable_parameters"] == 112 + 296 + (32 * 16 + 16) + 17
    assert found["model_bytes"] == model.stat().st_size
    assert found["epochs"] == 5
    assert (found["saved_epoch"], found["at_cap"]) == (5, False)


def test_job_gives_the_same_bits_in_another_process_and_after_other_jobs(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, baseline: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There, it came after seed 0 in a process of its own; here, after whatever these tests have trained."""
    there = tiny.unbroken(tmp_path_factory.getbasetemp())
    changes = {**tiny.HARD, "run.seeds": [1]}
    job = plan_jobs(tiny.params(folder, changes), "hard", there / "arrays")[0]
    trained(job)
    for name in ("history.json", "predictions.npz"):
        assert (job.result / name).read_bytes() == (there / job.result / name).read_bytes()
    theirs = read_json(there / job.result / "facts.json")
    assert facts(job)["weights_digest"] == theirs["weights_digest"]
    assert {**facts(job), "model_sha256": ""} == {**theirs, "model_sha256": ""}  # the archive holds dates


def test_another_seed_gives_other_weights(tmp_path_factory: pytest.TempPathFactory) -> None:
    first, second = read_json(tiny.unbroken(tmp_path_factory.getbasetemp()) / "models" / "hard" / "job.json")["seeds"]
    assert first["weights_digest"] != second["weights_digest"]


def test_early_stopping_restores_the_very_weights_of_the_best_epoch(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The hard variant stops after three epochs and restores the first: the same as training for one epoch."""
    there = tiny.unbroken(tmp_path_factory.getbasetemp())
    stopped = read_json(there / "models" / "hard" / "job.json")["seeds"][1]
    assert [stopped[key] for key in ("epochs", "best_epoch", "saved_epoch", "at_cap")] == [3, 1, 1, False]
    one_epoch = {
        **tiny.HARD,
        "run.seeds": [1],
        "training.epochs": 1,
        "training.early_stopping": None,
        "training.learning_rate_schedule": "constant",  # the cosine begins at the same rate
    }
    job = trained(plan_jobs(tiny.params(folder, one_epoch), "hard", there / "arrays")[0])
    assert facts(job)["weights_digest"] == stopped["weights_digest"]


def test_sparse_and_one_hot_labels_train_to_equal_weights(folder: Path) -> None:
    """The same numbers in another form: up to the rounding of their two implementations."""
    models = {}
    for labels in ("sparse", "one_hot"):
        job = trained(tiny.pixel_jobs(folder, classes=3, labels=labels, learning_rate=0.01)[0])
        models[labels] = keras.saving.load_model(job.result / "model.keras").get_weights()
        assert load_predictions(job.result / "predictions.npz")[0]["test"].probabilities.shape == (15, 3)
    for one, other in zip(models["sparse"], models["one_hot"], strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_mixed_precision_reaches_the_layers(folder: Path) -> None:
    job = tiny.pixel_jobs(folder, precision="mixed_bfloat16", epochs=1)[0]
    keras.config.set_dtype_policy("mixed_bfloat16")  # as configure_device does
    try:
        trained(job)
    finally:
        keras.config.set_dtype_policy("float32")
    model = keras.saving.load_model(job.result / "model.keras")
    assert model.get_layer("conv1").compute_dtype == "bfloat16"
    assert model.get_layer("conv1").variable_dtype == "float32"
    assert model.get_layer("output").compute_dtype == "float32"


def test_batch_larger_than_the_training_set_is_one_sentence(folder: Path) -> None:
    job = tiny.pixel_jobs(folder)[0]
    fit = job.recipe.fit.model_copy(update={"batch_size": 41})
    with pytest.raises(UserError, match="batch_size is 41, but there are only 40 training images"):
        train_job(replace(job, recipe=job.recipe.model_copy(update={"fit": fit})))


def test_network_that_does_not_fit_into_memory_is_told_while_it_is_built(folder: Path) -> None:
    job = tiny.pixel_jobs(folder)[0]
    endless = Network(filters=(4,), dense=2**40)  # hundreds of terabytes
    with pytest.raises(UserError, match="tiny/baseline seed 0: memory ran out with batch_size 8: set batch_size to 4"):
        train_job(replace(job, recipe=job.recipe.model_copy(update={"network": endless})))


def test_memory_that_runs_out_in_prediction_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def predict(*_: Any) -> None:
        keras.ops.ones((2**24, 2**24))  # a petabyte

    monkeypatch.setattr("convnet.training.train.predict", predict)
    job = tiny.pixel_jobs(folder, epochs=1, learning_rate=0.0123)[0]
    # Less batch_size would not help: predictions do not follow it.
    with pytest.raises(UserError, match="tiny/baseline seed 0: memory ran out while predicting: set a smaller"):
        train_job(job)
    assert not job.done


def test_two_epochs_see_different_augmented_pictures_and_a_repeated_epoch_the_same() -> None:
    head = choose_head(2, "sparse")
    classifier = build_cnn((16, 16), Network(filters=(4,), dense=8), 0.5, head)
    model = with_augmentation(classifier, PARAMS.augmentation, seed=0)
    pictures = keras.Model(model.input, model.get_layer("augmentation").output)
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3)).astype(np.float32)

    def epoch(number: int, seed: int = 0) -> NDArray[np.float32]:
        reset_seed_generators(model, seed, number)
        return np.stack([keras.ops.convert_to_numpy(pictures(images, training=True)) for _ in range(2)])

    first, again, second, other_seed = epoch(1), epoch(1), epoch(2), epoch(1, seed=1)
    assert np.array_equal(first, again)
    for drawn in (second, other_seed):
        assert all(not np.array_equal(one, other) for one, other in zip(first, drawn, strict=True))
    assert not np.array_equal(first[0], first[1])  # the same image in two batches
    assert not np.array_equal(first[0, 0], images[0])


def job_of(folder: Path, **changes: Any) -> Job:
    return replace(tiny.pixel_jobs(folder)[0], **changes)


def joined(job: Job) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    return (
        np.concatenate([images_of(job, split) for split in SPLITS]),
        np.concatenate([load_arrays(job.arrays, split).labels for split in SPLITS]),
    )


def everything(rows: Any) -> NDArray[np.uint8]:
    return np.asarray(rows[np.arange(len(rows))])


def test_splits_are_those_of_the_arrays(folder: Path) -> None:
    job = job_of(folder)
    data = load_job_data(job)
    for split in SPLITS:
        assert np.array_equal(everything(data.rows[split]), images_of(job, split))
    assert np.array_equal(everything(data.training), images_of(job, "train"))


def test_resplit_draws_every_image_once_in_shares_of_the_arrays(folder: Path) -> None:
    job = job_of(folder, division=Division("resplit"))
    data, (images, labels) = load_job_data(job), joined(job)
    assert sorted(np.concatenate([data.index[split] for split in SPLITS])) == list(range(len(labels)))
    for split in SPLITS:
        assert np.array_equal(everything(data.rows[split]), images[data.index[split]])
        assert np.array_equal(data.labels[split], labels[data.index[split]])
        assert abs(len(data.index[split]) - tiny.COUNTS[split]) <= 2
    other = load_job_data(replace(job, seed=1))
    assert not np.array_equal(np.sort(other.index["test"]), np.sort(data.index["test"]))


def test_resplit_keeps_copies_of_a_picture_together(folder: Path) -> None:
    arrays = tiny.write_arrays(folder / "arrays-copies")
    groups = []
    for split in SPLITS:
        path = arrays / split / "groups.npy"
        np.save(path, np.load(path) // 4 * 4)
        groups.append(np.load(path))
    data = load_job_data(job_of(folder, arrays=arrays, division=Division("resplit")))
    of_split = [set(np.concatenate(groups)[data.index[split]]) for split in SPLITS]
    assert not of_split[0] & of_split[1]
    assert not (of_split[0] | of_split[1]) & of_split[2]


def test_folds_test_every_image_once_and_keep_groups(folder: Path) -> None:
    arrays = tiny.write_arrays(folder / "arrays-folds")
    for split in SPLITS:
        path = arrays / split / "groups.npy"
        np.save(path, np.load(path) // 3 * 3)
    jobs = [job_of(folder, arrays=arrays, seed=seed, division=Division("folds", seed, 4, 9)) for seed in range(4)]
    groups = np.concatenate([np.load(arrays / split / "groups.npy") for split in SPLITS])
    images, labels = joined(jobs[0])
    tested = []
    for job in jobs:
        data = load_job_data(job)
        assert sorted(np.concatenate([data.index[split] for split in SPLITS])) == list(range(len(labels)))
        of_split = [set(groups[data.index[split]]) for split in SPLITS]
        assert not of_split[0] & of_split[1]
        assert not (of_split[0] | of_split[1]) & of_split[2]
        # Validation keeps its share of the images that are not tested.
        rest = len(labels) - len(data.index["test"])
        assert abs(len(data.index["validation"]) - rest * 32 / 72) <= 3
        assert np.array_equal(everything(data.rows["test"]), images[data.index["test"]])
        tested += data.index["test"].tolist()
    assert sorted(tested) == list(range(len(labels)))


def test_half_of_the_validation_images_choose_the_epoch(folder: Path) -> None:
    job = job_of(folder)
    stops = replace(
        job, recipe=job.recipe.model_copy(update={"fit": job.recipe.fit.model_copy(update={"early_stopping": 1})})
    )
    assert CALIBRATION not in load_job_data(job).index
    data = load_job_data(stops)
    halves = [data.index["validation"], data.index[CALIBRATION]]
    assert sorted(np.concatenate(halves)) == list(range(tiny.COUNTS["validation"]))
    for part in ("validation", CALIBRATION):
        assert np.array_equal(everything(data.rows[part]), images_of(job, "validation")[data.index[part]])
        assert np.bincount(data.labels[part]).tolist() == [8, 8]
    stored = load_predictions(trained(stops).result / "predictions.npz")[0]
    assert tuple(stored) == (*SPLITS, CALIBRATION)
    # The history, which chooses, holds the loss on the first half alone.
    best = min(row["validation_loss"] for row in history(stops))
    seen = stored["validation"].probabilities.astype(float)
    seen /= seen.sum(axis=1, keepdims=True)  # float32 sums to 1 within its own precision
    assert best == pytest.approx(log_loss(stored["validation"].labels, seen), rel=1e-4)


def test_smaller_shares_of_training_lie_within_larger_ones(folder: Path) -> None:
    shares: Sequence[float] = (0.25, 0.5, 1.0)
    data = {share: load_job_data(job_of(folder, share=share)) for share in shares}
    indices = [set(data[share].index["train"]) for share in shares]
    assert [len(index) for index in indices] == [10, 20, 40]
    assert indices[0] < indices[1] < indices[2]
    assert [len(data[share].training) for share in shares] == [10, 20, 40]
    assert all(len(data[share].index["validation"]) == tiny.COUNTS["validation"] for share in shares)
    assert math.isclose(np.mean(data[0.25].labels["train"]), 0.5)
