"""The table of bench.correctness.all_remedies: one row per comparison, one column per dataset."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.lib.studies import difference_of
from convnet.system.files import read_json

PATTERN = "all_remedies_*.json"


def remedy_section(folder: Path) -> list[str]:
    """Return the lines of the table of all results in a folder; none without a result.

    A cell holds the difference in points, its 95 % interval, the number of seeds if it is not 3, and the decision.
    """
    results = [read_json(path) for path in sorted(folder.glob(PATTERN))]
    if not results:
        return []
    return [
        "### all_remedies",
        "",
        *(f"`{result['command']}` on {result['machine']['processor']}." for result in results),
        "",
        *_table([row for result in results for row in result["rows"]]),
        "",
    ]


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    sets = {row["dataset"]: f"{row['dataset']}, {row['kind']}, {row['n_test']} test images" for row in rows}
    by_pair: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        by_pair.setdefault((row["variant"], row["against"]), {})[row["dataset"]] = row
    lines = ["| variant | beside | " + " | ".join(sets.values()) + " |", "| --- | --- |" + " --- |" * len(sets)]
    for (variant, against), found in sorted(by_pair.items()):
        cells = [_cell(found[name]) if name in found else "" for name in sets]
        lines.append(f"| {variant} | {against} | " + " | ".join(cells) + " |")
    return lines


def _cell(row: Mapping[str, Any]) -> str:
    seeds = "" if row["seeds"] == 3 else f", n {row['seeds']}"
    return f"{difference_of(row, seeds)} {row['decision']}"
