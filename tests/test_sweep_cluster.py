import argparse
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import PROJECT, Clone
from tiny_params import write_tiny_params

from convnet.errors import UserError
from convnet.sweep_cluster import ARRAYS, BACKBONES, FEATURES, STAGES_BEFORE, add_sweep_arguments, run_sweep

STAGES: dict[str, dict[str, Any]] = yaml.safe_load((PROJECT / "dvc.yaml").read_text("utf-8"))["stages"]
SWEEP = """
import argparse, sys
from convnet.errors import command
from convnet.sweep_cluster import add_sweep_arguments, run_sweep

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


def test_no_process_at_all_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    parser = argparse.ArgumentParser()
    add_sweep_arguments(parser)
    with pytest.raises(UserError, match="--jobs is 0; give 1 or more"):
        run_sweep(parser.parse_args(["--jobs", "0"]))


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
    done = clone.run("dvc", "repro", "train", "transfer", "fine_tune", "sweep")
    assert "1 of 1 jobs were finished before" in done.stderr
    assert "epochs in" not in done.stderr
    assert finished(clone.path) == results


def finished(project: Path) -> dict[str, int]:
    """Return when each job was finished, by key."""
    return {path.parent.parent.name: path.stat().st_mtime_ns for path in project.glob(".jobs/*/result/facts.json")}
