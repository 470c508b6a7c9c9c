"""The course of `convnet decide` with verdicts and forecasts that are given: order of blocks, every end, the pages."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import convnet.engine.decide as engine
from convnet.comparison.schema import Verdict
from convnet.engine.decide import Block, decide
from convnet.engine.forecast import Forecast
from convnet.engine.local import Workers
from convnet.engine.next_look import Step
from convnet.engine.queue import RunForecast
from convnet.engine.run import choose_engine
from convnet.jobs.job import Job
from convnet.jobs.pretraining import pretraining_job
from convnet.params.schema import Params
from convnet.system.files import write_json
from engine.test_next_look import altered, judged, step
from helpers import tiny_study as tiny

OPEN = {seeds: judged(0.08, seeds, deviation=0.05) for seeds in (3, 5)}  # by number of seeds
LOOKS = {"run.looks": [3, 5, 10], "run.seeds": [0, 1, 2], "engine.parallel_jobs": 1}

PETS = {  # what the verdicts are about
    "run.datasets": ["pets"],
    "run.pixel_variants": ["baseline", "dropout"],
    "run.feature_variants": [],
    "run.fine_tune_variants": [],
}


def forecast_of(seconds: float, jobs: int = 2) -> RunForecast:
    return RunForecast((None,) * jobs, 0, Forecast((seconds / jobs,) * jobs, seconds, rough=False))  # type: ignore[arg-type]


class Course:
    """Runs `decide` with given verdicts, one after the other, and keeps the numbers of seeds of each training."""

    def __init__(
        self, folder: Path, verdicts: Sequence[Verdict], seconds: float = 60.0, changes: Mapping[str, Any] | None = None
    ) -> None:
        self.made: list[str] = []  # stages
        self.trained: list[int] = []
        self.pages: list[str] = []
        self._folder, self._verdicts, self._seconds = folder, list(verdicts), seconds
        self._params = tiny.params(folder, {**LOOKS, **PETS, **(changes or {})})

    def run(self, patch: pytest.MonkeyPatch, **options: Any) -> None:
        patch.chdir(self._folder)
        patch.setattr(engine, "dvc_repro", self._make)
        patch.setattr(engine, "forecast_run", lambda params: forecast_of(self._seconds))
        patch.setattr(engine, "train_all", self._train_all)
        patch.setattr(engine, "train_more", lambda params, workers: self._train(params))
        patch.setattr(engine.Study, "verdicts", lambda study, seeds=None: [self._verdicts.pop(0)])
        decide(self._params, **options)

    @contextmanager
    def _make(self, stage: str) -> Iterator[None]:
        self.made.append(stage)
        yield

    def _train_all(self, params: Params, workers: object, early: Callable[[], None] | None) -> None:
        if early is not None:
            early()
            self._keep_page()
        self._train(params)

    def _train(self, params: Params) -> None:
        self._keep_page()
        self.trained.append(len(params.seeds_of("pets", "dropout")))

    def _keep_page(self) -> None:
        self.pages.append((self._folder / engine.PAGE).read_text("utf-8"))


def test_open_comparison_goes_on_look_by_look_and_pages_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    decided = altered(OPEN[5], decision="helps", mean=0.05, seeds=list(range(10)))
    course = Course(tmp_path, [judged(0.04, 1), OPEN[3], OPEN[5], decided])
    course.run(monkeypatch)
    assert course.trained == [3, 5, 10]
    assert all("This page is provisional" in page for page in course.pages)
    assert "Spent: none. To come for open comparisons: 3, 5 and 10." in course.pages[0]
    assert "Spent: 3. To come for open comparisons: 5 and 10." in course.pages[-2]
    assert "pets/dropout goes on to 10 seeds (chance about " in course.pages[-1]
    end = "pets/dropout against baseline: helps (+5.0 points), decided with 10 seeds"
    assert end in capsys.readouterr().err.splitlines()


def test_no_relevant_difference_is_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    course = Course(tmp_path, [judged(0.0, 1), altered(OPEN[3], decision="no relevant difference", mean=0.001)])
    course.run(monkeypatch)
    assert course.trained == [3]
    assert "no relevant difference (+0.1 points), decided with 3 seeds" in capsys.readouterr().err


def test_plan_needs_arrays_or_the_tuned_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, trials, stage in (("fixed", 0, "prepare"), ("tuned", 2, "tune")):
        verdicts = [judged(0.08, 1), altered(OPEN[3], decision="helps")]
        (tmp_path / folder).mkdir()
        course = Course(tmp_path / folder, verdicts, changes={"tuning": {"trials": trials, "seed": 1000}})
        course.run(monkeypatch)
        assert course.made == [stage]


def test_minutes_that_are_used_are_an_end_behind_the_first_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    course = Course(tmp_path, [judged(0.04, 1), OPEN[3]], seconds=90.0)
    course.run(monkeypatch, minutes=1.0)
    assert course.trained == [3]
    error = capsys.readouterr().err
    assert "only comparisons that are still open go on from 3 seeds, within 1 min" in error
    assert "not decided: the minutes are used before the look at 5 seeds" in error


def test_until_names_the_last_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    course = Course(tmp_path, [judged(0.04, 1), OPEN[3], OPEN[5]])
    course.run(monkeypatch, until=5)
    assert course.trained == [3, 5]
    error = capsys.readouterr().err
    assert "all variants at 10 seeds" not in error
    assert "the last look is over, with 5 seeds" in error


class Times:
    """A study whose blocks take known seconds, by variant."""

    def __init__(self, params: Params, seconds: dict[str, float]) -> None:
        self.params, self._seconds = params, seconds

    def block(self, steps: Sequence[Step]) -> Block:
        total = sum(self._seconds[step.row.variant] for step in steps)
        return Block(steps, self.params, forecast_of(total, jobs=2 * len(steps)))


def test_largest_chance_per_minute_goes_first(tmp_path: Path) -> None:
    params = tiny.params(tmp_path, LOOKS)

    def next_of(
        chances: dict[str, float], seconds: dict[str, float], left: float | None, params: Params = params
    ) -> list[str]:
        row = step(OPEN[3]).row
        going = [
            Step("pets", row.model_copy(update={"variant": name}), 5, chance, "") for name, chance in chances.items()
        ]
        block = engine._next(Times(params, seconds), going, left)  # type: ignore[arg-type]
        return [] if block is None else [chosen.row.variant for chosen in block.steps]

    chances, seconds = {"slow": 0.9, "quick": 0.5, "idle": 0.1}, {"slow": 100.0, "quick": 10.0, "idle": 50.0}
    assert next_of(chances, seconds, 1000.0) == ["quick"]  # two jobs are enough for one process
    assert next_of(chances | {"slow": 0.9, "quick": 0.05}, seconds, 1000.0) == ["slow"]
    assert next_of(chances, seconds, 60.0) == ["quick"]
    assert next_of({"slow": 0.9, "idle": 0.1}, seconds, 60.0) == ["idle"]  # the other ends too late
    assert next_of(chances, seconds, 5.0) == []
    assert next_of(chances, seconds, None) == ["slow", "quick", "idle"]  # all together without a limit
    on_ray = params.model_copy(update={"engine": params.engine.model_copy(update={"kind": "ray"})})
    assert next_of(chances, seconds, 1000.0, on_ray) == ["quick", "slow", "idle"]


def test_backbones_that_are_trained_here_begin_beside_the_data_unless_they_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = {"backbones.compact.pretrain.images_per_class": 10, "backbones.compact.pretrain.image_size": [16, 16]}
    params = tiny.params(tmp_path, {**small, "run.feature_variants": ["transfer", "transfer_dropout"]})
    begun: list[Job] = []

    class Beginning(Workers):
        def begin(self, job: Job) -> None:
            assert stages == ["prepare"]  # they are at work
            begun.append(job)

    stages: list[str] = []

    @contextmanager
    def at_work(stage: str) -> Iterator[None]:
        stages.append(stage)
        yield
        stages.clear()

    monkeypatch.setattr(engine, "dvc_repro", at_work)
    engine._make_data(params, Beginning())
    assert [job.label for job in begun] == ["source/backbone compact seed 0"]  # one for both variants
    assert begun == [pretraining_job(params, "compact")]
    write_json(begun[0].result / "facts.json", {})
    engine._make_data(params, Beginning())
    assert len(begun) == 1
    shutil.rmtree(begun[0].result)
    engine._make_data(choose_engine(params, None, "ray", None), Beginning())  # a cluster trains elsewhere
    assert len(begun) == 1
