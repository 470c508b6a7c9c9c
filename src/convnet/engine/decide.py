"""Train to one declared look after the other until every comparison is decided or stops.

The state is seeds.yaml and the job store, so a killed run goes on where it was. docs/method.md shows why any order and
any end keep the error rate.
"""

import itertools
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from convnet.comparison.power import chance_words
from convnet.comparison.schema import Verdict
from convnet.comparison.verdict import verdict
from convnet.engine.data_stages import dvc_repro
from convnet.engine.forecast import duration
from convnet.engine.local import Workers
from convnet.engine.next_look import Step, seeds_for, steps_of
from convnet.engine.queue import (
    ARRAYS,
    RunForecast,
    before_jobs,
    forecast_run,
    jobs_of_variants,
    train_all,
    train_more,
)
from convnet.engine.run import parallel_processes
from convnet.evaluation.evaluate import evaluate
from convnet.evaluation.schema import Evaluation
from convnet.jobs.gather import gather
from convnet.jobs.job import Job
from convnet.jobs.pretraining import pretraining_jobs
from convnet.params.schema import Params
from convnet.params.seeds import FILE, raised, write_numbers
from convnet.system.errors import UserError, printable
from convnet.system.formats import plural
from convnet.system.language import mark, tr

PAGE = Path("reports/index.html")  # where dvc.yaml puts it


@dataclass(frozen=True)
class Block:
    """Comparisons that go on together."""

    steps: Sequence[Step]
    params: Params  # with the numbers of seeds that they need
    forecast: RunForecast

    @property
    def seconds(self) -> float:
        """Forecast seconds; 0 if unknown."""
        known = self.forecast.of_pending
        return (known and known.total) or 0.0

    @property
    def value(self) -> float:
        """Return the chance of a decision per second."""
        return sum(step.chance for step in self.steps) / max(self.seconds, 1e-3)


class Study:
    """The jobs of params.yaml, and the verdicts on those that are done."""

    def __init__(self, params: Params, looks: Sequence[int]) -> None:
        self.looks = looks
        self._evaluations: dict[tuple[str, ...], Evaluation] = {}
        self.params = params

    def go_on(self, params: Params) -> None:
        """Take larger numbers of seeds, also for a later start of the program."""
        write_numbers(params.numbers, Path(FILE))
        self.params = params

    def verdicts(self, seeds: Sequence[int] | None = None) -> list[Verdict]:
        """Return the verdict on each dataset, from the job store: on all its jobs, or on those of some seeds."""
        return [self._verdict(dataset, seeds) for dataset in self.params.run.datasets]

    def _verdict(self, dataset: str, seeds: Sequence[int] | None) -> Verdict:
        params = self.params
        with TemporaryDirectory(prefix="judge-") as folder:
            planned = jobs_of_variants(params, dataset, Path(folder) / "start", seeds)
            evaluations = [self._evaluation(dataset, jobs, Path(folder) / name) for name, jobs in planned.items()]
        against = {variant: params.against(variant) for variant in params.run.variants}
        return verdict(evaluations, (), against, params.run.margin / 100, looks=self.looks)

    def _evaluation(self, dataset: str, jobs: Sequence[Job], folder: Path) -> Evaluation:
        keys = tuple(job.key for job in jobs)
        if keys not in self._evaluations:
            gather(jobs, folder)
            self._evaluations[keys] = evaluate(ARRAYS / dataset, folder)
        return self._evaluations[keys]

    def block(self, steps: Sequence[Step]) -> Block:
        """Return the block of some steps."""
        params = self.params.with_numbers(raised(self.params.numbers, seeds_for(self.params, steps)))
        return Block(steps, params, forecast_run(params))


def decide(params: Params, minutes: float | None = None, until: int | None = None) -> None:
    """Train all variants to the first look, and go on with the comparisons that are still open.

    Args:
        params: the whole of params.yaml.
        minutes: start no block that ends later by its forecast; None: no limit.
        until: the last look to go to; None: the last one of params.yaml.

    Raises:
        UserError: `until` is not a look, `minutes` is not positive, or a job failed.
    """
    started = time.monotonic()
    if minutes is not None and minutes <= 0:
        raise UserError(f"--minutes is {minutes}; give more than 0")
    looks = params.run.declared_looks or (len(params.run.seeds),)
    if until is not None and until not in looks:
        raise UserError(f"--until is {until}; run.looks has {', '.join(map(str, looks))}")
    reachable = [look for look in looks if until is None or look <= until]
    study = Study(params, looks)
    with Workers() as workers:
        _make_data(params, workers)
        _print_plan(study, reachable, minutes)
        study.go_on(_all_at(params, reachable[0]))
        _train_to_first_look(study, reachable, workers)
        while True:
            found = study.verdicts()
            steps = [step for verdict in found for step in steps_of(verdict, reachable)]
            going = [step for step in steps if step.look is not None]
            left = None if minutes is None else started + 60 * minutes - time.monotonic()
            block = _next(study, going, left)
            if block is None:
                break
            _show(params, found, partial(map, _going_on, block.steps))
            for step in block.steps:
                _line(_going_on(step))
            study.go_on(block.params)
            train_more(study.params, workers)
    _print_end(study, steps, reachable, time.monotonic() - started)


def _train_to_first_look(study: Study, looks: Sequence[int], workers: Workers) -> None:
    """Train all variants to the first look; behind the first seed of each there is a provisional page."""

    def early() -> None:
        found = study.verdicts(study.params.run.seeds[:1])
        _show(study.params, found, lambda: _plan(study.params, looks))

    train_all(study.params, workers, early if _has_early_page(study.params, looks[0]) else None)


def _has_early_page(params: Params, look: int) -> bool:
    """Return whether the first seeds train apart: they fill this machine, and more is to come up to the first look."""
    if params.engine.kind == "ray":  # a cluster starts all seeds at once
        return False
    first_seeds = len(params.run.datasets) * len(params.run.variants)
    if parallel_processes(params, sys.maxsize) > first_seeds:
        return False
    return bool(forecast_run(_all_at(params.with_numbers({}), look)).pending)


def _show(params: Params, verdicts: Sequence[Verdict], plan: Callable[[], Iterable[str]]) -> None:
    from convnet.report.catalogue import in_language
    from convnet.report.provisional import write_provisional  # imported late: the style of figures costs a second

    with in_language(params.report.language):
        write_provisional(verdicts, [*plan()], PAGE)


def _next(study: Study, going: Sequence[Step], seconds_left: float | None) -> Block | None:
    """Return the next block: all steps, or with a limit of time those with the largest chance per second."""
    if not going:
        return None
    if seconds_left is None:
        return study.block(going)
    chosen: list[Step] = []
    for block in sorted((study.block([step]) for step in going), key=lambda block: block.value, reverse=True):
        together = study.block([*chosen, *block.steps])
        if together.seconds > seconds_left or seconds_left <= 0:
            continue
        chosen += block.steps
        # A cluster takes all at once.
        enough = 2 * parallel_processes(study.params, sys.maxsize)
        if study.params.engine.kind == "local" and len(together.forecast.pending) >= enough:
            break
    return study.block(chosen) if chosen else None


def _all_at(params: Params, look: int) -> Params:
    """Return the settings with at least `look` seeds of each variant; an ensemble counts once."""
    wanted: dict[tuple[str, str], int] = {}
    for dataset, variant in itertools.product(params.run.datasets, params.run.variants):
        trained, seeds = params.trained_for(variant, look)
        if seeds > len(params.run.seeds):
            wanted[dataset, trained] = max(seeds, wanted.get((dataset, trained), 0))
    return params.with_numbers(raised(params.numbers, wanted))


def _make_data(params: Params, workers: Workers) -> None:
    """Make the data of the jobs. They keep few cores busy, so backbones that are trained here begin meanwhile."""
    with dvc_repro(before_jobs(params)):
        if params.engine.kind == "local":
            for job in pretraining_jobs(params):
                if not job.done:
                    workers.begin(job)


def _print_plan(study: Study, looks: Sequence[int], minutes: float | None) -> None:
    for line in _plan(study.params, looks):
        _line(line)
    if len(looks) > 1:
        limit = "" if minutes is None else f", within {minutes:g} min"
        _line(f"only comparisons that are still open go on from {looks[0]} seeds{limit}")


def _plan(params: Params, looks: Sequence[int]) -> list[str]:
    words = mark("all variants at {look} seeds: {forecast}")
    return [tr(words, look=look, forecast=forecast_run(_all_at(params, look))) for look in looks]


def _going_on(step: Step) -> str:
    words = mark("{job} goes on to {look} seeds (chance {chance})")
    return tr(words, job=f"{step.dataset}/{step.row.variant}", look=step.look, chance=chance_words(step.chance))


def _print_end(study: Study, steps: Sequence[Step], looks: Sequence[int], seconds: float) -> None:
    for step in steps:
        if step.look is not None:
            reason = f"not decided: the minutes are used before the look at {step.look} seeds"
            step = replace(step, reason=reason)
        _line(str(step))
    done = forecast_run(study.params)
    jobs = done.stored + len(done.pending)
    _line(f"{plural(jobs, 'job')}, {duration(seconds)}; {_plan(study.params, looks[-1:])[0]}")


def _line(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)
