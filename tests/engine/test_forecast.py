"""How long jobs take: computed by hand from one earlier job, and the sentence about a run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convnet.engine import forecast as module
from convnet.engine.forecast import LIBRARIES_START, Forecast, Work, duration, forecast, remember, sentence, work_of
from convnet.engine.job_log import JobLog
from convnet.jobs.job import Job
from convnet.params.recipe import resolve
from convnet.system.files import write_json
from helpers import tiny_study as tiny

AROUND, TRAINING, PREDICTING, EPOCHS = 1.5, 4.0, 0.5, 2
TRAIN, VALIDATION, TEST = tiny.COUNTS["train"], tiny.COUNTS["validation"], tiny.COUNTS["test"]


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "_machine", lambda: {"gpu": None, "cores": 2})


def plan(**changes: Any) -> Job:
    (job,) = tiny.pixel_jobs(Path(), **changes)
    return job


def trained(job: Job, epochs: int = EPOCHS, seconds: float = AROUND + TRAINING + PREDICTING) -> Job:
    """Store what a job of four seconds leaves, and its rate."""
    write_json(job.result / "facts.json", {"epochs": epochs})
    write_json(job.result / "timing.json", {"seconds_training": TRAINING, "seconds_predicting": PREDICTING})
    remember(job, seconds)
    return job


def seconds_of(job: Job) -> float:
    (found,) = forecast([work_of(job)], 1).seconds
    assert found is not None
    return found


def is_rough(job: Job) -> bool:
    return forecast([work_of(job)], 1).rough


def test_equal_job_takes_as_long_as_the_earlier_one() -> None:
    assert is_rough(plan())
    trained(plan())
    assert not is_rough(plan())
    assert seconds_of(plan()) == pytest.approx(AROUND + TRAINING + PREDICTING)


def test_training_grows_with_epochs_and_images_and_predicting_with_images() -> None:
    trained(plan())
    assert seconds_of(plan(epochs=5 * EPOCHS)) == pytest.approx(AROUND + 5 * TRAINING + PREDICTING)
    half = replace(plan(), share=0.5)
    training = TRAINING * (TRAIN / 2 + VALIDATION / 3) / (TRAIN + VALIDATION / 3)
    predicting = PREDICTING * (TRAIN / 2 + VALIDATION + TEST) / (TRAIN + VALIDATION + TEST)
    assert seconds_of(half) == pytest.approx(AROUND + training + predicting)


def test_rate_holds_for_what_computes_the_same_and_for_nothing_else() -> None:
    trained(plan())
    for changes in ({"learning_rate": 0.5}, {"epochs": 9}, {"early_stopping": 3}, {"seeds": (7,)}):
        assert not is_rough(plan(**changes)), changes
    assert is_rough(plan(batch_size=4))
    assert is_rough(plan(variant="augmented"))
    assert is_rough(replace(plan(), threads=1))


def test_job_that_ends_by_itself_takes_its_cap_until_one_has_ended() -> None:
    trained(plan())
    stops = plan(early_stopping=1, epochs=10 * EPOCHS)
    assert seconds_of(stops) == pytest.approx(AROUND + 10 * TRAINING + PREDICTING)
    trained(stops, epochs=4 * EPOCHS)  # as long a training for four times the epochs
    assert seconds_of(stops) == pytest.approx(AROUND + TRAINING + PREDICTING)


def test_resumed_job_leaves_no_rate() -> None:
    trained(plan(), seconds=TRAINING / 2)
    assert is_rough(plan())


def test_damaged_rate_counts_as_none() -> None:
    trained(plan())
    (rate,) = Path(".jobs").glob("rate-*.json")
    rate.write_text("{}")
    assert is_rough(plan())


def test_processes_share_the_jobs_and_the_longest_begins_first() -> None:
    trained(plan())
    works = [work_of(plan(epochs=epochs * EPOCHS)) for epochs in (1, 1, 3)]  # 6, 6 and 14 seconds
    assert forecast(works, 1).total == pytest.approx(LIBRARIES_START + 26.0)
    assert forecast(works, 2).total == pytest.approx(LIBRARIES_START + 14.0)
    assert forecast(works, 9).total == pytest.approx(LIBRARIES_START + 14.0)


def test_unknown_kinds_are_ordered_by_their_multiplications(tmp_path: Path) -> None:
    params = tiny.params(tmp_path)
    backbone = params.backbones["compact"]
    works = {v: Work(resolve(params, "pets", v), 400, 100, 100, 1, backbone) for v in params.run.variants}
    rough = forecast(list(works.values()), 1)
    assert rough.rough
    assert all(each is not None and 0 < each < 600 for each in rough.seconds)
    large = replace(works["baseline"], recipe=works["baseline"].recipe.model_copy(update={"image_size": (150, 150)}))
    small, more = forecast([works["baseline"], large], 1).seconds
    assert small is not None
    assert more is not None
    assert more > small


def test_gpu_without_an_earlier_job_has_no_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_machine", lambda: {"gpu": "H100", "cores": 2})
    found = forecast([work_of(plan())], 1)
    assert (found.seconds, found.total) == ((None,), None)
    assert found.by_label(["a"]) is None
    assert sentence(1, 0, found).startswith("1 job, 0 stored; the time is unknown")


def test_sentences() -> None:
    assert sentence(36, 9, Forecast((), 360.0, rough=False)) == "36 jobs, 9 stored, about 6 min on this machine"
    assert sentence(36, 0, Forecast((), 9000.0, rough=True)) == "36 jobs, 0 stored, roughly 2.5 h on this machine"
    assert sentence(2, 2, forecast([], 2)) == "2 jobs, 2 stored"
    assert sentence(2, 1, None) == "2 jobs, 1 stored"
    assert [duration(seconds) for seconds in (4.4, 89, 90, 5399, 5400)] == ["4 s", "89 s", "2 min", "90 min", "1.5 h"]


def test_log_counts_all_jobs_and_weighs_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("convnet.engine.job_log.time.monotonic", lambda: now[0])
    lines: list[str] = []
    monkeypatch.setattr(JobLog, "line", lambda _, text: lines.append(text))
    short, long = plan(), plan(seeds=(1,))
    stored = plan(seeds=(2,))
    log = JobLog(3, 4, {short.label: 10.0, long.label: 60.0, stored.label: 99.0}, opening="7 jobs, 4 stored")
    log.found([stored])
    write_json(short.result / "facts.json", {"epochs": 2})
    write_json(short.result / "timing.json", {"seconds_training": 8.0, "images_per_second": 10.0})
    now[0] += 20.0  # twice as slow as expected
    log.ended(short, None)
    assert lines[0] == "7 jobs, 4 stored"
    assert lines[1].startswith("[6/7] tiny/baseline seed 0: 2 epochs in 8.0 s, 10 images/s; together ")
    assert lines[1].endswith(" images/s, 2 min left")
    log.ended(long, "no")
    assert lines[2] == "[7/7] failed: no"
