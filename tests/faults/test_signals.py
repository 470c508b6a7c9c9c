"""Ctrl-C, TERM and KILL while the real dvc trains: everything ends, what was reached is kept, a second run goes on."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from convnet.jobs.checkpoints import load_checkpoint, save_checkpoint
from convnet.system.processes import usable_cores
from helpers.clones import Clone
from helpers.processes import hear_control_c
from helpers.tiny_run import start, write_tiny_params

LIMIT = 120  # seconds; every wait ends there
SECONDS_TO_END = 10  # from a signal to the end of every process
EPOCHS = 400  # seconds of training, so that a signal reaches it on a fast machine too
CHANGES = {
    "run.pixel_variants": ["baseline"],
    "run.feature_variants": [],
    "run.fine_tune_variants": [],
    "run.seeds": [0],
    "training.epochs": EPOCHS,
    "checkpoints.seconds_between": 0.0,  # after every epoch
}
TARGET = "train@pets"
REPRO = ("dvc", "repro", TARGET)
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


def end_of_all(leader: "subprocess.Popen[bytes]", signalled: float) -> int:
    """Return how the command ended, which must not take long for any of its processes."""
    while left := session(leader.pid):
        assert time.monotonic() - signalled < SECONDS_TO_END, f"still at work: {left}"
        time.sleep(0.1)
    return leader.wait()


@pytest.fixture
def clone(tmp_path: Path, clone_project: Callable[[Path], Clone]) -> Clone:
    """A copy of the project in which everything before training has run."""
    clone = start(clone_project(tmp_path / "clone"))
    write_tiny_params(clone.path, CHANGES)
    clone.run("dvc", "repro", "--quiet", "prepare@pets")
    return clone


@pytest.fixture
def begin(clone: Clone, tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """A function that starts a command as a terminal does, leading its processes; what is left over is killed."""
    started = []

    def begin(*command: str) -> "subprocess.Popen[bytes]":
        with (tmp_path / "said.txt").open("wb") as output:
            started.append(
                subprocess.Popen(
                    command,
                    cwd=clone.path,
                    env=clone.environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=hear_control_c,
                )
            )
        return started[-1]

    yield begin
    for process in started:
        for left in session(process.pid):
            left.kill()
        process.wait()


def states(clone: Clone) -> list[Path]:
    return sorted(clone.path.glob(".jobs/*/checkpoint-*.npz"))


def assert_goes_on(clone: Clone) -> None:
    """Run again, and prove by a mark left in the state that the epochs before were not trained anew."""
    newest = states(clone)[-1]
    state = load_checkpoint(newest.parent)
    assert state is not None
    assert 0 < state.epoch < EPOCHS
    state.history[0]["loss"] = MARK
    shutil.rmtree(newest.parent)
    save_checkpoint(newest.parent, state)
    clone.run("dvc", "repro", TARGET)
    with (clone.path / "models" / "pets" / "baseline" / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(1, EPOCHS + 1))
    assert float(rows[0]["loss"]) == MARK


@pytest.mark.slow
def test_control_c_during_dvc_repro_ends_everything_and_the_rerun_goes_on(
    clone: Clone, begin: Callable[..., "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    dvc = begin(*REPRO)
    wait_for(lambda: len(states(clone)) > 1, "two states")
    signalled = time.monotonic()
    os.killpg(dvc.pid, signal.SIGINT)  # a terminal sends it to all processes of the command
    assert end_of_all(dvc, signalled) != 0
    said = (tmp_path / "said.txt").read_text()
    assert "stopped; finished work is kept, run the same command to go on" in said
    assert "Traceback" not in said
    assert_goes_on(clone)


def has_loaded_tensorflow(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return any("tensorflow" in mapped.path for mapped in process.memory_maps())
    return False


@pytest.mark.slow
def test_control_c_while_figures_are_drawn_does_not_wait_for_them(
    clone: Clone, begin: Callable[..., "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    write_tiny_params(
        clone.path,
        {**CHANGES, "run.pixel_variants": ["baseline", "augmented"], "training.epochs": 1, "explain.draws": 3000},
    )
    clone.run("dvc", "repro", "--quiet", TARGET)
    dvc = begin("dvc", "repro", "look@pets")
    wait_for(lambda: any(map(has_loaded_tensorflow, session(dvc.pid))), "TensorFlow")
    time.sleep(3)  # at work, in processes of the stage where there are several cores
    signalled = time.monotonic()
    os.killpg(dvc.pid, signal.SIGINT)
    assert end_of_all(dvc, signalled) != 0
    said = (tmp_path / "said.txt").read_text()
    assert "stopped; finished work is kept, run the same command to go on" in said
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
def test_end_of_dvc_alone_ends_its_stage_too_and_the_rerun_goes_on(
    clone: Clone, begin: Callable[..., "subprocess.Popen[bytes]"], number: int
) -> None:
    dvc = begin(*REPRO)
    wait_for(lambda: len(states(clone)) > 1, "two states")
    signalled = time.monotonic()
    dvc.send_signal(number)
    assert end_of_all(dvc, signalled) != 0
    assert states(clone)
    assert_goes_on(clone)


@pytest.mark.slow
def test_term_to_all_processes_of_dvc_repro_keeps_the_state(
    clone: Clone, begin: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    dvc = begin(*REPRO)
    wait_for(lambda: len(states(clone)) > 1, "two states")
    signalled = time.monotonic()
    os.killpg(dvc.pid, signal.SIGTERM)
    assert end_of_all(dvc, signalled) != 0
    assert_goes_on(clone)


@pytest.mark.slow
@pytest.mark.skipif(usable_cores() < 2, reason="there is one core only")
@pytest.mark.parametrize("send", [os.killpg, os.kill], ids=["to_all", "to_it_alone"])
def test_control_c_during_training_of_all_datasets_ends_every_process_and_keeps_their_states(
    clone: Clone, begin: Callable[..., "subprocess.Popen[bytes]"], tmp_path: Path, send: Callable[[int, int], None]
) -> None:
    write_tiny_params(clone.path, {**CHANGES, "run.datasets": ["pets", "hands"], "engine.threads_per_job": 1})
    command = begin(sys.executable, "-m", "convnet.cli.main", "train")
    wait_for(lambda: len({path.parent for path in states(clone)}) == 2, "a state of either dataset")
    signalled = time.monotonic()
    send(command.pid, signal.SIGINT)
    assert end_of_all(command, signalled) == 130
    said = (tmp_path / "said.txt").read_text()
    assert "stopped; finished work is kept, run the same command to go on" in said
    assert "Traceback" not in said
    for folder in {path.parent for path in states(clone)}:
        state = load_checkpoint(folder)
        assert state is not None
        assert 0 < state.epoch < EPOCHS
