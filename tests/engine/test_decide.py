"""`convnet decide`: it stops with a reason, goes on after a kill, and one more seed of a variant trains alone."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from convnet.engine.decide import PAGE, decide
from convnet.system.errors import UserError
from convnet.system.files import write_text
from helpers import tiny_study as tiny
from helpers.clones import Clone
from helpers.processes import end_by
from helpers.tiny_run import change_params, copy_of, finished_pipeline

DECIDE = (sys.executable, "-m", "convnet.cli.main", "decide", "--no-report")
LOOKS = {"run.looks": [3, 4], "engine.parallel_jobs": 1}


def test_end_that_is_not_a_look_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convnet.engine.decide.dvc_repro", lambda stage: pytest.fail("data were made"))
    params = tiny.params(tmp_path, {"run.looks": [3, 5]})
    with pytest.raises(UserError, match=r"--until is 4; run\.looks has 3, 5"):
        decide(params, until=4)
    with pytest.raises(UserError, match=r"--minutes is -1\.0; give more than 0"):
        decide(params, minutes=-1.0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, clone_project: Callable[[Path], Clone]) -> Clone:
    return finished_pipeline(tmp_path_factory, clone_project)


def results(clone: Clone) -> dict[str, bytes]:
    """Return the predictions of every job, by its key, and the numbers of seeds."""
    jobs = (clone.path / ".jobs").glob("*/result/predictions.npz")
    return {str(path.parts[-3]): path.read_bytes() for path in jobs} | {
        "numbers": (clone.path / "seeds.yaml").read_bytes()
    }


@pytest.mark.slow
def test_killed_decision_goes_on_to_equal_results(finished: Clone, tmp_path: Path) -> None:
    unbroken, killed = copy_of(finished, tmp_path / "unbroken"), copy_of(finished, tmp_path / "killed")
    for clone in (unbroken, killed):
        change_params(clone.path, LOOKS)
    said = unbroken.run(*DECIDE).stderr
    assert "all variants at 3 seeds: " in said
    assert "up to date" in unbroken.run("dvc", "status", "plan").stdout  # with the new numbers of seeds
    ends = re.findall(r"^pets/\w+ against \w+: .*", said, re.MULTILINE)
    assert len(ends) == 3
    assert all(re.search(r"decided with \d seeds|not decided \(.*\): ", end) for end in ends)

    before = len(list((killed.path / ".jobs").glob("*/result")))
    process = subprocess.Popen(
        DECIDE, cwd=killed.path, env=killed.environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while len(list((killed.path / ".jobs").glob("*/result"))) < before + 2:
        assert process.poll() is None
        time.sleep(0.05)
    end_by(signal.SIGKILL, process)
    assert "This page is provisional" in (killed.path / PAGE).read_text("utf-8")
    again = killed.run(*DECIDE).stderr
    assert re.findall(r"^pets/\w+ against \w+: .*", again, re.MULTILINE) == ends
    assert results(killed) == results(unbroken)
    # Everything is done: nothing trains, here or in the pipeline.
    assert not re.findall(r"epochs in", unbroken.run(*DECIDE).stderr)
    assert not re.findall(r"epochs in", unbroken.run("dvc", "repro", "evaluate").stderr)


@pytest.mark.slow
def test_first_fold_of_every_variant_has_a_provisional_page(finished: Clone, tmp_path: Path) -> None:
    clone = copy_of(finished, tmp_path / "folds")
    batches = {"transfer.batch_size": 8, "fine_tune.batch_size": 8}  # a fold leaves 19 training images
    change_params(clone.path, {"run.split": "folds", "run.seeds": [0, 1, 2], "engine.parallel_jobs": 1, **batches})
    (clone.path / PAGE).unlink(missing_ok=True)
    process = subprocess.Popen(
        DECIDE, cwd=clone.path, env=clone.environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not (clone.path / PAGE).exists():
        assert process.poll() is None
        time.sleep(0.05)
    text = (clone.path / PAGE).read_text("utf-8")
    end_by(signal.SIGKILL, process)
    assert "Each seed tests another fold of the images. All 3 seeds are judged together." in text
    assert len(re.findall(r'<th scope="row">\w+</th><td class="number">1</td>', text)) == 4


@pytest.mark.slow
def test_whole_page_replaces_a_provisional_one(finished: Clone, tmp_path: Path) -> None:
    clone = copy_of(finished, tmp_path / "copy")
    whole = (clone.path / PAGE).read_bytes()
    write_text(clone.path / PAGE, "This page is provisional")
    clone.run("dvc", "repro")
    assert (clone.path / PAGE).read_bytes() == whole


@pytest.mark.slow
def test_one_more_seed_of_a_variant_trains_alone(finished: Clone, tmp_path: Path) -> None:
    clone = copy_of(finished, tmp_path / "copy")
    (clone.path / "seeds.yaml").write_text("pets:\n  half_dropped: 3\n", "utf-8")
    diff = clone.run("dvc", "params", "diff").stdout
    assert re.search(r"seeds.yaml\s+pets.half_dropped\s+-\s+3", diff)
    done = clone.run("dvc", "repro", "evaluate")
    assert re.findall(r"\] ([\w/]+ seed \d+):", done.stderr) == ["pets/half_dropped seed 2"]
    assert "train@pets" in done.stdout
