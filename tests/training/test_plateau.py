"""Training to a plateau: the best epoch counts, and a stop after any epoch changes no bit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from convnet.jobs.checkpoints import Checkpoint, save_checkpoint
from convnet.jobs.job import Job
from convnet.jobs.planning import plan_jobs
from convnet.jobs.predictions import load_predictions
from convnet.jobs.store import facts
from convnet.system.files import read_json
from convnet.training import prepared, train
from helpers import tiny_study as tiny

tiny.start_keras()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("plateau")
    tiny.write_arrays(path / "arrays", seed=tiny.HARD_IMAGES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        yield path


def plateau_jobs(folder: Path) -> list[Job]:
    return plan_jobs(tiny.params(folder, tiny.PLATEAU), "hard", folder / "arrays")


class Seen:
    """The variables of the model and of the optimizer, before and after every epoch."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.before: list[list[NDArray[Any]]] = []
        self.after: list[list[NDArray[Any]]] = []
        of_epoch = train._Epochs.train

        def watched(epochs: Any, *arguments: Any) -> Any:
            self.before.append(self._values(epochs._trainee))
            trained = of_epoch(epochs, *arguments)
            self.after.append(self._values(epochs._trainee))
            return trained

        patch.setattr(train._Epochs, "train", watched)

    def _values(self, model: Any) -> list[NDArray[Any]]:
        return prepared.values([*model.variables, *model.optimizer.variables])


@pytest.fixture(scope="module")
def unbroken(folder: Path) -> dict[int, tuple[Job, Seen]]:
    """Both seeds, trained without a stop."""
    trained = {}
    for job in plateau_jobs(folder):
        with pytest.MonkeyPatch.context() as patch:
            seen = Seen(patch)
            train.train_job(job)
        trained[job.seed] = (job, seen)
    return trained


def history(job: Job) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_json(job.result / "history.json")
    return rows


@pytest.mark.parametrize("seed", [0, 1])
def test_history_shows_every_epoch_with_its_rate(unbroken: dict[int, tuple[Job, Seen]], seed: int) -> None:
    job, seen = unbroken[seed]
    rows, constant = history(job), tiny.SWITCHES[seed]
    assert [row["epoch"] for row in rows] == list(range(1, len(rows) + 1))
    assert len(seen.before) == len(rows) == constant + max(1, constant // 4)
    rates = [row["learning_rate"] for row in rows]
    assert set(rates[:constant]) == {0.02}
    assert rates[constant:] == sorted(set(rates[constant:]), reverse=True)
    assert rates[-1] <= 0.01


@pytest.mark.parametrize("seed", [0, 1])
def test_cooldown_starts_from_the_weights_and_the_optimizer_of_the_best_epoch(
    unbroken: dict[int, tuple[Job, Seen]], seed: int
) -> None:
    job, seen = unbroken[seed]
    constant = tiny.SWITCHES[seed]
    best = int(np.argmin([row["validation_loss"] for row in history(job)[:constant]]))
    for epoch in range(1, len(seen.before)):
        source = best if epoch == constant else epoch - 1
        assert all(map(np.array_equal, seen.before[epoch], seen.after[source]))


@pytest.mark.parametrize("seed", [0, 1])
def test_predictions_are_those_of_the_best_epoch(unbroken: dict[int, tuple[Job, Seen]], seed: int) -> None:
    job, _ = unbroken[seed]
    losses = [row["validation_loss"] for row in history(job)]
    found = facts(job)
    assert found["best_epoch"] == found["saved_epoch"] == int(np.argmin(losses)) + 1
    assert found["epochs"] == len(losses)
    assert found["at_cap"] is (seed == 0)
    validation = load_predictions(job.result / "predictions.npz")[seed]["validation"]
    probabilities = validation.probabilities.astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    assert log_loss(validation.labels, probabilities) == pytest.approx(min(losses), rel=1e-4)


@pytest.mark.parametrize("seed", [0, 1])
def test_stop_after_every_epoch_changes_no_bit(
    unbroken: dict[int, tuple[Job, Seen]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Each process trains one epoch: those before, at and behind the return to the best epoch too."""
    theirs, expected = unbroken[seed][0], unbroken[seed][0].result.absolute()
    tiny.write_arrays(tmp_path / "arrays", seed=tiny.HARD_IMAGES)
    monkeypatch.chdir(tmp_path)
    job = plateau_jobs(tmp_path)[seed]
    assert job.key == theirs.key

    def stop(place: Path, checkpoint: Checkpoint) -> None:
        save_checkpoint(place, checkpoint)
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "save_checkpoint", stop)
    stops = 0
    while not job.done:
        try:
            train.train_job(job)
        except KeyboardInterrupt:
            stops += 1
    ours = read_json(expected / "facts.json")
    assert stops == ours["epochs"] - (ours["epochs"] == 10)  # nothing is saved after the last epoch of the cap
    for name in ("history.json", "predictions.npz"):
        assert (job.result / name).read_bytes() == (expected / name).read_bytes()
    assert {**facts(job), "model_sha256": ""} == {**ours, "model_sha256": ""}  # the archive holds dates
