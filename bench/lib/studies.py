"""Whole studies in a copy of the project: run one, and put its verdicts into rows."""

import argparse
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.lib.material import copy_project, run_environment
from bench.lib.numbers import MACHINE, command_of
from convnet.backend.machine import machine_facts
from convnet.comparison.schema import Verdict, read_verdicts
from convnet.system.files import read_json


def run_study(
    project: Path,
    settings: Mapping[str, Any],
    jobs: int,
    train: Sequence[str] = ("convnet", "train"),
    store: Path | None = None,
) -> dict[str, Verdict]:
    """Run a study and return its verdict by dataset.

    Args:
        project: a folder for the copy. If it exists, an earlier run in it resumes with its own settings.
        settings: changes of params.yaml by dotted key.
        jobs: training processes at once.
        train: the command that trains.
        store: folder of finished jobs; None: the copy's own.

    Raises:
        CalledProcessError: a command failed; its error is on standard error.
    """
    variables = os.environ | (run_environment(project) if project.exists() else copy_project(project, settings))
    if store is not None:
        variables["CONVNET_JOBS"] = str(store.resolve())
    # Standard output stays empty of progress: it belongs to the result.
    for command in (["git", "init", "--quiet"], [*train, "--jobs", str(jobs)], ["dvc", "repro", "compare"]):
        subprocess.run(command, cwd=project, env=variables, check=True)
    return read_verdicts(project / "reports" / "tables" / "verdict.json")


def rows_of(verdict: Verdict) -> list[dict[str, Any]]:
    """Return one row per comparison, in points of accuracy."""
    accuracy = {summary.variant: summary.accuracy for summary in verdict.variants}
    return [
        {
            "dataset": verdict.dataset,
            "kind": verdict.kind,
            "variant": found.variant,
            "against": found.baseline,
            "accuracy": round(accuracy[found.variant].mean, 4),
            "accuracy_of_the_other": round(accuracy[found.baseline].mean, 4),
            "difference_points": round(100 * found.mean, 1),
            "interval_points": [round(100 * bound, 1) for bound in found.interval],
            "decision": found.decision,
            "n_test": verdict.n_test,
            "seeds": len(found.seeds),
        }
        for found in verdict.comparisons
    ]


def difference_of(row: Mapping[str, Any], more: str = "") -> str:
    """Return the difference of a row of `rows_of` with its interval, and `more` behind that."""
    low, high = row["interval_points"]
    return f"{row['difference_points']:+.1f} ({low:+.1f} to {high:+.1f}{more})"


def line_of(row: Mapping[str, Any]) -> str:
    """Return a row of `rows_of` as one line of text."""
    return (
        f"{row['dataset']} ({row['kind']}), {row['variant']} {100 * row['accuracy']:.1f} % against {row['against']}: "
        f"{difference_of(row)}, {row['decision']}"
    )


def minutes_of(project: Path, dataset: str) -> dict[str, float]:
    """Return the summed minutes of training of each variant of a dataset."""
    files = sorted((project / "models" / dataset).glob("*/timing.json"))
    return {
        file.parent.name: round(sum(job["seconds_training"] for job in read_json(file).values()) / 60, 1)
        for file in files
    }


def facts_of_run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the command, the machine and the versions of libraries."""
    machine = machine_facts()
    return {
        "command": command_of(arguments),
        "machine": {key: value for key, value in machine.items() if key in MACHINE},
        "versions": {key: value for key, value in machine.items() if key not in MACHINE},
    }
