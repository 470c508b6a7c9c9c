"""Run jobs where params.yaml chooses; finished ones come from the store without loading Keras."""

from collections.abc import Sequence

from convnet.engine.job_log import JobLog
from convnet.engine.job_process import run_job, stored
from convnet.engine.local import Workers
from convnet.jobs.job import Job
from convnet.params.schema import Params
from convnet.system.processes import usable_cores


def run_jobs(jobs: Sequence[Job], params: Params, workers: Workers | None = None) -> None:
    """Bring every job to a result in the store; a stored result that is damaged is trained again.

    Args:
        jobs: equal ones run once.
        params: the whole of params.yaml.
        workers: local processes that stay for the caller's next jobs; None: they end with these.

    Raises:
        UserError: at least one job failed; the message names each and its reason. The others have their results.
    """
    distinct = {job.key: job for job in jobs}
    pending = [job for job in distinct.values() if not stored(job)]
    log = JobLog(len(pending), len(distinct) - len(pending))
    if not pending:
        return
    processes = parallel_processes(params, len(pending))
    if params.engine.kind == "ray":
        from convnet.engine.ray_cluster.driver import run_on_ray

        run_on_ray(pending, params.engine, log)
    elif workers is not None:
        workers.run(pending, processes, log)
    elif processes > 1:
        with Workers() as own:
            own.run(pending, processes, log)
    else:
        for job in pending:
            log.ended(job, run_job(job, alone=True))
    log.close()


def parallel_processes(params: Params, jobs: int) -> int:
    """Return how many local processes run `jobs` jobs: never more than the cores can give their threads to."""
    by_cores = max(1, usable_cores() // params.engine.threads_per_job)
    return min(params.engine.parallel_jobs, by_cores, jobs)
