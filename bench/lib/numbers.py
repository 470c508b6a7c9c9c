"""Repeats become medians and ratios, and these a result file that docs/performance.md is made of."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from convnet.backend.machine import machine_facts
from convnet.comparison.statistics import t_interval
from convnet.system.files import write_json

RESULTS = Path(__file__).parents[1] / "results"
# toy: seconds, on rendered images, for the tests, its numbers mean nothing. short: minutes. full: what is published.
SCALES = ("toy", "short", "full")
MACHINE = ("processor", "cores", "memory_gib", "gpu")
DIGITS = 4  # significant ones, in result files


def parse_arguments(description: str | None, expected: Mapping[str, str]) -> argparse.Namespace:
    """Read --scale and --out, and say how long it will take.

    Args:
        description: the script's docstring.
        expected: time at each scale on 2 quiet cores.
    """
    parser = make_parser(description)
    arguments = parser.parse_args()
    announce(arguments.scale, expected)
    return arguments


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with --scale and --out."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", choices=SCALES, default="short", help="toy: seconds; short: minutes; full")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the result file")
    return parser


def announce(scale: str, expected: Mapping[str, str]) -> None:
    """Say what is measured and how long it will take."""
    print(f"{Path(sys.argv[0]).stem}, scale {scale}: about {expected[scale]} on 2 quiet cores", file=sys.stderr)


def describe(values: Sequence[float]) -> dict[str, Any]:
    """Return n, median and spread (lowest and highest) of repeats."""
    return {"n": len(values), "median": _short(median(values)), "spread": [_short(min(values)), _short(max(values))]}


def compare(
    what: str,
    unit: str,
    ours: Sequence[float],
    other: Sequence[float],
    *,
    other_name: str,
    target: float | None = None,
    more_is_better: bool = False,
    **facts: Any,
) -> dict[str, Any]:
    """Return one row: both sides, and our ratio to the other side repeat by repeat.

    Args:
        what: what was measured.
        unit: of both sides.
        ours: one number per repeat.
        other: of the same repeats, in the same order.
        other_name: what the other side is.
        target: the least ratio that is aimed at.
        more_is_better: the ratio is ours / other, as for rates; else other / ours, as for seconds.
        **facts: further numbers and words for this row.
    """
    pairs = list(zip(ours, other, strict=True))
    ratios = [a / b if more_is_better else b / a for a, b in pairs]
    return {
        "what": what,
        "unit": unit,
        "n": len(pairs),
        "ours": describe(ours),
        "other": describe(other) | {"name": other_name},
        "ratio": describe(ratios),
        "target": target,
        **facts,
    }


def compare_accuracy(ours: Sequence[float], other: Sequence[float]) -> dict[str, Any]:
    """Return both accuracies and the 95 % t interval over seeds of their difference (None for a single seed)."""
    difference = [a - b for a, b in zip(ours, other, strict=True)]
    interval = t_interval(difference)
    return {
        "ours": describe(ours),
        "other": describe(other),
        "difference": _short(sum(difference) / len(difference)),
        "difference_interval": [_short(bound) for bound in interval] if interval else None,
        "not_lower_beyond_interval": interval.upper >= 0 if interval else None,
    }


def command_of(arguments: argparse.Namespace) -> str:
    """Return the command line that gave these arguments, without where results go and where on a disk files lie."""
    words = ["python", "-m", ".".join(Path(sys.argv[0]).with_suffix("").parts[-3:])]
    for key, value in vars(arguments).items():
        if key != "out" and value is not None:
            words.append(f"--{key.replace('_', '-')}")
            words += [_word(part) for part in (value if isinstance(value, list) else [value])]
    return " ".join(words)


def _word(value: object) -> str:
    return value.name if isinstance(value, Path) and value.is_absolute() else str(value)


def write_result(
    arguments: argparse.Namespace,
    rows: Sequence[Mapping[str, Any]],
    *,
    name: str | None = None,
    told: int = 0,
    **facts: Any,
) -> Path:
    """Write `<name>-<scale>.json` and print its rows.

    Args:
        arguments: with scale and out.
        rows: from `compare`.
        name: of the file; None: that of the script.
        told: rows at the beginning that were printed before.
        **facts: what holds for the whole run.
    """
    script = Path(sys.argv[0]).stem
    machine = machine_facts()
    path: Path = arguments.out / f"{name or script}-{arguments.scale}.json"
    content = {
        "script": script,
        "scale": arguments.scale,
        "command": command_of(arguments),
        "machine": {key: value for key, value in machine.items() if key in MACHINE},
        "versions": {key: value for key, value in machine.items() if key not in MACHINE},
        # Above the number of cores, others were using the machine and the medians cannot be trusted.
        "load_average_at_end": round(os.getloadavg()[0], 1),
        **facts,
        "rows": list(rows),
    }
    write_json(path, content)
    for row in rows[told:]:
        print(line(row), flush=True)
    print(path, file=sys.stderr)
    return path


def line(row: Mapping[str, Any]) -> str:
    """Return a row as one line of text."""
    ours, other, ratio = row["ours"], row["other"], row["ratio"]
    target = f", target {row['target']:g}" if row["target"] is not None else ""
    return (
        f"{row['what']}: {ours['median']:g} {row['unit']} beside {other['median']:g} of {other['name']}; "
        f"ratio {ratio['median']:.2f} ({ratio['spread'][0]:.2f} to {ratio['spread'][1]:.2f}, n {row['n']}{target})"
    )


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
