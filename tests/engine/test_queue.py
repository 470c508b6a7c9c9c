import argparse
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from convnet.cli import train
from convnet.cli.train import add_arguments, run
from convnet.engine import data_stages, queue
from convnet.engine.data_stages import BEFORE_HEADS, BEFORE_PIXELS
from convnet.engine.forecast import Forecast
from convnet.engine.job_log import JobLog
from convnet.engine.queue import ARRAYS, BACKBONES, FEATURES
from convnet.jobs.job import Job
from convnet.params.schema import Params
from convnet.system.errors import UserError
from convnet.system.files import file_digest, write_json
from helpers import tiny_study as tiny
from helpers.clones import PROJECT
from helpers.processes import end_by, hear_control_c

STAGES: dict[str, dict[str, Any]] = yaml.safe_load((PROJECT / "dvc.yaml").read_text("utf-8"))["stages"]


def test_data_are_where_the_pipeline_puts_them() -> None:
    places = {"prepare": [ARRAYS], "features": [BACKBONES, FEATURES]}
    for stage, folders in places.items():
        assert STAGES[stage]["outs"] == [f"{folder}/${{item.dataset}}" for folder in folders]
    assert {BEFORE_PIXELS, BEFORE_HEADS} == set(places)
    assert str(ARRAYS) in " ".join(STAGES[BEFORE_HEADS]["deps"])


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


RAY = {"engine.kind": "ray", "engine.address": "10.0.0.5:6379"}


@pytest.mark.parametrize(
    ("words", "changes", "fault"),
    [
        (["--jobs", "0"], {}, "--jobs is 0; give 1 or more"),
        (["-j", "2", "--engine", "ray"], {}, "--jobs counts processes of this machine, but the engine is ray"),
        (["-j", "2"], RAY, "--jobs counts processes of this machine, but the engine is ray: give --engine local"),
        (["--address", "10.0.0.5:6379"], {}, "--address is that of a Ray cluster, but the engine is local"),
        (["--address", "10.0.0.5:6379", "--engine", "local"], RAY, "but the engine is local: give --engine ray"),
    ],
)
def test_contradicting_options_are_refused_before_anything_is_made(
    words: list[str], changes: Mapping[str, Any], fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.write_params(tmp_path, changes)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data_stages, "dvc_repro", lambda stage: pytest.fail("data were made"))
    with pytest.raises(UserError, match=fault):
        run(parsed(*words))


@pytest.mark.parametrize(
    ("words", "changes", "engine"),
    [
        (["-j", "3"], {}, {"kind": "local", "parallel_jobs": 3}),
        (["-j", "3", "--engine", "local"], RAY, {"kind": "local", "parallel_jobs": 3}),
        (["--engine", "ray", "--address", "h:1"], {}, {"kind": "ray", "address": "h:1"}),
        (["--address", "h:1"], RAY, {"kind": "ray", "address": "h:1"}),
        ([], RAY, {"kind": "ray", "address": "10.0.0.5:6379"}),
    ],
)
def test_options_go_before_the_settings(
    words: list[str],
    changes: Mapping[str, Any],
    engine: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: list[Params] = []
    tiny.write_params(tmp_path, changes)
    tiny.write_arrays(tmp_path / ARRAYS / "tiny")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data_stages, "dvc_repro", nullcontext)
    for kind in ("pixel_jobs", "head_jobs"):
        monkeypatch.setattr(queue, kind, lambda params: [])
    monkeypatch.setattr(queue, "fine_tune_jobs", lambda params, folder: ([], []))
    monkeypatch.setattr(queue, "run_jobs", lambda jobs, params, *_: used.append(params))
    run(parsed(*words))
    assert {key: getattr(used[0].engine, key) for key in engine} == engine


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A folder with the data of a sweep, in which the full share is a job of the run as well."""
    sweep = {"sweep.enabled": True, "sweep.shares": [0.5, 1.0], "sweep.variants": ["baseline"]}
    for folder in (ARRAYS, FEATURES, BACKBONES):
        (tmp_path / folder / "tiny").mkdir(parents=True)
    tiny.write_arrays(tmp_path / ARRAYS / "tiny")
    write_json(tmp_path / FEATURES / "tiny" / "features.json", {"digest": "of the features"})
    weights = tmp_path / BACKBONES / "tiny" / "source.keras"
    weights.write_bytes(b"weights")
    write_json(weights.with_name("backbone.json"), {"file": weights.name, "sha256": file_digest(weights)})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data_stages, "dvc_repro", nullcontext)
    return tiny.params(tmp_path, sweep)


def finish(job: Job, model: Path) -> None:
    """Put a result into the store, as far as planning and gathering look at it."""
    job.result.mkdir(parents=True)
    shutil.copy(model / "seed-0.keras", job.result / "model.keras")
    shutil.copy(model / "predictions.npz", job.result)
    for name in ("history.json", "timing.json"):
        write_json(job.result / name, [])
    facts = {"seed": job.seed, "model_sha256": file_digest(job.result / "model.keras"), "weights_digest": "0"}
    write_json(job.result / "facts.json", facts)


def test_dry_run_names_each_job_without_a_result_once(
    study: Params, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.start_keras()
    from helpers.saved_variant import write_variant

    def named() -> list[str]:
        run(parsed("--dry-run"))
        return capsys.readouterr().out.splitlines()

    pixels, features = "tiny/baseline seed 0", "tiny/transfer seed 0"
    half, tuned = "tiny/baseline seed 0 50.0% of training", "tiny/fine_tune seed 0"
    assert named() == [pixels, half, features, f"{tuned} (waits for transfer)"]
    model = write_variant(tmp_path / "model")
    jobs = {job.label: job for job in [*queue.pixel_jobs(study), *queue.head_jobs(study)]}
    finish(jobs[features], model)
    assert named() == [pixels, half, tuned]
    finish(jobs[pixels], model)
    assert named() == [half, tuned]
    ((tuning,), waiting) = queue.fine_tune_jobs(study, tmp_path / "start")
    assert waiting == []
    finish(tuning, model)
    assert named() == [half]


def test_dry_run_before_tuning_names_the_jobs_of_params_yaml(
    study: Params, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(parsed("--dry-run"))
    untuned = capsys.readouterr()
    tiny.write_params(tmp_path, {"sweep.enabled": True, "sweep.shares": [0.5, 1.0], "tuning.trials": 2})
    run(parsed("--dry-run"))
    planned = capsys.readouterr()
    assert planned.out == untuned.out
    first, _, last = planned.err.splitlines()
    assert (
        first
        == f"tuning is still to come: up to {2 * len(study.run.variants)} jobs of one seed for each dataset (tiny)"
    )
    assert f"{last}\n" == untuned.err


def test_forecast_counts_every_job_of_the_run_once(
    study: Params, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ["tiny/baseline seed 0", "tiny/baseline seed 0 50.0% of training", "tiny/transfer seed 0",
              "tiny/fine_tune seed 0"]  # fmt: skip
    found = queue.forecast_run(study)
    assert [job.label for job in found.pending] == labels
    assert str(found).startswith("4 jobs, 0 stored, roughly ")
    run(parsed("--dry-run"))
    assert capsys.readouterr().err == f"{found}\n"
    (queue.pixel_jobs(study)[0].result / "facts.json").parent.mkdir(parents=True)
    (queue.pixel_jobs(study)[0].result / "facts.json").write_text("{}")
    assert str(queue.forecast_run(study)).startswith("4 jobs, 1 stored, roughly ")
    shutil.rmtree(tmp_path / FEATURES)  # in a fresh project the features come later
    assert [job.label for job in queue.forecast_run(study).pending] == labels[1:]
    on_ray = study.model_copy(update={"engine": study.engine.model_copy(update={"kind": "ray"})})
    assert str(queue.forecast_run(on_ray)) == "4 jobs, 1 stored"


def test_longest_jobs_begin_first_and_each_kind_after_its_data(study: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []

    @contextmanager
    def dvc_repro(stage: str) -> Iterator[None]:
        yield
        events.append(stage)

    monkeypatch.setattr(data_stages, "dvc_repro", dvc_repro)
    monkeypatch.setattr(queue, "run_jobs", lambda jobs, *_: events.extend(job.label for job in jobs))
    queue.train_all(study)
    pixels = ["tiny/baseline seed 0", "tiny/baseline seed 0 50.0% of training"]
    assert events == [*pixels, "features", "tiny/transfer seed 0"]


def test_train_makes_the_data_before_the_jobs(study: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(train, "make_data", events.append)
    monkeypatch.setattr(train, "train_all", lambda _: events.append("jobs"))
    run(parsed())
    assert events == ["prepare", "jobs"]


def with_seeds(study: Params, *seeds: int) -> Params:
    alone = study.sweep.model_copy(update={"enabled": False})
    return study.model_copy(update={"run": study.run.model_copy(update={"seeds": seeds}), "sweep": alone})


def test_first_seeds_of_all_variants_come_before_the_others(study: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(queue, "run_jobs", lambda jobs, *_: events.extend(job.label for job in jobs))
    queue.train_all(with_seeds(study, 4, 7), early=lambda: events.append("early"))
    rest = ["tiny/baseline seed 7", "tiny/transfer seed 7"]
    assert events[:3] == ["tiny/baseline seed 4", "tiny/transfer seed 4", "early"]
    assert sorted(events[3:]) == rest


@pytest.mark.parametrize(
    ("seconds", "seeds"),
    [((31.0, 100.0, 33.0), [7, 4, 8]), ((31.0, 33.0, 12.0), [4, 7, 8]), ((None, 1.0, 2.0), [4, 7, 8])],
    ids=["longest first", "about equal ones stay together", "unknown"],
)
def test_order_is_by_the_forecast(
    study: Params, seconds: tuple[float | None, ...], seeds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[int] = []
    study = with_seeds(study, 4, 7, 8)
    monkeypatch.setattr(queue, "run_jobs", lambda jobs, *_: order.extend(job.seed for job in jobs))
    run = queue._Queue(study, None)
    monkeypatch.setattr(queue, "forecast", lambda works, _: Forecast(seconds[: len(works)], 0.0, False))
    run.run(queue.pixel_jobs(study))
    assert order == seeds


def test_pixel_jobs_of_later_calls_fill_idle_processes_and_failed_ones_are_not_tried_again(
    study: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[list[str], list[str]]] = []

    def run_jobs(jobs: Sequence[Job], params: Params, workers: object, log: JobLog, ahead: Sequence[Job]) -> None:
        calls.append(([job.label for job in jobs], [job.label for job in ahead]))
        if len(calls) == 1:
            log.ended(ahead[0], "it failed")
            (ahead[1].result / "facts.json").parent.mkdir(parents=True)
            (ahead[1].result / "facts.json").write_text("{}")

    monkeypatch.setattr(queue, "run_jobs", run_jobs)
    pair = study.variants["baseline"].model_copy(update={"ensemble": 2})
    study = with_seeds(study, 4, 7, 8, 9)
    run = study.run.model_copy(update={"pixel_variants": ("baseline", "pair"), "fine_tune_variants": ()})
    study = study.model_copy(update={"run": run, "variants": study.variants | {"pair": pair}})
    with pytest.raises(UserError, match=r"^1 of \d+ jobs failed, the others are kept: it failed$"):
        queue.train_all(study, early=lambda: pytest.fail("a job failed"))
    first, heads, other_heads, others = [call for call in calls if call[0]]
    baseline = {seed: f"tiny/baseline seed {seed}" for seed in (4, 7, 8, 9)}
    assert first == ([baseline[4]], [baseline[7], baseline[8], baseline[9]])
    assert heads == (["tiny/transfer seed 4"], [baseline[9]])
    assert other_heads == ([f"tiny/transfer seed {seed}" for seed in (7, 8, 9)], [baseline[9]])
    assert others == ([baseline[8], baseline[9], "tiny/pair seed 4", "tiny/pair seed 7"], [])


def test_jobs_of_one_seed_leave_out_ensembles(study: Params) -> None:
    both = with_seeds(study, 4, 7)
    variants = both.variants | {"pair": both.variants["baseline"].model_copy(update={"ensemble": 2})}
    run = both.run.model_copy(update={"pixel_variants": ("baseline", "pair"), "fine_tune_variants": ()})
    both = both.model_copy(update={"run": run, "variants": variants})
    planned = queue.jobs_of_variants(both, "tiny", Path("start"), [4])
    assert {name: [job.seed for job in jobs] for name, jobs in planned.items()} == {"baseline": [4], "transfer": [4]}


def test_failed_first_seed_stops_no_other_job_and_is_tried_once(
    study: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    events: list[str] = []

    def fail(jobs: Sequence[Job], *_: object) -> None:
        labels = [job.label for job in jobs]
        events.extend(labels)
        if "tiny/baseline seed 4" in labels:
            raise UserError("baseline failed")

    monkeypatch.setattr(queue, "run_jobs", fail)
    with pytest.raises(UserError, match=r"^baseline failed$"):
        queue.train_all(with_seeds(study, 4, 7), early=lambda: events.append("early"))
    assert sorted(events) == [f"tiny/{name} seed {seed}" for name in ("baseline", "transfer") for seed in (4, 7)]
    skipped = [f"tiny/fine_tune seed {seed} is skipped: transfer has not finished" for seed in (4, 7)]
    assert capsys.readouterr().err.splitlines()[1:] == skipped


def test_failures_of_all_kinds_are_reported_together(
    study: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(jobs: Sequence[Job], *_: object) -> None:
        if jobs:
            raise UserError(f"{jobs[0].label} failed")

    monkeypatch.setattr(queue, "run_jobs", fail)
    with pytest.raises(UserError, match=r"^tiny/baseline seed 0 failed; tiny/transfer seed 0 failed$"):
        queue.train_all(study)
    assert capsys.readouterr().err.splitlines()[1:] == ["tiny/fine_tune seed 0 is skipped: transfer has not finished"]


SLOW_STAGE = """
import os, time
from pathlib import Path
from convnet.system.errors import command

@command
def main():
    Path("started").touch()
    time.sleep(600)

main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda kind: kind.name)
def test_signal_while_data_are_made_ends_dvc_and_its_stage(tmp_path: Path, kind: signal.Signals) -> None:
    tiny.write_params(tmp_path)
    (tmp_path / "stage.py").write_text(SLOW_STAGE)
    stages = {"prepare": {"cmd": "exec python stage.py"}, "features": {"cmd": "true"}}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    environment = tiny.environment() | {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(tmp_path / "cache")}
    dvc = [sys.executable, "-m", "dvc", "init", "--quiet", "--no-scm"]
    subprocess.run(dvc, cwd=tmp_path, env=environment, check=True)
    with subprocess.Popen(
        [sys.executable, "-m", "convnet.cli.main", "train"],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hear_control_c,
    ) as train:
        while not (tmp_path / "started").exists():
            assert train.poll() is None, train.stderr.read() if train.stderr else ""
            time.sleep(0.05)
        errors = end_by(kind, train)
    assert "Traceback" not in errors
    assert train.returncode == (130 if kind is signal.SIGINT else -kind)
