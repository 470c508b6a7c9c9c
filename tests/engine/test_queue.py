import argparse
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from convnet.cli.train import add_sweep_arguments, run_sweep
from convnet.engine import queue as sweep_cluster
from convnet.engine.queue import ARRAYS, BACKBONES, FEATURES, STAGES_BEFORE, fine_tune_jobs, first_jobs
from convnet.jobs.job import Job
from convnet.params.schema import Params
from convnet.system.errors import UserError
from convnet.system.files import file_digest, write_json
from helpers import tiny_study as tiny
from helpers.clones import PROJECT, Clone
from helpers.processes import end_by
from helpers.tiny_run import WARM_REPRO, write_tiny_params

STAGES: dict[str, dict[str, Any]] = yaml.safe_load((PROJECT / "dvc.yaml").read_text("utf-8"))["stages"]
SWEEP = """
import argparse, sys
from convnet.system.errors import command
from convnet.cli.train import add_sweep_arguments, run_sweep

@command
def main():
    parser = argparse.ArgumentParser()
    add_sweep_arguments(parser)
    run_sweep(parser.parse_args())

if __name__ == "__main__":
    main()
"""


def test_data_lie_where_the_pipeline_puts_them() -> None:
    places = {"prepare": ARRAYS, "features": FEATURES, "backbone": BACKBONES}
    for stage, place in places.items():
        assert STAGES[stage]["outs"] == [f"{place}/${{item.dataset}}"]
    assert set(STAGES_BEFORE) <= set(places)


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_sweep_arguments(parser)
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
    monkeypatch.setattr(sweep_cluster, "_make_data", lambda: pytest.fail("data were made"))
    with pytest.raises(UserError, match=fault):
        run_sweep(parsed(*words))


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
    monkeypatch.setattr(sweep_cluster, "_make_data", lambda: None)
    monkeypatch.setattr(sweep_cluster, "first_jobs", lambda params: [])
    monkeypatch.setattr(sweep_cluster, "fine_tune_jobs", lambda params, folder: [])
    monkeypatch.setattr(sweep_cluster, "run_jobs", lambda jobs, params: used.append(params))
    run_sweep(parsed(*words))
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
    monkeypatch.setattr(sweep_cluster, "_make_data", lambda: None)
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
        run_sweep(parsed("--dry-run"))
        return capsys.readouterr().out.splitlines()

    pixels, features = "tiny/baseline seed 0", "tiny/transfer seed 0"
    half, tuned = "tiny/baseline seed 0 50.0% of training", "tiny/fine_tune seed 0"
    assert named() == [pixels, features, half, f"{tuned} (waits for transfer)"]
    model = write_variant(tmp_path / "model")
    jobs = {job.label: job for job in first_jobs(study)}
    finish(jobs[features], model)
    assert named() == [pixels, half, tuned]
    finish(jobs[pixels], model)
    assert named() == [half, tuned]
    (tuning,) = fine_tune_jobs(study, tmp_path / "start")
    finish(tuning, model)
    assert named() == [half]


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
        [sys.executable, "-m", "convnet.cli.main", "sweep"],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A test run started in the background ignores Ctrl-C, and what it starts would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as sweep:
        while not (tmp_path / "started").exists():
            assert sweep.poll() is None, sweep.stderr.read() if sweep.stderr else ""
            time.sleep(0.05)
        errors = end_by(kind, sweep)
    assert "Traceback" not in errors
    assert sweep.returncode == (130 if kind is signal.SIGINT else -kind)


@pytest.mark.slow
def test_repro_after_a_sweep_trains_nothing(clone: Clone) -> None:
    changes = {
        "run.seeds": [0],
        "run.pixel_variants": ["baseline"],
        **{f"{section}.batch_size": 4 for section in ("training", "transfer", "fine_tune")},
        "sweep.enabled": True,
        "sweep.shares": [0.5, 1.0],
        "sweep.variants": ["baseline"],
    }
    write_tiny_params(clone.path, changes)
    script = clone.path.parent / "run_sweep.py"
    script.write_text(SWEEP)
    clone.run("python", script)
    results = finished(clone.path)
    assert len(results) == 5  # three variants, the half of one, and the backbone
    done = clone.run(*WARM_REPRO, "train", "transfer", "fine_tune", "sweep")
    assert "1 of 1 jobs were finished before" in done.stderr
    assert "epochs in" not in done.stderr
    assert finished(clone.path) == results


def finished(project: Path) -> dict[str, int]:
    """Return when each job was finished, by key."""
    return {path.parent.parent.name: path.stat().st_mtime_ns for path in project.glob(".jobs/*/result/facts.json")}
