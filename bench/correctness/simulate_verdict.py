"""Is the verdict honest? Simulate studies whose true differences are known and count how often it is wrong.

    python -m bench.correctness.simulate_verdict            writes bench/results/verdict_simulation.json
    python -m bench.correctness.simulate_verdict --quick    a small slice, for the tests

The simulation uses the functions of the verdict itself:

* fixed split: every image has a difficulty (more in the smaller classes, where the classes are unequal), every variant
  finds some images easier than others do, every seed is better or worse as a whole and differs by chance image by
  image; a model is right where the sum of these normal terms is positive, so the true accuracy has a closed form. A
  study is a baseline and 4 variants, corrected by Holm. Images of one cluster share most of their difficulty.
* resplit: real training, of a nearest-mean classifier on normal features, on splits of one pool of images, drawn by
  every seed. Its accuracy on new images has a closed form given the weights.
* plans: an open comparison is continued with the number of seeds, or of test images, that its plan names.
* curves: a size sweep whose errors follow a power law with a known gain from twice the images.

Counted per setting: how often the 95 % interval contains the true difference (at least 94 %), how often a study takes
any false decision (at most 5 %, within two standard errors), how often the headline names a leader that is not the
best, and how often true gains, leaders and irrelevant differences are found.
"""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.lib.curve_studies import CurveSetting, simulate_curve
from bench.lib.simulations import run_simulation
from bench.lib.verdict_studies import (
    ResplitSetting,
    Setting,
    simulate_fixed,
    simulate_plan,
    simulate_resplit,
)
from convnet.comparison.decisions import MARGIN

RESULTS = Path(__file__).parents[1] / "results" / "verdict_simulation.json"
NO_GAIN = (0.0, 0.0, 0.0, 0.0)
SOME_GAIN = (0.0, 0.0, 0.03, 0.10)  # shares of accuracy
EQUAL_GAIN = (0.08, 0.08, 0.08, 0.08)
ONE_BEST = (0.0, 0.06, 0.06, 0.12)
AT_MARGIN = (MARGIN, -MARGIN, MARGIN, 0.0)


AnySetting = Setting | ResplitSetting | CurveSetting


def settings(quick: bool) -> dict[str, Sequence[AnySetting]]:
    """Return the settings of each group; the stress groups are beyond the assumptions."""
    if quick:
        fixed = [Setting(0.8, 3, 256, 0.2, NO_GAIN), Setting(0.8, 5, 256, 0.1, SOME_GAIN)]
        return {
            "fixed_split": fixed,
            "clusters": [Setting(0.8, 5, 400, 0.1, NO_GAIN, cluster=5)],
            "unlike_networks": [Setting(0.7, 3, 256, 0.2, SOME_GAIN, 0.05, unlike=True)],
            "headline": [Setting(0.7, 5, 400, 0.05, EQUAL_GAIN)],
            "irrelevant": [Setting(0.85, 5, 2000, 0.02, AT_MARGIN)],
            "resplit": [ResplitSetting(5, 0.0)],
        }
    seeds = (3, 5, 10)
    two, many = (0.8, 0.2), tuple(float(n) for n in np.linspace(1, 3, 20))
    return {
        "fixed_split": [
            Setting(accuracy, count, images, deviation, gains)
            for accuracy, count, images, deviation, gains in itertools.product(
                (0.7, 0.85), seeds, (256, 1000), (0.0, 0.3), (NO_GAIN, SOME_GAIN)
            )
        ],
        "unequal_classes": [
            Setting(0.85, count, 256, 0.1, gains, shares=two)
            for count, gains in itertools.product(seeds, (NO_GAIN, SOME_GAIN))
        ],
        "many_classes": [
            Setting(0.7, count, 200, 0.1, gains, shares=many)
            for count, gains in itertools.product(seeds, (NO_GAIN, SOME_GAIN))
        ],
        "unequal_seed_spreads": [
            Setting(0.7, count, 256, *spread[:1], gains, spread[1])
            for count, spread, gains in itertools.product(seeds, ((0.3, 0.03), (0.03, 0.3)), (NO_GAIN, SOME_GAIN))
        ],
        "unlike_networks": [
            Setting(0.7, count, 1000, *spread[:1], gains, spread[1], unlike=True)
            for count, spread, gains in itertools.product(
                seeds, ((0.2, 0.2), (0.3, 0.03), (0.03, 0.3)), (NO_GAIN, SOME_GAIN)
            )
        ],
        "clusters": [
            Setting(0.8, count, 400, 0.1, gains, cluster=cluster)
            for count, cluster, gains in itertools.product(seeds, (5, 20), (NO_GAIN, SOME_GAIN))
        ],
        "headline": [
            Setting(0.7, count, 1000, deviation, gains)
            for count, deviation, gains in itertools.product(seeds, (0.05, 0.2), (EQUAL_GAIN, ONE_BEST))
        ],
        "irrelevant": [
            Setting(0.85, count, images, 0.02, gains)
            for count, images, gains in itertools.product((5, 10), (1000, 4000), (AT_MARGIN, NO_GAIN))
        ],
        "near_perfect": [
            Setting(accuracy, count, images, 0.1, gains)
            for accuracy, count, images, gains in itertools.product(
                (0.97, 0.99), seeds, (60, 1000), (NO_GAIN, (0.0, 0.0, 0.0, 0.008))
            )
        ],
        "failed_trainings": [
            Setting(0.8, count, 256, 0.1, gains, failing=failing)
            for count, failing, gains in itertools.product(seeds, (0.1, 0.3), (NO_GAIN, SOME_GAIN))
        ],
        "resplit": [
            ResplitSetting(count, gain, pool=pool) for count in seeds for gain in (0.0, 0.05) for pool in (400, 2000)
        ],
        # Two wrong test images in 80, and 24 test images in all.
        "resplit_stress": [
            ResplitSetting(count, 0.0, *rest) for count in seeds for rest in ((0.7, 400), (0.35, 120), (0.7, 120))
        ],
        "plans": [Setting(0.75, count, 256, 0.1, (gain,)) for count, gain in itertools.product((3, 5), (0.04, 0.08))],
        "curves": [
            CurveSetting(*curve, seeds=3, images=500) for curve in ((2.0, 0.5, 0.05), (3.0, 0.5, 0.0), (20.0, 0.9, 0.0))
        ],
    }


RATES = ("coverage", "coverage_of_t_interval_over_seeds", "coverage_with_images_as_units", "false_helps",
         "false_decisions", "false_headlines", "false_pairs")  # fmt: skip


def ranges(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the lowest and highest of each rate, over settings."""
    found = {name: [row[name] for row in rows if row.get(name) is not None] for name in RATES}
    return {name: {"lowest": min(values), "highest": max(values)} for name, values in found.items() if values}


def simulate(studies: int, numbered: tuple[int, str, AnySetting]) -> tuple[str, dict[str, Any]]:
    """Return the group and the rates of one setting."""
    number, group, setting = numbered
    if isinstance(setting, ResplitSetting):
        return group, simulate_resplit(setting, studies, number)
    if isinstance(setting, CurveSetting):
        return group, simulate_curve(setting, studies, number)
    function: Callable[[Setting, int, int], dict[str, Any]] = simulate_plan if group == "plans" else simulate_fixed
    return group, function(setting, studies, number)


def main() -> None:
    """Simulate all settings, print the ranges and write every row."""
    run_simulation(
        "simulate_verdict",
        "Count how often the verdict is wrong on studies with known truth.",
        settings,
        simulate,
        ranges,
        lambda group, name, value: f"{group:20s} {name:36s} {value['lowest']:5.1f} .. {value['highest']:5.1f} %",
        "percent",
        RESULTS,
    )


if __name__ == "__main__":
    main()
