"""Run jobs where params.yaml chooses; finished ones come from the store without loading Keras."""

from collections.abc import Sequence
from contextlib import nullcontext, suppress

from convnet.engine.forecast import forecast, work_of
from convnet.engine.job_log import JobLog
from convnet.engine.job_process import run_job, stored
from convnet.engine.local import Workers
from convnet.jobs.job import Job
from convnet.params.schema import Params
from convnet.system.errors import UserError
from convnet.system.processes import usable_cores


def choose_engine(params: Params, jobs: int | None, kind: str | None, address: str | None) -> Params:
    """Return the settings with an engine chosen on the command line; None keeps what params.yaml names.

    Raises:
        UserError: the choices contradict each other.
    """
    chosen = kind or params.engine.kind
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs is {jobs}; give 1 or more")
    if jobs is not None and chosen == "ray":
        raise UserError("--jobs counts processes of this machine, but the engine is ray: give --engine local with it")
    if address is not None and chosen != "ray":
        raise UserError("--address is that of a Ray cluster, but the engine is local: give --engine ray with it")
    given = {"parallel_jobs": jobs, "kind": kind, "address": address}
    changes = {key: value for key, value in given.items() if value is not None}
    return params.model_copy(update={"engine": params.engine.model_copy(update=changes)})


def run_jobs(
    jobs: Sequence[Job],
    params: Params,
    workers: Workers | None = None,
    whole: JobLog | None = None,
    ahead: Sequence[Job] = (),
) -> None:
    """Bring every job to a result in the store; a stored result that is damaged is trained again.

    Args:
        jobs: equal ones run once.
        params: the whole of params.yaml.
        workers: local processes that stay for the caller's next jobs; None: they end with these.
        whole: counts these jobs and the caller's others, and keeps their failures; None: count these alone.
        ahead: jobs of the caller's next calls, which `workers` begin rather than be idle.

    Raises:
        UserError: at least one job failed; the message names each and its reason. The others have their results.
    """
    distinct = {job.key: job for job in jobs}
    pending = [job for job in distinct.values() if not stored(job)]
    processes = parallel_processes(params, len(pending))
    log = whole or _log_of(pending, len(distinct) - len(pending), processes)
    if whole is not None:
        whole.found(job for job in distinct.values() if job not in pending)
    if not pending:
        return
    _run(pending, params, workers, log, ahead)
    if whole is None:
        log.close()


def _run(jobs: Sequence[Job], params: Params, workers: Workers | None, log: JobLog, ahead: Sequence[Job]) -> None:
    """Run jobs where params.yaml chooses: derived ones behind those that they are made from."""
    trained, derived = ([job for job in jobs if bool(job.members) == made] for made in (False, True))
    processes = parallel_processes(params, len(jobs) + len(ahead))
    if params.engine.kind == "ray":
        from convnet.engine.ray_cluster.driver import run_on_ray

        if trained:
            run_on_ray(trained, params.engine, log)
        trained, processes, workers = [], 1, None
    if workers is None and processes == 1:
        for job in trained + derived:
            log.ended(job, run_job(job, alone=True))
        return
    with Workers() if workers is None else nullcontext(workers) as used:
        for group in (trained, derived):
            used.run(group, processes, log, ahead)


def _log_of(pending: Sequence[Job], stored_jobs: int, processes: int) -> JobLog:
    """Return a count of these jobs; their forecast weighs them in the time left."""
    expected = None
    with suppress(UserError, OSError):  # arrays are missing: each job reports that
        seconds = forecast([work_of(job) for job in pending], processes)
        expected = seconds.by_label([job.label for job in pending])
    return JobLog(len(pending), stored_jobs, expected)


def parallel_processes(params: Params, jobs: int) -> int:
    """Return how many local processes run `jobs` jobs: never more than the cores can give their threads to."""
    by_cores = max(1, usable_cores() // params.engine.threads_per_job)
    return min(params.engine.parallel_jobs, by_cores, jobs)
