import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convnet.engine.run import run_jobs
from convnet.features.extraction import extract_features
from convnet.jobs.gather import gather
from convnet.jobs.job import Job, UsedBackbone
from convnet.jobs.model_files import check_model
from convnet.jobs.planning import plan_jobs
from convnet.params.schema import Params
from convnet.system.errors import UserError
from helpers import tiny_study as tiny

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
    cut = UsedBackbone("compact", settings, weights, "block2_pool")
    extract_features(arrays, tiny.IMAGE_SIZE, cut, folder / "features")
    (job,) = plan_jobs(params, "transfer", arrays, features=folder / "features", backbone=backbone)
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


def refused(job: Job) -> Job:
    """Return the job with a batch that is too large, which it says before it trains."""
    fit = job.recipe.fit.model_copy(update={"batch_size": 41})
    return replace(job, recipe=job.recipe.model_copy(update={"fit": fit}))


def test_too_large_a_batch_fails_in_one_sentence(transfer: tuple[Params, Job]) -> None:
    params, good = transfer
    with pytest.raises(UserError, match="batch_size is 41, but there are only 40 training images"):
        run_jobs([refused(good)], params)


def test_finished_jobs_are_taken_from_the_store_without_keras(unbroken: Path, tmp_path: Path) -> None:
    stage = tiny.stage_command("train", "arrays", "features", "backbone", tmp_path / "again")
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *stage],
        cwd=unbroken, env=tiny.environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == []
    assert done.stderr == "2 of 2 jobs were finished before\n"
    for name in ("history.csv", "predictions.npz", "job.json", "seed-0.keras"):
        assert (tmp_path / "again" / "hard" / name).read_bytes() == (unbroken / "models" / "hard" / name).read_bytes()


@pytest.fixture
def copied(unbroken: Path, tmp_path: Path) -> Path:
    """A copy of the study with all its results, to be damaged."""
    return Path(shutil.copytree(unbroken, tmp_path / "copy"))


@pytest.mark.parametrize("name", ["facts.json", "history.json", "model.keras", "predictions.npz", "timing.json"])
def test_damaged_result_is_trained_again_and_the_next_run_takes_it(
    copied: Path, unbroken: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(copied)
    params = tiny.params(copied, tiny.HARD)
    jobs = plan_jobs(params, "hard", Path("arrays"))
    path = jobs[1].result / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    run_jobs(jobs, params)
    first, counted, *_ = capsys.readouterr().err.splitlines()
    assert first == f"{path} is missing or damaged: tiny/hard seed 1 is trained again"
    assert counted == "1 of 2 jobs were finished before"
    run_jobs(jobs, params)
    assert capsys.readouterr().err == "2 of 2 jobs were finished before\n"
    gather(jobs, copied / "again")
    for file in ("history.csv", "predictions.npz"):
        assert (copied / "again" / file).read_bytes() == (unbroken / "models" / "hard" / file).read_bytes()
    for seed in (0, 1):
        assert check_model(copied / "again" / f"seed-{seed}.keras").seed == seed


def test_full_disk_on_which_a_failure_cannot_be_noted_hides_it_no_more_than_it_stops_the_others(
    transfer: tuple[Params, Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *_: object) -> None:
        raise UserError(f"the disk is full while writing {path}")

    params, good = transfer
    broken = replace(good, arrays=Path(os.devnull), seed=8, data_digest="broken")
    monkeypatch.setattr("convnet.engine.job_log.write_json", full)
    monkeypatch.setattr("convnet.engine.job_process.write_text", full)
    with pytest.raises(UserError) as error:
        run_jobs([refused(good), broken, replace(refused(good), seed=9)], params)
    said = str(error.value)
    assert said.startswith("3 of 3 jobs failed, the others are kept: tiny/transfer seed 0: batch_size is 41")
    assert "; tiny/transfer seed 8: NotADirectoryError: " in said
    assert "; tiny/transfer seed 9: batch_size is 41" in said
    assert "failed.json" not in said
    assert "traceback" not in said


def test_job_whose_folder_cannot_be_made_fails_alone(
    transfer: tuple[Params, Job], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    params, good = transfer
    monkeypatch.setattr("convnet.jobs.job.STORE", tmp_path / "file" / ".jobs")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"^2 of 2 jobs failed.* seed 0: .* cannot be used \(Not a directory\): .*; "):
        run_jobs([good, replace(good, seed=9)], params)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("batch_size", "advice"), [(8, "set batch_size to 4"), (1, "set a smaller image_size")])
def test_next_run_reports_a_kill_of_the_process_that_trained_alone(
    transfer: tuple[Params, Job],
    batch_size: int,
    advice: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Here the mark is left by hand, in test_kills.py by a kill."""
    params, good = transfer
    fit = good.recipe.fit.model_copy(update={"batch_size": batch_size})
    job = replace(good, seed=10, recipe=good.recipe.model_copy(update={"fit": fit}))
    monkeypatch.setattr("convnet.engine.job_process._train", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_jobs([job], params)
    assert list(job.folder.iterdir()) == [], "Ctrl-C is no kill"
    (job.folder / "training").touch()
    monkeypatch.setattr("convnet.engine.job_process._train", lambda *_: "as it may")
    said = f"{job.label}: its process was killed: resuming after its checkpoint; if the memory ran out, {advice}"
    for lines in ([said], []):
        with pytest.raises(UserError):
            run_jobs([job], params)
        assert capsys.readouterr().err.splitlines()[:-1] == lines


def test_store_of_other_settings_is_not_taken(unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(unbroken)
    for changes, finished in (({}, True), ({"training.batch_size": 9}, False), ({"augmentation.zoom": 0.1}, False)):
        params = tiny.params(tmp_path, {**tiny.HARD, **changes})
        assert all(job.done == finished for job in plan_jobs(params, "hard", Path("arrays")))
