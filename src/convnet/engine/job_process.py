"""Run one job in this process, under its lock, so that no two processes train the same one."""

import gc
import shutil
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from pathlib import Path

from convnet.backend.memory import memory_advice
from convnet.engine.forecast import remember
from convnet.jobs.checkpoints import clear_checkpoints
from convnet.jobs.job import Job
from convnet.jobs.store import damaged_file
from convnet.system.errors import UserError, printable
from convnet.system.files import write_text
from convnet.system.locks import locked


def stored(job: Job) -> bool:
    """Return whether the store holds the job's whole result; a damaged one is deleted and named on standard error.

    This reads every file of the result, and deletes what a process left that was killed after it named the result.

    Raises:
        UserError: the result cannot be read.
    """
    if not job.done:
        return False
    if damaged_file(job) is None and [path.name for path in job.folder.iterdir()] == [job.result.name]:
        return True
    with _locked(job):  # another process may have trained it again meanwhile
        return _whole(job)


def run_job(job: Job, alone: bool = False) -> str | None:
    """Bring a job to a result in the store, unless another process does so first.

    Args:
        job: the job to train.
        alone: no parent process notices a kill of this one, so a mark for the next run is left.

    Returns:
        None, or one sentence that names the job and the reason why it failed.
    """
    try:
        with _locked(job):
            if _whole(job):
                return None
            _delete_remains(job.folder)
            traceback_file(job).unlink(missing_ok=True)
            with _marked(job, alone):
                failure = _train(job)
            if failure is None:
                forget_failure(job)
            return failure
    except UserError as error:
        return f"{job.label}: {error}"
    except OSError as error:  # its folder; the other jobs go on
        return f"{job.label}: {error.filename or job.folder} cannot be used ({error.strerror}): correct that and rerun"


def traceback_file(job: Job) -> Path:
    """Return the path of a job's traceback, which is written where its failure was not expected."""
    return job.folder / "traceback.txt"


def forget_failure(job: Job) -> None:
    """Delete the files about an earlier failure of the job."""
    for path in (job.folder / "failed.json", traceback_file(job), _mark(job)):
        path.unlink(missing_ok=True)


def _locked(job: Job) -> AbstractContextManager[None]:
    return locked(job.folder / "lock", waiting=f"{job.label} is being trained by another process: waiting for it")


def _whole(job: Job) -> bool:
    """Delete a damaged result, or all files beside a whole one, under the lock; return whether there is a whole one."""
    if not job.done:
        return False
    if damaged := damaged_file(job):
        _print(f"{damaged} is missing or damaged: {job.label} is trained again")
        shutil.rmtree(job.result)
        return False
    clear_checkpoints(job.folder)
    _delete_remains(job.folder)
    forget_failure(job)
    return True


@contextmanager
def _marked(job: Job, alone: bool) -> Iterator[None]:
    """Report that the job's last process was killed, and leave a mark that only a kill leaves behind."""
    if _mark(job).exists():
        advice = memory_advice(job.recipe.fit.batch_size)
        _print(f"{job.label}: its process was killed: resuming after its checkpoint; if the memory ran out, {advice}")
    if alone:
        with suppress(OSError):  # the file is empty; the first real write reports a full disk
            _mark(job).touch()
    try:
        yield
    finally:
        _mark(job).unlink(missing_ok=True)


def _mark(job: Job) -> Path:
    return job.folder / "training"


def _print(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)


def _train(job: Job) -> str | None:
    # Imported late: the import costs seconds, and a finished job needs none of it.
    from convnet.backend.device import configure_device
    from convnet.backend.machine import machine_facts, say_once

    device = configure_device(threads=job.threads, precision=job.recipe.fit.precision)
    if device.kind == "cpu" and machine_facts()["gpu"] is None:  # an unusable GPU has its own line
        say_once("no GPU was found: training on the CPU")
    from convnet.training.train import TrainingFailedError, train_job

    _spare_imports()
    start = time.monotonic()
    try:
        train_job(job)
        remember(job, time.monotonic() - start)
    except (TrainingFailedError, UserError) as error:
        return str(error) if str(error).startswith(job.label) else f"{job.label}: {error}"
    except Exception as error:  # the other jobs go on
        sentence = f"{job.label}: {type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
        with suppress(OSError, UserError):  # on a full disk the sentence is all
            write_text(traceback_file(job), traceback.format_exc())
            sentence += f" (more in {traceback_file(job)})"
        return sentence
    return None


@cache
def _spare_imports() -> None:
    """Exempt what the imports made from the collection of garbage, which comes before every job: half a second."""
    gc.freeze()


def _delete_remains(folder: Path) -> None:
    """Delete files that a killed process left half written; under the lock nobody else writes here."""
    for path in [*folder.glob("*.partial"), *folder.glob(".*.partial*")]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
