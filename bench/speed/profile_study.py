"""Where wall time and core time go, from `convnet init` to the page; idle cores are a row.

    python -m bench.speed.profile_study --study default
    CONVNET_DATA=<folder> python -m bench.speed.profile_study --study photographs    400, of two classes
    CONVNET_DATA=<folder> python -m bench.speed.profile_study --study parts          400 to train, 700 in other parts
    CONVNET_DATA=<folder> python -m bench.speed.profile_study --study five           1,200 images in five classes
    python -m bench.speed.profile_study --study large           25,000 rendered images: ingest, features, one variant

The command runs in a copy of the project, whose environment exists. Every quarter of a second it reads the processor
time of each process. The time belongs to the nearest ancestor that is a stage, `convnet` or `dvc`. The idle time is the
time of all cores without these. The memory is the sum over all processes, where shared pages count in each. One run on
a quiet machine; the result is bench/results/profile_<study>.json.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import psutil

from bench.lib.material import PROJECT, copy_project
from bench.lib.numbers import RESULTS
from bench.lib.photographs import write_five_classes, write_photographs, write_two_classes
from bench.lib.studies import facts_of_run
from convnet.system.files import write_json
from convnet.system.processes import usable_cores

SECONDS_BETWEEN = 0.25
OWNERS = (
    (re.compile(r"stages/(\w+)\.py"), "stage {}"),
    (re.compile(r"bin/convnet (\w+)"), "convnet {}"),
    (re.compile(r"bin/dvc |pipeline\.repro"), "dvc"),
    (re.compile(r"\bmake\b"), "make"),
)
WRITE = {"photographs": write_two_classes, "parts": write_photographs, "five": write_five_classes}
STUDIES = ("default", *WRITE, "large")
LARGE = {
    "run.datasets": ["pets"],
    "run.pixel_variants": ["baseline"],
    "run.feature_variants": ["transfer"],
    "run.fine_tune_variants": [],
    "run.seeds": [0],
    "run.looks": [],
    "sweep.enabled": False,
    "datasets.pets.source.rendered.images_per_class": 12500,
    "datasets.pets.split": {"validation": 0.2, "test": 0.2},
    "training.epochs": 5,
    "transfer.pooling": "average",
}


class Use(NamedTuple):
    """The use of the machine by one owner."""

    owner: str
    first: float  # seconds from the start
    last: float
    core_seconds: float


class Meter:
    """Adds up the processor time of a tree of processes, by owner."""

    def __init__(self, root: psutil.Process) -> None:
        """Watch `root` and all that it starts."""
        self._root, self._start = root, time.monotonic()
        self._owners: dict[int, str] = {}
        self._seen: dict[tuple[int, float], float] = {}
        self._spans: dict[str, list[float]] = {}
        self._seconds: dict[str, float] = defaultdict(float)
        self.peak_bytes = 0

    def look(self) -> None:
        """Read the times once."""
        now = time.monotonic() - self._start
        try:
            processes = [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        memory = 0
        for process in processes:
            try:
                times = process.cpu_times()
                memory += process.memory_info().rss
                owner = self._owner(process)
                key = process.pid, process.create_time()
            except psutil.Error:
                continue
            used = times.user + times.system
            self._seconds[owner] += used - self._seen.get(key, 0.0)
            self._seen[key] = used
            self._spans.setdefault(owner, [now, now])[1] = now
        self.peak_bytes = max(self.peak_bytes, memory)

    def uses(self) -> list[Use]:
        """Return the use of every owner, in the order of their starts."""
        uses = [Use(owner, first, last, self._seconds[owner]) for owner, (first, last) in self._spans.items()]
        return sorted(uses, key=lambda use: use.first)

    def _owner(self, process: psutil.Process) -> str:
        found = self._owners.get(process.pid)
        if found is None or found in ("make", "other"):  # a new process may still load its program
            line = " ".join(process.cmdline())
            match = next(((name, hit) for pattern, name in OWNERS if (hit := pattern.search(line))), None)
            parent = process.parent()
            if match is not None:
                found = match[0].format(*match[1].groups())
            elif process.pid != self._root.pid and parent is not None:
                found = self._owner(parent)
            else:
                found = "other"
            self._owners[process.pid] = found
        return found


def commands_of(study: str, folder: Path) -> list[list[str]]:
    """Return the commands of a study, run in its copy of the project."""
    run = ["make", "repro"]
    if study not in WRITE:
        return [run]
    images = folder / study
    WRITE[study](images)
    return [["convnet", "init", str(images)], run]


def measure(commands: list[list[str]], project: Path, environment: dict[str, str]) -> tuple[float, Meter]:
    """Run commands one after the other; return the wall seconds and what they used."""
    start, meter = time.monotonic(), Meter(psutil.Process())
    for command in commands:
        process = subprocess.Popen(command, cwd=project, env=environment, stdout=sys.stderr)
        while process.poll() is None:
            meter.look()
            time.sleep(SECONDS_BETWEEN)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed with {process.returncode}; see above")
    return time.monotonic() - start, meter


def main() -> None:
    """Profile one study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", choices=STUDIES, default="default")
    parser.add_argument("--folder", type=Path, help="new folder for the study, which stays; default: a temporary one")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the result file")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    with nullcontext(arguments.folder) if arguments.folder else tempfile.TemporaryDirectory() as place:
        folder = Path(place).resolve()
        project = folder / "project"
        variables = os.environ | copy_project(project, LARGE if arguments.study == "large" else {})
        (project / ".venv").symlink_to(PROJECT / ".venv")
        subprocess.run(["git", "init", "--quiet"], cwd=project, env=variables, check=True)
        wall, meter = measure(commands_of(arguments.study, folder), project, variables)
    cores, uses = usable_cores(), meter.uses()
    busy = sum(use.core_seconds for use in uses)
    rows = [
        {
            "owner": use.owner,
            "from": round(use.first, 1),
            "to": round(use.last, 1),
            "core_seconds": round(use.core_seconds, 1),
        }
        for use in uses
    ]
    peak_gib = round(meter.peak_bytes / 2**30, 2)
    rows.append({"owner": "idle", "from": 0.0, "to": round(wall, 1), "core_seconds": round(cores * wall - busy, 1)})
    result = {
        **facts_of_run(arguments),
        "wall_seconds": round(wall, 1),
        "cores": cores,
        "peak_gib": peak_gib,
        "rows": rows,
    }
    write_json(out / f"profile_{arguments.study}.json", result)
    for row in rows:
        print(f"{row['owner']:24} {row['from']:7.1f} to {row['to']:7.1f} s {row['core_seconds']:8.1f} core seconds")
    print(f"wall {wall:.1f} s on {cores} cores, at most {peak_gib} GiB")


if __name__ == "__main__":
    main()
