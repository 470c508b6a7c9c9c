"""Remedies of a job: their draws, and the losses that are reported."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss

from convnet.jobs.job import Job
from convnet.jobs.planning import plan_jobs
from convnet.jobs.predictions import load_predictions
from convnet.jobs.store import facts
from convnet.params.recipe import resolve
from convnet.system.files import read_json
from convnet.training.hooks import Hooks
from convnet.training.train import train_job
from helpers import tiny_study as tiny

tiny.start_keras()

REMEDIES: dict[str, dict[str, Any]] = {
    "weight_decay": {"weight_decay": 1.0},
    "l2": {"l2": 0.1},
    "label_smoothing": {"label_smoothing": 0.2},
    "mixup": {"mixup": 0.4},
    "cutmix": {"cutmix": 0.5},
    "augmented_strong": {"augmented_strong": 0.5},
    "ema": {"ema": 0.9},
    "spatial_dropout": {"spatial_dropout": 0.3},
    "lean": {"lean": True},
}


def hooks_of(folder: Path, **variant: Any) -> Hooks:
    params = tiny.params(folder, {"variants.tried": variant, **tiny.PIXELS_ONLY})
    return Hooks(resolve(params, "tiny", "tried"))


def trained(folder: Path, variant: dict[str, Any], classes: int = 2, **training: Any) -> Job:
    arrays = folder / f"arrays-{classes}"
    if not arrays.exists():
        tiny.write_arrays(arrays, classes)
    fit = {f"training.{key}": value for key, value in training.items()}
    run = {"run.pixel_variants": ["tried"], "variants.tried": variant}
    (job,) = plan_jobs(tiny.params(folder, {**tiny.PIXELS_ONLY, **run, **fit}), "tried", arrays)
    if not job.done:
        train_job(job)
    return job


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_another_remedy_changes_no_draws(folder: Path) -> None:
    (alone,) = hooks_of(folder, mixup=0.4).draws(0, 3, 50)
    for others in ({"weight_decay": 0.1}, {"label_smoothing": 0.1}, {"augmentation": True}, {"dropout": 0.5}):
        assert np.array_equal(hooks_of(folder, mixup=0.4, **others).draws(0, 3, 50)[-1], alone)


def test_augmentation_draws_the_same_beside_other_remedies(folder: Path) -> None:
    (alone,) = hooks_of(folder, augmentation=True).draws(0, 3, 50)
    both = hooks_of(folder, augmentation=True, mixup=0.4, label_smoothing=0.1)
    assert np.array_equal(both.draws(0, 3, 50)[0], alone)
    images = np.random.default_rng(0).integers(0, 256, (50, 16, 16, 3), dtype=np.uint8)
    labels = np.zeros((50, 1), np.float32)
    moved = hooks_of(folder, augmentation=True).change()((images, labels, alone))[0]
    mixed = both.change()((images, labels, *both.draws(0, 3, 50)))[0]
    share = both.draws(0, 3, 50)[1][:, :, np.newaxis, np.newaxis]
    expected = share * np.asarray(moved) + (1 - share) * np.roll(moved, 1, axis=0)  # moved first, then mixed
    assert np.asarray(mixed) == pytest.approx(expected, abs=1e-3)


def test_images_are_changed_before_they_are_mixed(folder: Path) -> None:
    everything = hooks_of(folder, mixup=0.4, brightness=0.2, erasing=0.3, augmentation=True)
    assert [name for name, _, _ in everything._on_batches] == ["augmentation", "colour", "erasing", "mixup"]


def test_draws_differ_between_seeds_and_epochs_only(folder: Path) -> None:
    hooks = hooks_of(folder, mixup=0.4)
    drawn = {place: hooks.draws(*place, 50)[0] for place in ((0, 1), (0, 2), (1, 1))}
    assert len({numbers.tobytes() for numbers in drawn.values()}) == 3
    assert np.array_equal(hooks.draws(0, 2, 50)[0], drawn[0, 2])


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", REMEDIES)
def test_reported_validation_loss_is_that_of_the_plain_task(folder: Path, name: str, classes: int) -> None:
    job = trained(folder, REMEDIES[name], classes, learning_rate=0.01, epochs=2)
    last = read_json(job.result / "history.json")[-1]
    for split, prefix in (("validation", "validation_"), ("train", "")):
        prediction = load_predictions(job.result / "predictions.npz")[0][split]
        probabilities = prediction.probabilities.astype(np.float64)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        right = np.mean(prediction.probabilities.argmax(axis=1) == prediction.labels)
        if split == "validation":
            assert last[f"{prefix}loss"] == pytest.approx(log_loss(prediction.labels, probabilities), rel=1e-4)
            assert last[f"{prefix}accuracy"] == pytest.approx(right)


@pytest.mark.parametrize("name", REMEDIES)
def test_remedy_changes_what_is_learned(folder: Path, name: str) -> None:
    plain, remedied = (trained(folder, variant, learning_rate=0.01) for variant in ({}, REMEDIES[name]))
    assert facts(plain)["weights_digest"] != facts(remedied)["weights_digest"]
    assert (facts(plain)["parameters"] == facts(remedied)["parameters"]) == (name != "lean")


@pytest.mark.parametrize("name", ["l2", "label_smoothing"])
def test_reported_training_loss_is_that_of_the_plain_task(folder: Path, name: str) -> None:
    """Networks that hardly learn have the same loss with and without the remedy."""
    still = {"learning_rate": 1e-9, "epochs": 1}
    rows = [read_json(trained(folder, v, **still).result / "history.json")[0] for v in ({}, REMEDIES[name])]
    for key in ("loss", "accuracy"):
        assert rows[1][key] == pytest.approx(rows[0][key], rel=1e-4)


def test_training_loss_of_mixed_images_is_measured_on_unmixed_ones(folder: Path) -> None:
    job = trained(folder, REMEDIES["mixup"], epochs=2, learning_rate=0.01)
    train = load_predictions(job.result / "predictions.npz")[0]["train"]
    chosen = np.random.default_rng([0, 0]).permutation(40)[: tiny.COUNTS["validation"]]
    probabilities = train.probabilities[chosen].astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    expected = log_loss(train.labels[chosen], probabilities)
    assert read_json(job.result / "history.json")[-1]["loss"] == pytest.approx(expected, rel=1e-4)


def test_same_job_gives_the_same_bits_again(folder: Path) -> None:
    variant = {"mixup": 0.4, "label_smoothing": 0.1, "weight_decay": 0.2, "dropout": 0.5, "ema": 0.9}
    digests = []
    for place in ("one", "other"):
        (folder / place).mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder / place)
            digests.append(facts(trained(folder, variant))["weights_digest"])
    assert digests[0] == digests[1]
