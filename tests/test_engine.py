import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny

from convnet.engine import run_jobs
from convnet.errors import UserError
from convnet.features import extract_features
from convnet.jobs import Job
from convnet.params import Params
from convnet.plans import plan_jobs

tiny.start_keras()

# Run in a new interpreter: starts a stage and says which heavy libraries it has loaded.
PROBE = """
import runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
print(*sorted({"keras", "tensorflow"} & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.unbroken(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("engine")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        yield path


def with_infinity(job: Job, split: str) -> Job:
    """Return the job on features of which one, in one split, is infinite; no loss of it is a number."""
    assert job.features is not None
    features = job.features.with_name(f"infinity-in-{split}")
    shutil.copytree(job.features, features)
    array = np.load(features / f"{split}.npy")
    array[3, 0, 0, 0] = np.inf
    np.save(features / f"{split}.npy", array)
    return replace(job, features=features, data_digest=features.name)


@pytest.fixture(scope="module")
def transfer(folder: Path) -> tuple[Params, Job]:
    params = tiny.params(folder)
    arrays, backbone = tiny.write_arrays(folder / "arrays"), tiny.write_backbone(folder / "backbone")
    settings, weights = params.backbones["compact"], backbone / "source.keras"
    extract_features(arrays, tiny.IMAGE_SIZE, "compact", settings, "block2_pool", weights, None, folder / "features")
    (job,) = plan_jobs(params, "tiny", "transfer", arrays, features=folder / "features", backbone=backbone)
    return params, job


@pytest.fixture(scope="module")
def failures(transfer: tuple[Params, Job]) -> tuple[list[Job], str]:
    """Three jobs that ran together, of which the last succeeded, and what was said of it."""
    params, good = transfer
    jobs = [replace(with_infinity(good, "train"), seed=7), with_infinity(good, "validation"), good]
    good.folder.mkdir(parents=True)
    (good.folder / "failed.json").write_text("{}")  # of an earlier try
    with pytest.raises(UserError) as error:
        run_jobs(jobs, params)
    return jobs, str(error.value)


def test_failed_job_is_marked_and_named(failures: tuple[list[Job], str]) -> None:
    (bad, *_), said = failures
    reason = "tiny/transfer seed 7: the loss is nan in epoch 1; try a smaller learning_rate"
    assert said.startswith(f"2 of 3 jobs failed, the others are kept: {reason}; ")
    assert json.loads((bad.folder / "failed.json").read_text()) == {"job": "tiny/transfer seed 7", "reason": reason}
    assert not bad.done


def test_validation_loss_that_is_no_number_fails_the_job_too(failures: tuple[list[Job], str]) -> None:
    (_, bad, _), said = failures
    assert "; tiny/transfer seed 0: the validation loss is nan in epoch 1" in said
    assert not bad.done


def test_other_jobs_go_on_and_success_forgets_an_earlier_failure(failures: tuple[list[Job], str]) -> None:
    (*_, good), _ = failures
    assert [path.name for path in good.folder.iterdir()] == ["result"]


def test_too_large_a_batch_fails_in_one_sentence(transfer: tuple[Params, Job]) -> None:
    params, good = transfer
    fit = good.recipe.fit.model_copy(update={"batch_size": 41})
    bad = replace(good, recipe=good.recipe.model_copy(update={"fit": fit}))
    with pytest.raises(UserError, match="batch_size is 41, but there are only 40 training images"):
        run_jobs([bad], params)


def test_finished_jobs_are_taken_from_the_store_without_keras(unbroken: Path, tmp_path: Path) -> None:
    stage = tiny.stage_command("train", "--dataset", "tiny", "--variant", "hard", "arrays", tmp_path / "again")
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *stage],
        cwd=unbroken, env=tiny.environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == []
    assert done.stderr == "2 of 2 jobs were finished before\n"
    for name in ("history.csv", "predictions.npz", "job.json", "seed-0.keras"):
        assert (tmp_path / "again" / name).read_bytes() == (unbroken / "models" / name).read_bytes()


def test_store_of_other_settings_is_not_taken(unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(unbroken)
    for changes, finished in (({}, True), ({"training.batch_size": 9}, False), ({"augmentation.zoom": 0.1}, False)):
        params = tiny.params(tmp_path, {**tiny.HARD, **changes})
        assert all(job.done == finished for job in plan_jobs(params, "tiny", "hard", Path("arrays")))
