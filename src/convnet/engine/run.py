"""Bring jobs to results, where params.yaml says; finished ones are taken from the store without loading Keras."""

from collections.abc import Sequence

from convnet.engine.job_log import Tally
from convnet.engine.job_process import run_job, stored
from convnet.engine.local import run_in_processes
from convnet.jobs.job import Job
from convnet.params.schema import Params
from convnet.system.processes import usable_cores


def run_jobs(jobs: Sequence[Job], params: Params) -> None:
    """Bring every job to a result in the store.

    A job that fails is marked and named; the others go on. A stored result that is damaged is made anew.

    Raises:
        UserError: at least one job failed; the sentence names each and why.
    """
    distinct = {job.key: job for job in jobs}
    pending = [job for job in distinct.values() if not stored(job)]
    tally = Tally(len(pending), len(distinct) - len(pending))
    processes = parallel_processes(params, len(pending))
    if not pending:
        return
    if params.engine.kind == "ray":
        from convnet.engine.ray_cluster.driver import run_on_ray

        run_on_ray(pending, params.engine, tally)
    elif processes > 1:
        run_in_processes(pending, processes, tally)
    else:
        for job in pending:
            tally.ended(job, run_job(job, alone=True))
    tally.close()


def parallel_processes(params: Params, jobs: int) -> int:
    """Return how many local processes run `jobs` jobs: never more than the cores can give their threads to."""
    by_cores = max(1, usable_cores() // params.engine.threads_per_job)
    return min(params.engine.parallel_jobs, by_cores, jobs)
