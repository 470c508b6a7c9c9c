"""Run one job, in whatever process this is: under its lock, so that no two processes train the same one."""

import shutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from convnet.backend.memory import memory_advice
from convnet.jobs.job import Job
from convnet.jobs.store import damaged_file
from convnet.system.errors import UserError, printable
from convnet.system.files import write_text
from convnet.system.locks import locked


def stored(job: Job) -> bool:
    """Whether the store holds the job's result, whole; a damaged one is dropped, and a line on stderr says so.

    Every file of the result is read: ask once before it is taken.

    Raises:
        UserError: the result cannot be read.
    """
    if not job.done:
        return False
    if damaged_file(job) is None:
        return True
    with _locked(job):  # else it might be the result of a process that has mended it meanwhile
        return _drop_if_damaged(job)


def run_job(job: Job, alone: bool = False) -> str | None:
    """Bring a job to a result in the store, unless another process does so first.

    Args:
        job: what to train.
        alone: no other process would tell that this one was killed, so the next run of the job shall.

    Returns:
        None, or one sentence that names the job and says why it failed.
    """
    try:
        with _locked(job):
            if _drop_if_damaged(job):
                return None
            _clear_remains(job.folder)
            traceback_file(job).unlink(missing_ok=True)  # of an earlier run: it would explain another failure
            with _told_if_killed(job, alone):
                failure = _train(job)
            if failure is None:
                forget_failure(job)
            return failure
    except UserError as error:
        return f"{job.label}: {error}"
    except OSError as error:  # its folder: whatever is wrong there must not end the other jobs
        return f"{job.label}: {error.filename or job.folder} cannot be used ({error.strerror}): mend that and run again"


def traceback_file(job: Job) -> Path:
    """Return where the traceback of a job lies if it failed for a reason that no sentence foresees."""
    return job.folder / "traceback.txt"


def forget_failure(job: Job) -> None:
    """Remove what an earlier run of the job left when it failed."""
    for path in (job.folder / "failed.json", traceback_file(job), _mark(job)):
        path.unlink(missing_ok=True)


def _locked(job: Job) -> AbstractContextManager[None]:
    return locked(job.folder / "lock", waiting=f"{job.label} is being trained by another process: waiting for it")


def _drop_if_damaged(job: Job) -> bool:
    """Remove a damaged result, under the lock; return whether there is a whole one."""
    if job.done and (damaged := damaged_file(job)):
        _say(f"{damaged} is missing or damaged: {job.label} is trained again")
        shutil.rmtree(job.result)
    return job.done


@contextmanager
def _told_if_killed(job: Job, alone: bool) -> Iterator[None]:
    """Say that the job's process was killed the last time, and leave a mark that only a kill leaves behind."""
    if _mark(job).exists():
        advice = memory_advice(job.recipe.fit.batch_size)
        _say(f"{job.label}: its process was killed: going on from what it saved; if the memory ran out, {advice}")
    if alone:
        with suppress(OSError):  # a full disk is told by whoever writes more than nothing
            _mark(job).touch()
    try:
        yield
    finally:
        _mark(job).unlink(missing_ok=True)


def _mark(job: Job) -> Path:
    return job.folder / "training"


def _say(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)


def _train(job: Job) -> str | None:
    # Here and not above: the import costs seconds, and a job that is done needs none of it.
    from convnet.backend.device import configure_device
    from convnet.backend.machine import machine_facts, say_once

    device = configure_device(threads=job.threads, precision=job.recipe.fit.precision)
    if device.kind == "cpu" and machine_facts()["gpu"] is None:  # one that cannot be used has had its line
        say_once("no GPU was found: training on the CPU")
    from convnet.training.train import TrainingFailedError, train_job

    try:
        train_job(job)
    except (TrainingFailedError, UserError) as error:
        return str(error) if str(error).startswith(job.label) else f"{job.label}: {error}"
    except Exception as error:  # whatever is wrong with one job must not end the others
        sentence = f"{job.label}: {type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
        with suppress(OSError, UserError):  # on a full disk the sentence has to do
            write_text(traceback_file(job), traceback.format_exc())
            sentence += f" (more in {traceback_file(job)})"
        return sentence
    return None


def _clear_remains(folder: Path) -> None:
    """Remove what a killed process left half written; under the lock nobody else writes here."""
    for path in [*folder.glob("*.partial"), *folder.glob(".*.partial*")]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
