"""Simulations of many settings: run all, print the range of every rate, and write every row."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from convnet.system.files import write_json
from convnet.system.processes import map_in_processes
from convnet.system.progress import progress

Simulate = Callable[[int, tuple[int, str, Any]], tuple[str, dict[str, Any]]]


def run_simulation(
    name: str,
    description: str,
    settings: Callable[[bool], Mapping[str, Sequence[Any]]],
    simulate: Simulate,
    ranges: Callable[[list[dict[str, Any]]], dict[str, Any]],
    line: Callable[[str, str, Any], str],
    unit: str,
    out: Path,
) -> None:
    """Read the command line, simulate all settings, print the ranges and write every row.

    Args:
        name: of the module in bench.correctness.
        description: of the command.
        settings: (quick) -> settings by group.
        simulate: (studies, (number, group, setting)) -> group and row; importable by name.
        ranges: rows of a group -> ranges by name.
        line: (group, name, range) -> one line of text.
        unit: of the rates.
        out: JSON file to write by default.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a few settings only")
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies per setting")
    parser.add_argument("--processes", type=int, default=1, help="settings that are simulated at once")
    parser.add_argument("--out", type=Path, default=out, help="JSON file to write")
    arguments = parser.parse_args()
    groups = settings(arguments.quick)
    pairs = [(group, setting) for group, members in groups.items() for setting in members]
    work = [(number, group, setting) for number, (group, setting) in enumerate(pairs)]
    done = map_in_processes(partial(simulate, arguments.studies), work, arguments.processes, 1)
    rows: dict[str, list[dict[str, Any]]] = {group: [] for group in groups}
    for group, row in progress(done, total=len(work), label="simulate", unit="setting"):
        rows[group].append(row)
    summary = {group: ranges(found) for group, found in rows.items()}
    for group, found in summary.items():
        for rate, value in found.items():
            print(line(group, rate, value))
    command = f"python -m bench.correctness.{name} --studies {arguments.studies}" + (
        " --quick" if arguments.quick else ""
    )
    write_json(arguments.out, {"command": command, "unit": unit, "ranges": summary, "settings": rows})
