"""Where the time of a pipeline run goes: seconds per stage, and how much of them is training.

    python -m bench.speed.profile_repro                    a tiny pipeline in a copy of the project
    python -m bench.speed.profile_repro --scale full       the committed params.yaml, from nothing, in a copy
    python -m bench.speed.profile_repro --scale full --log run.log --project .
                                                     an earlier run in this folder, from its log of one
                                                     "<seconds> <line>" per line, as from dvc repro 2>&1 | ts -s %.s

It runs a plain `dvc repro`, one stage after the other; `make repro` runs the same stages in less time. A stage lasts
from its line "Running stage ..." to that of the next. The time between two stages, in which DVC reads files and writes
dvc.lock, belongs to the earlier one. Of stages that train, timing.json gives the seconds of epochs, predictions and
features; the rest is start-up and files.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.lib.material import copy_project
from bench.lib.numbers import announce, command_of, make_parser
from bench.speed.startup import TINY
from convnet.backend.machine import machine_facts
from convnet.system.files import read_json, write_json

RUNNING = re.compile(r"Running stage '([^']+)'")
TIMED = re.compile(r"^\s*(\d+(?:\.\d+)?)\s(.*)$")
EXPECTED = {"toy": "1 minute", "short": "1 minute", "full": "10 minutes"}


class Stage(NamedTuple):
    """One stage of a run."""

    name: str
    seconds: float
    computing: float | None  # seconds of epochs, predictions or features, where a timing.json gives them


def read_log(lines: Iterable[str]) -> list[tuple[float, str]]:
    """Return seconds and text of each timed line.

    Raises:
        ValueError: no line begins with seconds.
    """
    timed = [(float(match[1]), match[2]) for line in lines if (match := TIMED.match(line))]
    if not timed:
        raise ValueError("no line begins with seconds: make the log with this script, or pipe it through ts -s %.s")
    return timed


def stages_of(timed: Sequence[tuple[float, str]], project: Path | None) -> list[Stage]:
    """Return the stages of a run in their order; `project` is where it ran, for its timing files."""
    starts = [(seconds, match[1]) for seconds, text in timed if (match := RUNNING.search(text))]
    ends = [seconds for seconds, _ in starts[1:]] + [timed[-1][0]]
    stages = []
    for (start, name), end in zip(starts, ends, strict=True):
        computing = _computing(name, project)
        # Not more than the stage took: the second dataset takes a backbone that the first one's stage has trained.
        stages.append(Stage(name, end - start, computing and min(computing, end - start)))
    return stages


def _computing(name: str, project: Path | None) -> float | None:
    """Return the seconds of computing in the timing.json of a stage."""
    if project is None:
        return None
    stage, _, dataset = name.partition("@")
    folders = {
        "train": sorted((project / "models" / dataset).glob("*")),
        "features": [project / "data" / "backbones" / dataset, project / "data" / "features" / dataset],
    }.get(stage, [])
    found = [read_json(folder / "timing.json") for folder in folders if (folder / "timing.json").is_file()]
    if not found:
        return None
    keys = ("seconds_training", "seconds_predicting", "seconds")
    entries = [entry for timing in found for entry in (*timing.values(), timing) if isinstance(entry, dict)]
    return float(sum(entry.get(key, 0.0) for entry in entries for key in keys))


def table(stages: Sequence[Stage]) -> list[str]:
    """Return the lines of the table, the longest stage first, and the sums."""
    total = sum(stage.seconds for stage in stages)
    computing = sum(stage.computing or 0.0 for stage in stages)
    lines = [f"{'stage':40s} {'seconds':>8s} {'share':>6s} {'computing':>9s} {'rest':>8s}"]
    for stage in sorted(stages, key=lambda stage: -stage.seconds):
        computed = "" if stage.computing is None else f"{stage.computing:.1f}"
        rest = stage.seconds - (stage.computing or 0.0)
        lines.append(f"{stage.name:40s} {stage.seconds:8.1f} {stage.seconds / total:6.1%} {computed:>9s} {rest:8.1f}")
    lines.append(f"{'all':40s} {total:8.1f} {1:6.1%} {computing:9.1f} {total - computing:8.1f}")
    return lines


def by_kind(stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """Return seconds, number of runs and share per kind of stage, the costliest first."""
    total = sum(stage.seconds for stage in stages)
    kinds: dict[str, list[Stage]] = {}
    for stage in stages:
        kinds.setdefault(stage.name.partition("@")[0], []).append(stage)
    rows = [
        {
            "stage": kind,
            "runs": len(runs),
            "seconds": round(sum(run.seconds for run in runs), 1),
            "computing": round(sum(run.computing or 0.0 for run in runs), 1),
            "share": round(sum(run.seconds for run in runs) / total, 4),
        }
        for kind, runs in kinds.items()
    ]
    return sorted(rows, key=lambda row: -float(row["seconds"]))


def run(project: Path, environment: dict[str, str]) -> list[tuple[float, str]]:
    """Run the pipeline and return seconds and text of each line it writes.

    Raises:
        RuntimeError: it failed; the message holds its last lines.
    """
    start = time.perf_counter()
    timed: list[tuple[float, str]] = []
    with subprocess.Popen(
        ["dvc", "repro"],
        cwd=project,
        env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for text in process.stdout:
            timed.append((time.perf_counter() - start, text.rstrip()))
            if RUNNING.search(text):
                print(f"{timed[-1][0]:7.1f} {timed[-1][1]}", file=sys.stderr)
    if process.returncode != 0:
        raise RuntimeError("\n".join(text for _, text in timed[-20:]))
    return [*timed, (time.perf_counter() - start, "end")]


def main() -> None:
    """Run the pipeline or read a log, print the table, write the result of a run."""
    parser = make_parser(__doc__)
    parser.add_argument("--log", type=Path, help="read this log instead of running anything")
    parser.add_argument("--project", type=Path, help="with --log: where it ran, for its timing files")
    arguments = parser.parse_args()
    if arguments.log:
        with arguments.log.open(encoding="utf-8", errors="replace") as lines:
            timed = read_log(lines)
        stages = stages_of(timed, arguments.project)
    else:
        announce(arguments.scale, EXPECTED)
        with tempfile.TemporaryDirectory(prefix="profile-") as name:
            project = Path(name) / "project"
            environment = copy_project(project, {} if arguments.scale == "full" else TINY)
            subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
            timed = run(project, environment)
            stages = stages_of(timed, project)
    print("\n".join(table(stages)))
    machine = machine_facts()
    write_json(
        arguments.out / f"profile_repro-{arguments.scale}.json",
        {
            "script": "profile_repro",
            "scale": arguments.scale,
            "command": command_of(arguments),
            "machine": machine,
            "load_average_at_end": round(os.getloadavg()[0], 1),
            "n": 1,
            "seconds": round(timed[-1][0], 1),
            "kinds": by_kind(stages),
            "stages": [
                {"stage": s.name, "seconds": round(s.seconds, 2), "computing": s.computing} for s in stages
            ],
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
