"""Run jobs on this machine; finished ones are taken from the store without loading Keras."""

import sys
from collections.abc import Sequence

from convnet.errors import UserError
from convnet.jobs import Job, facts, timing
from convnet.params import Params
from convnet.storage import write_json


def run_jobs(jobs: Sequence[Job], params: Params) -> None:
    """Bring every job to a result in the store.

    A job that fails is marked and named; the others go on.

    Raises:
        UserError: at least one job failed; the sentence names each and why.
    """
    failures = []
    pending = [job for job in jobs if not job.done]
    if len(pending) < len(jobs):
        print(f"{len(jobs) - len(pending)} of {len(jobs)} jobs were finished before", file=sys.stderr)
    if pending:
        # Here and not above: the import costs seconds, and finished jobs need none of it.
        from convnet.device import configure_device

        configure_device(threads=params.engine.threads_per_job, precision=pending[0].recipe.fit.precision)
        from convnet.training import TrainingFailedError, train_job

        for job in pending:
            try:
                train_job(job, seconds_between_checkpoints=params.checkpoints.seconds_between)
            except (TrainingFailedError, UserError) as error:
                write_json(job.folder / "failed.json", {"job": job.label, "reason": str(error)})
                failures.append(str(error))
            else:
                (job.folder / "failed.json").unlink(missing_ok=True)
                print(_line(job), file=sys.stderr, flush=True)
    if failures:
        raise UserError(f"{len(failures)} of {len(jobs)} jobs failed, the others are kept: " + "; ".join(failures))


def _line(job: Job) -> str:
    seconds, epochs = timing(job), facts(job)["epochs"]
    return (
        f"{job.label}: {epochs} epochs in {seconds['seconds_training']:.1f} s, "
        f"{seconds['images_per_second']:.0f} images/s"
    )
