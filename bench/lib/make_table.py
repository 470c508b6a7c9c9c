"""Write bench/results/tables.md from the result files.

    python -m bench.lib.make_table

Of each measurement the result at full scale counts. A short result is used where there is no full one, and marked as
short. Toy results are never shown. The differences of all remedies come last.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.lib.numbers import RESULTS
from bench.lib.remedy_table import remedy_section
from convnet.system.files import read_json, write_text

PAGE = RESULTS / "tables.md"
HEAD = ["<!-- Written by python -m bench.lib.make_table -->", "", "# Measurements", ""]
SHOWN = ("full", "short")  # the first that exists
QUIET = 1.5  # load per core above which a result is called disturbed
NONE_YET = "No results yet: `make bench` makes them."


def newest_scales(folder: Path) -> list[dict[str, Any]]:
    """Return the results to show, by name: of each measurement the one at the largest scale."""
    chosen: dict[str, tuple[int, Path]] = {}
    for path in folder.glob("*.json"):
        name, _, scale = path.stem.rpartition("-")
        if scale in SHOWN:
            rank = SHOWN.index(scale)
            chosen[name] = min(chosen.get(name, (rank, path)), (rank, path))
    return [read_json(path) for _, (_, path) in sorted(chosen.items())]


def section(result: Mapping[str, Any]) -> list[str]:
    """Return the lines of one measurement: how it was made, then its table."""
    machine, versions = result["machine"], result.get("versions", {})
    libraries = ", ".join(f"{name} {versions[name]}" for name in ("keras", "tensorflow", "jax") if name in versions)
    lines = [
        f"### {result['script']}",
        "",
        f"`{result['command']}` on {machine['processor']}, {machine['cores']} cores"
        + (f", {machine['gpu']}" if machine.get("gpu") else "")
        + (f"; {libraries}" if libraries else "")
        + (f"; {result['pictures']}" if "pictures" in result else "")
        + ".",
    ]
    if result["scale"] != "full":
        lines.append("Short run: fewer images and repeats than the full one.")
    if result["load_average_at_end"] > QUIET * machine["cores"]:
        lines.append(f"**Disturbed**: the load was {result['load_average_at_end']:g} on {machine['cores']} cores.")
    return [
        *lines,
        "",
        *(_profile(result["seconds"], result["kinds"]) if "kinds" in result else _rows(result["rows"])),
        "",
    ]


def _rows(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        "| what | unit | n | ours, median (spread) | beside | median (spread) | ratio (spread) | target |",
        "| --- | --- | --: | --- | --- | --- | --- | --: |",
    ]
    for row in rows:
        target = "" if row["target"] is None else f"{row['target']:g}" + ("" if _met(row) else " missed")
        cells = [
            row["what"],
            row["unit"],
            str(row["n"]),
            _cell(row["ours"]),
            row["other"]["name"],
            _cell(row["other"]),
            _cell(row["ratio"]),
            target,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    told = [sentence for row in rows for sentence in (_accuracy(row), _jobs(row)) if sentence]
    return [*lines, *(["", *told] if told else [])]


def _profile(seconds: float, kinds: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        f"The whole took {seconds:g} s; the seconds of stages that ran side by side add up to more.",
        "",
        "| stage | runs | seconds | of that computing | share |",
        "| --- | --: | --: | --: | --: |",
    ]
    return lines + [
        f"| {kind['stage']} | {kind['runs']} | {kind['seconds']} | {kind['computing']} | {kind['share']:.1%} |"
        for kind in kinds
    ]


def _met(row: Mapping[str, Any]) -> bool:
    return bool(row["ratio"]["median"] >= row["target"])


def _cell(described: Mapping[str, Any]) -> str:
    low, high = described["spread"]
    return f"{described['median']:g} ({low:g} to {high:g})"


def _accuracy(row: Mapping[str, Any]) -> str | None:
    accuracy = row.get("accuracy")
    if accuracy is None:
        return None
    interval = accuracy["difference_interval"]
    told = f", 95 % interval {interval[0]:+.3f} to {interval[1]:+.3f}" if interval else ", one seed: no interval"
    after = f" after {row['epochs']} epochs" if "epochs" in row else ""
    return (
        f"- {row['what']}: validation accuracy{after} {accuracy['ours']['median']:.3f} beside "
        f"{accuracy['other']['median']:.3f}, difference {accuracy['difference']:+.3f}{told}"
    )


def _jobs(row: Mapping[str, Any]) -> str | None:
    """Say what gpu.py tells of a variant besides its rate."""
    if "seconds_of_jobs" not in row:
        return None
    first, *others = (f"{seconds:.1f}" for seconds in row["seconds_of_jobs"])
    after = f", the next seeds {' and '.join(others)} s" if others else ""
    single = row["share_of_limit"].get("single_steps")
    again = "the same" if row["equal_weights_when_trained_again"] else "other"
    accuracies = ", ".join(f"{accuracy:.3f}" for accuracy in row["validation_accuracies"])
    return (
        f"- {row['what']}: the first job took {first} s with its compilation{after}; "
        + (f"a call for each step reaches {single:.2f} of the limit; " if single else "")
        + f"trained again {again} weights; validation accuracy {accuracies}"
        + (_agreement(row["agreement"]) if row["agreement"] else "")
    )


def _agreement(told: Mapping[str, Any]) -> str:
    interval = told["interval"]
    between = f", 95 % interval {interval[0]:+.3f} to {interval[1]:+.3f}" if interval else ""
    return f", {told['difference']:+.3f} to the other run{between}"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the result files")
    parser.add_argument("--page", type=Path, default=PAGE, help="page to write")
    arguments = parser.parse_args()
    results = [result for result in newest_scales(arguments.results) if "rows" in result or "kinds" in result]
    lines = [line for result in results for line in section(result)]
    lines = lines + remedy_section(arguments.results) or [NONE_YET, ""]
    write_text(arguments.page, "\n".join([*HEAD, *lines]))


if __name__ == "__main__":
    main()
