"""Does judging at looks stay honest, however it is used? Simulate studies whose true differences are known.

    python -m bench.correctness.simulate_looks              writes bench/results/looks_simulation.json
    python -m bench.correctness.simulate_looks --quick      a small slice, for the tests

A study is a baseline and four variants, judged at 3, 5 and 10 seeds by the functions of the verdict. Several users work
on the same study. One trains everything. The others train on only with what looks good, only with what looks bad, first
with what looks clear, until they are pleased, or until they stop at random. A study counts as false if any decision is
false at any time. That should happen in at most 5 % of studies, within two standard errors.

Two controls spend nothing: they judge at the three looks, and after every seed from 3 to 10, by the rule of one look.
They show that the simulation can see the error.

`too_large` is by how many points the difference of a helper exceeds the true one, by the look that decided.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.lib.look_studies import LOOKS, USERS, simulate_looks
from bench.lib.simulations import run_simulation
from bench.lib.verdict_studies import Setting
from convnet.comparison.decisions import MARGIN

RESULTS = Path(__file__).parents[1] / "results" / "looks_simulation.json"
NO_GAIN = (0.0, 0.0, 0.0, 0.0)
SOME_GAIN = (0.0, 0.0, 0.03, 0.10)
ONE_SMALL = (0.0, 0.0, 0.0, 0.04)
GAINS = (0.02, 0.04, 0.08, 0.12)
AT_MARGIN = (MARGIN, -MARGIN, MARGIN, 0.0)
LAST = LOOKS[-1]
CONTROLS = ("unspent, looks", "unspent, every seed")


def settings(quick: bool) -> dict[str, Sequence[Setting]]:
    """Return the settings of each group."""
    if quick:
        return {"no_gain": [Setting(0.8, LAST, 256, 0.2, NO_GAIN)], "gains": [Setting(0.7, LAST, 400, 0.05, GAINS)]}
    return {
        "no_gain": [
            Setting(accuracy, LAST, images, deviation, NO_GAIN)
            for accuracy, images, deviation in itertools.product((0.7, 0.85), (256, 1000), (0.0, 0.1, 0.3))
        ],
        "partial_nulls": [
            Setting(0.75, LAST, images, deviation, gains)
            for images, deviation, gains in itertools.product((256, 1000), (0.05, 0.3), (SOME_GAIN, ONE_SMALL))
        ],
        "unequal_spreads": [
            Setting(0.7, LAST, 256, deviation, gains, other)
            for (deviation, other), gains in itertools.product(((0.3, 0.03), (0.03, 0.3)), (NO_GAIN, SOME_GAIN))
        ],
        "unlike_networks": [
            Setting(0.7, LAST, 1000, deviation, gains, other, unlike=True)
            for (deviation, other), gains in itertools.product(
                ((0.2, 0.2), (0.3, 0.03), (0.03, 0.3)), (NO_GAIN, SOME_GAIN)
            )
        ],
        "margin": [
            Setting(0.85, LAST, images, deviation, AT_MARGIN)
            for images, deviation in itertools.product((1000, 3000), (0.0, 0.05))
        ],
        "gains": [
            Setting(0.7, LAST, images, deviation, GAINS)
            for images, deviation in itertools.product((500, 1000, 2000), (0.03, 0.1))
        ],
    }


def ranges(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the highest false rate by user over settings, and the lowest and highest excess by look."""
    names = [f"false: {name}" for name in (*USERS, *CONTROLS)] + ["false difference: all", "false irrelevant: all"]
    found: dict[str, Any] = {name: max(row[name] for row in rows) for name in names}
    excess = [
        (look, row["too_large"][look]) for row in rows for look in row["too_large"] if row["too_large"][look]["n"] >= 50
    ]
    for look in map(str, LOOKS):
        means = [value["mean"] for at, value in excess if at == look]
        if means:
            found[f"too large at {look}"] = {"lowest": min(means), "highest": max(means)}
    return found


def simulate(studies: int, numbered: tuple[int, str, Setting]) -> tuple[str, dict[str, Any]]:
    """Return the group and the rates of one setting."""
    number, group, setting = numbered
    return group, simulate_looks(setting, studies, number)


def main() -> None:
    """Simulate all settings, print the ranges and write every row."""
    run_simulation(
        "simulate_looks",
        "Count how often a study with looks is wrong, by how it is used.",
        settings,
        simulate,
        ranges,
        lambda group, name, value: f"{group:16s} {name:32s} {value}",
        "percent, points",
        RESULTS,
    )


if __name__ == "__main__":
    main()
