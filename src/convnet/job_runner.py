"""Run one job, in whatever process this is: under its lock, so that no two processes train the same one."""

import shutil
import traceback
from pathlib import Path

from convnet.errors import UserError
from convnet.file_lock import locked
from convnet.jobs import Job
from convnet.storage import write_text


def run_job(job: Job, seconds_between_checkpoints: float) -> str | None:
    """Bring a job to a result in the store, unless another process does so first.

    Args:
        job: what to train.
        seconds_between_checkpoints: how often its state is saved.

    Returns:
        None, or one sentence that names the job and says why it failed.
    """
    with locked(job.folder / "lock", waiting=f"{job.label} is being trained by another process: waiting for it"):
        if job.done:
            return None
        _clear_remains(job.folder)
        traceback_file(job).unlink(missing_ok=True)  # of an earlier run: it would explain another failure
        failure = _train(job, seconds_between_checkpoints)
        if failure is None:
            forget_failure(job)
        return failure


def traceback_file(job: Job) -> Path:
    """Return where the traceback of a job lies if it failed for a reason that no sentence foresees."""
    return job.folder / "traceback.txt"


def forget_failure(job: Job) -> None:
    """Remove what an earlier run of the job left when it failed."""
    (job.folder / "failed.json").unlink(missing_ok=True)
    traceback_file(job).unlink(missing_ok=True)


def _train(job: Job, seconds_between_checkpoints: float) -> str | None:
    # Here and not above: the import costs seconds, and a job that is done needs none of it.
    from convnet.device import configure_device, machine_facts, say_once

    device = configure_device(threads=job.threads, precision=job.recipe.fit.precision)
    if device.kind == "cpu" and machine_facts()["gpu"] is None:  # one that cannot be used has had its line
        say_once("no GPU was found: training on the CPU")
    from convnet.training import TrainingFailedError, train_job

    try:
        train_job(job, seconds_between_checkpoints=seconds_between_checkpoints)
    except (TrainingFailedError, UserError) as error:
        return str(error) if str(error).startswith(job.label) else f"{job.label}: {error}"
    except Exception as error:  # whatever is wrong with one job must not end the others
        write_text(traceback_file(job), traceback.format_exc())
        reason = next(iter(str(error).splitlines()), "")
        return f"{job.label}: {type(error).__name__}: {reason} (more in {traceback_file(job)})"
    return None


def _clear_remains(folder: Path) -> None:
    """Remove what a killed process left half written; under the lock nobody else writes here."""
    for path in [*folder.glob("*.partial"), *folder.glob(".*.partial*")]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
