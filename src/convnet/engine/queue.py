"""Train every job of params.yaml: all datasets, variants, seeds and shares, on all processes or machines.

`dvc repro` trains one stage after the other, and each waits for its own few jobs. Here all jobs share one queue. Their
results go into the job store, and `dvc repro` finds them there.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from convnet.engine import data_stages
from convnet.engine.forecast import Forecast, forecast, sentence, work_of
from convnet.engine.job_log import JobLog
from convnet.engine.local import Workers
from convnet.engine.run import parallel_processes, run_jobs
from convnet.engine.tuning import use_tuning
from convnet.jobs.gather import gather
from convnet.jobs.job import Job, UsedBackbone
from convnet.jobs.planning import plan_jobs
from convnet.params.recipe import BackboneRecipe
from convnet.params.schema import Params
from convnet.system.errors import UserError

# Where dvc.yaml puts outputs.
ARRAYS, FEATURES, BACKBONES = Path("data/arrays"), Path("data/features"), Path("data/backbones")
TUNING = Path("data/tuning")


def before_jobs(params: Params) -> str:
    """Return the stage behind which the settings of all jobs are known."""
    return data_stages.TRIALS if params.tuning.trials else data_stages.BEFORE_PIXELS


def train_all(params: Params, workers: Workers | None = None, early: Callable[[], None] | None = None) -> None:
    """Run all jobs, each kind once its inputs exist; the outputs of `before_jobs` exist.

    Args:
        params: the whole of params.yaml.
        workers: local processes that stay for the caller's next jobs; None: they end with these.
        early: the first seed of all variants trains first, and this is called behind it unless a job failed.

    Raises:
        UserError: the features cannot be made, or at least one job failed; the others have their results.
    """
    seeds = None if early is None else params.run.seeds[:1]
    with _Queue(params, workers) as queue:
        with data_stages.dvc_repro(data_stages.BEFORE_HEADS):  # beside: pixels need no features
            queue.run(queue.pixels, seeds)
        queue.run_behind_features(seeds)
        if early is not None:
            if not queue.failed:
                early()
            queue.run_behind_features()


def train_more(params: Params, workers: Workers) -> None:
    """Run all jobs; the data exist. Arguments and errors are those of `train_all`."""
    with _Queue(params, workers) as queue:
        queue.run_behind_features()


class _Queue:
    """Runs the jobs of a run in several calls, and raises for all failures at the end.

    Attributes:
        pixels: the jobs that need only arrays.
    """

    def __init__(self, params: Params, workers: Workers | None) -> None:
        self._params, self._workers, self._log = params, workers or Workers(), _begin(params)
        self.pixels = pixel_jobs(params)
        self._ends_workers = workers is None
        self._begun: set[str] = set()  # keys of jobs
        self._failures: list[str] = []

    @property
    def failed(self) -> bool:
        """Whether a job has failed."""
        return bool(self._log.failures or self._failures)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._ends_workers:
            self._workers.__exit__()
        if kind is not None:
            return
        self._attempt(self._log.close)
        if self._failures:
            raise UserError("; ".join(self._failures))

    def run(self, jobs: Sequence[Job], seeds: Sequence[int] | None = None) -> None:
        """Run jobs that this queue has not run yet, the longest first; with `seeds` only those of these seeds.

        A process that has none of them begins a job of pixels, which a later call waits for.
        """
        chosen = [job for job in self._left(jobs) if _is_of(job, seeds)]
        self._begun |= {job.key for job in chosen}
        others = [job for job in self._left(self.pixels) if not (job.members or job.done)]
        first, ahead = _longest_first(chosen), _longest_first(others)
        self._attempt(lambda: run_jobs(first, self._params, self._workers, self._log, ahead))

    def run_behind_features(self, seeds: Sequence[int] | None = None) -> None:
        """Run the jobs that have not run yet; the data exist. Those that others wait for come first."""
        self.run(head_jobs(self._params), seeds)
        with TemporaryDirectory(prefix="start-") as folder:
            ready, waiting = fine_tune_jobs(self._params, Path(folder))
            for job in waiting:
                if _is_of(job, seeds):
                    start = self._params.start_of(job.recipe.variant)
                    self._log.line_once(f"{job.label} is skipped: {start} has not finished")
            self.run(ready, seeds)
        self.run(self.pixels, seeds)

    def _left(self, jobs: Sequence[Job]) -> list[Job]:
        """Return each job once that no call has run, and that did not fail ahead of one."""
        ended = self._begun | self._log.failed_keys
        return [*{job.key: job for job in jobs if job.key not in ended}.values()]

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except UserError as error:
            self._failures.append(str(error))


@dataclass(frozen=True)
class RunForecast:
    """How long the jobs of a run take.

    Attributes:
        pending: the jobs without a result, each once.
        stored: how many others have one.
        of_pending: how long the pending jobs take on this machine; None where a cluster trains them.
    """

    pending: tuple[Job, ...]
    stored: int
    of_pending: Forecast | None

    def __str__(self) -> str:
        return sentence(len(self.pending) + self.stored, self.stored, self.of_pending)


def forecast_run(params: Params) -> RunForecast:
    """Return the forecast of all jobs of params.yaml.

    The arrays exist. A job whose other inputs do not exist yet is pending.
    """
    distinct = {job.key: job for job in _all_jobs(params)}
    pending = tuple(job for job in distinct.values() if not job.done)
    found = None
    if params.engine.kind == "local":
        found = forecast([work_of(job) for job in pending], parallel_processes(params, len(pending)))
    return RunForecast(pending, len(distinct) - len(pending), found)


def _begin(params: Params) -> JobLog:
    found = forecast_run(params)
    labels = [job.label for job in found.pending]
    expected = None if found.of_pending is None else found.of_pending.by_label(labels)
    return JobLog(len(found.pending), found.stored, expected, opening=str(found))


def unfinished(params: Params) -> list[str]:
    """Return one line for each job without a result; jobs that wait for another variant come last."""
    with TemporaryDirectory(prefix="start-") as folder:
        ready, waiting = fine_tune_jobs(params, Path(folder))
    distinct: dict[str, Job] = {}
    for job in [*pixel_jobs(params), *head_jobs(params), *ready]:
        distinct.setdefault(job.key, job)
    lines = [job.label for job in distinct.values() if not job.done]
    return lines + [f"{job.label} (waits for {params.start_of(job.recipe.variant)})" for job in waiting]


def pixel_jobs(params: Params) -> list[Job]:
    """Return the jobs that need only arrays, those of the size sweep included."""
    return _first_jobs(params, params.run.pixel_variants, heads=False)


def head_jobs(params: Params) -> list[Job]:
    """Return the jobs that need features, those of the size sweep included."""
    return _first_jobs(params, params.run.feature_variants, heads=True)


def _all_jobs(params: Params) -> list[Job]:
    """Return the jobs of the run; without the features that they need, some have keys of no result."""
    jobs = pixel_jobs(params)
    try:
        with TemporaryDirectory(prefix="start-") as folder:
            ready, waiting = fine_tune_jobs(params, Path(folder))
            return [*jobs, *head_jobs(params), *ready, *waiting]
    except UserError:
        return jobs + [job for dataset in params.run.datasets
                       for variant in params.run.feature_variants + params.run.fine_tune_variants
                       for job in _without_features(params, dataset, variant)]  # fmt: skip


def _without_features(params: Params, dataset: str, variant: str) -> list[Job]:
    """Return jobs with a backbone whose weights and features do not exist yet."""
    jobs = []
    for job in plan_jobs(params, variant, ARRAYS / dataset):
        assert isinstance(job.recipe, BackboneRecipe)
        name = job.recipe.backbone
        used = UsedBackbone(name, params.backbones[name], BACKBONES / dataset, job.recipe.last_layer)
        jobs.append(replace(job, backbone=used))
    return jobs


def _first_jobs(params: Params, variants: Sequence[str], heads: bool) -> list[Job]:
    jobs = [job for dataset in params.run.datasets for variant in variants for job in _plan(params, dataset, variant)]
    alike = params.with_numbers({})  # all sizes with the same seeds
    swept = [(dataset, name) for dataset in params.run.datasets for name in params.swept(dataset)]
    return jobs + [job for dataset, variant in swept if bool(params.variants[variant].transfer) == heads
                   for share in params.sweep.shares for job in _plan(alike, dataset, variant, share=share)]  # fmt: skip


def fine_tune_jobs(params: Params, folder: Path) -> tuple[list[Job], list[Job]]:
    """Return the fine-tune jobs whose start models exist, and those that wait for them.

    Args:
        params: the whole of params.yaml.
        folder: the start models are gathered there.
    """
    ready: list[Job] = []
    waiting: list[Job] = []
    tuned = params.run.fine_tune_variants
    for dataset, start in itertools.product(params.run.datasets, sorted({params.start_of(name) for name in tuned})):
        started, gathered = _plan(params, dataset, start), folder / dataset / start
        done = [job for job in started if job.done]
        if done:
            gather(done, gathered)
        for variant in (name for name in tuned if params.start_of(name) == start):
            planned = _plan(params, dataset, variant, start=gathered) if done else []
            ready += planned
            seeds = {job.seed for job in planned}
            waiting += [job for job in _plan(params, dataset, variant) if job.seed not in seeds]
    return ready, waiting


def jobs_of_variants(
    params: Params, dataset: str, folder: Path, seeds: Sequence[int] | None = None
) -> dict[str, list[Job]]:
    """Return the jobs of every variant of a dataset; the start models are gathered in `folder`.

    With `seeds`, only jobs of these seeds. An ensemble of more seeds then has none, and is left out.
    """

    def planned(variant: str, start: Path | None = None) -> list[Job]:
        jobs = _plan(params, dataset, variant, start=start)
        return [job for job in jobs if _is_of(job, seeds)]

    run = params.run
    jobs = {variant: planned(variant) for variant in run.pixel_variants + run.feature_variants}
    if run.fine_tune_variants:
        gather(jobs[params.fine_tune.start], folder)
    jobs |= {variant: planned(variant, folder) for variant in run.fine_tune_variants}
    return {variant: found for variant, found in jobs.items() if found}


def _plan(params: Params, dataset: str, variant: str, *, start: Path | None = None, share: float = 1.0) -> list[Job]:
    arrays, features, backbone = ARRAYS / dataset, FEATURES / dataset, BACKBONES / dataset
    if params.tuning.trials:
        params = use_tuning(params, TUNING / f"{dataset}.json")
    return plan_jobs(params, variant, arrays, features=features, backbone=backbone, start=start, share=share)


def _is_of(job: Job, seeds: Sequence[int] | None) -> bool:
    """Return whether a job is of these seeds; None: of all."""
    return seeds is None or all(member.seed in seeds for member in job.members or (job,))


def _longest_first(jobs: Sequence[Job]) -> list[Job]:
    """Return jobs in an order in which no long one begins last; about equal ones stay together."""
    known = [each for each in forecast([work_of(job) for job in jobs], 1).seconds if each is not None]
    if len(known) < len(jobs):  # nothing has run on this GPU
        known = [job.recipe.fit.epochs * math.prod(job.recipe.image_size) * job.share for job in jobs]
    order = sorted(range(len(jobs)), key=lambda number: float(f"{known[number]:.1g}"), reverse=True)
    return [jobs[number] for number in order]
