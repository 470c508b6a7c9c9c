"""Ctrl-C, TERM and KILL while the real dvc trains: everything ends, what was reached is kept, a second run goes on."""

import csv
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from conftest import Clone
from tiny_params import start, write_tiny_params

from convnet.states import load_state, save_state

LIMIT = 120  # seconds; every wait ends there
EPOCHS = 400  # seconds of training, so that a signal reaches it on a fast machine too
CHANGES = {
    "run.pixel_variants": ["baseline"],
    "run.feature_variants": [],
    "run.fine_tune_variants": [],
    "run.seeds": [0],
    "training.epochs": EPOCHS,
    "checkpoints.seconds_between": 0.0,  # after every epoch
}
TARGET = "train@pets-baseline"
MARK = 123.0  # a loss that no training gives: what was taken from the state still shows it


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.1)


def session(leader: int) -> list[psutil.Process]:
    """Return every living process that was started from `leader`, also those whose parent has ended."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@pytest.fixture
def clone(tmp_path: Path, clone_project: Callable[[Path], Clone]) -> Clone:
    """A copy of the project in which everything before training has run."""
    clone = start(clone_project(tmp_path / "clone"))
    write_tiny_params(clone.path, CHANGES)
    clone.run("dvc", "repro", "--quiet", "prepare@pets")
    return clone


@pytest.fixture
def begin(clone: Clone, tmp_path: Path) -> Iterator[Callable[[str], "subprocess.Popen[bytes]"]]:
    """A function that starts dvc as a terminal does, as the leader of its processes; what is left over is killed."""
    started = []

    def begin(target: str) -> "subprocess.Popen[bytes]":
        with (tmp_path / "dvc.txt").open("wb") as output:
            started.append(
                subprocess.Popen(
                    ["dvc", "repro", target],
                    cwd=clone.path,
                    env=clone.environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    # A test runner in the background ignores Ctrl-C, and children inherit that.
                    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
                )
            )
        return started[-1]

    yield begin
    for process in started:
        for left in session(process.pid):
            left.kill()
        process.wait()


def states(clone: Clone) -> list[Path]:
    return sorted(clone.path.glob(".jobs/*/state-*.npz"))


def assert_goes_on(clone: Clone) -> None:
    """Run again, and prove by a mark left in the state that the epochs before were not trained anew."""
    newest = states(clone)[-1]
    state = load_state(newest.parent)
    assert state is not None
    assert 0 < state.epoch < EPOCHS
    state.history[0]["loss"] = MARK
    shutil.rmtree(newest.parent)
    save_state(newest.parent, state)
    clone.run("dvc", "repro", TARGET)
    with (clone.path / "models" / "pets" / "baseline" / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(1, EPOCHS + 1))
    assert float(rows[0]["loss"]) == MARK


@pytest.mark.slow
def test_control_c_during_dvc_repro_ends_everything_and_the_rerun_goes_on(
    clone: Clone, begin: Callable[[str], "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    dvc = begin(TARGET)
    wait_for(lambda: len(states(clone)) > 1, "two states")
    os.killpg(dvc.pid, signal.SIGINT)  # a terminal sends it to all processes of the command
    assert dvc.wait(LIMIT) != 0
    wait_for(lambda: not session(dvc.pid), "the end of all processes")
    said = (tmp_path / "dvc.txt").read_text()
    assert "stopped; finished work is kept, run the same command to go on" in said
    assert "Traceback" not in said
    assert_goes_on(clone)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
def test_end_of_dvc_alone_ends_its_stage_too_and_the_rerun_goes_on(
    clone: Clone, begin: Callable[[str], "subprocess.Popen[bytes]"], number: int
) -> None:
    dvc = begin(TARGET)
    wait_for(lambda: len(states(clone)) > 1, "two states")
    dvc.send_signal(number)
    dvc.wait(LIMIT)
    wait_for(lambda: not session(dvc.pid), "the end of all processes")
    assert states(clone)
    assert_goes_on(clone)


@pytest.mark.slow
def test_term_to_all_processes_of_dvc_repro_keeps_the_state(
    clone: Clone, begin: Callable[[str], "subprocess.Popen[bytes]"]
) -> None:
    dvc = begin(TARGET)
    wait_for(lambda: len(states(clone)) > 1, "two states")
    os.killpg(dvc.pid, signal.SIGTERM)
    dvc.wait(LIMIT)
    wait_for(lambda: not session(dvc.pid), "the end of all processes")
    assert_goes_on(clone)
