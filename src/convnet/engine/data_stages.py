"""The stages of dvc.yaml that make the data of jobs, run by `dvc repro`."""

import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from convnet.system.dvc_command import run_dvc
from convnet.system.errors import UserError
from convnet.system.processes import shielded, stay_with_parent

BEFORE_PIXELS, BEFORE_HEADS, TRIALS = "prepare", "features", "tune"  # stages of dvc.yaml


def make_data(stage: str | None = BEFORE_HEADS) -> None:
    """Update the outputs of a stage and of all before it; None: of all stages.

    Raises:
        UserError: a stage failed; its error is on standard error.
    """
    with dvc_repro(stage):
        pass


@contextmanager
def dvc_repro(stage: str | None) -> Iterator[None]:
    """Run `dvc repro` beside the body, and wait for its end."""
    # A process of `multiprocessing` can end with a parent that is killed; one of `subprocess` cannot.
    process = multiprocessing.get_context("spawn").Process(target=_run_dvc, args=[stage])
    with shielded():
        process.start()
    try:
        yield
        process.join()
    finally:
        process.kill()  # its stages end with it, see convnet.system.errors.command
        process.join()
    if process.exitcode:
        command = " ".join(["dvc repro", *([stage] if stage else [])])
        raise UserError(f"{command} failed, see above; correct that and run the same command again")


def _run_dvc(stage: str | None) -> None:
    stay_with_parent()
    os.dup2(2, 1)  # standard output belongs to the command
    # The stages' commands call `python`: the folder of this interpreter goes first.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    sys.exit(run_dvc("repro", *([stage] if stage else [])))
