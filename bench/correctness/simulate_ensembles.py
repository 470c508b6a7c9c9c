"""Is the comparison of an ensemble honest? Simulated studies whose true difference is known.

    python -m bench.correctness.simulate_ensembles     30 seconds; writes bench/results/ensembles_simulation.json

A network is right where a sum of normal terms is positive: a constant, the difficulty of the image, the luck of the
seed, and chance image by image. An ensemble takes the mean of the sums of its members. Its constant is shifted, so that
its true accuracy is that of one network plus a known gain. A study compares groups of members, no seed in two groups,
each with the mean of the networks with its seeds. They are those of the variant that it is made from, or of another.
"""

import argparse
import itertools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from convnet.comparison.decisions import SIGNIFICANCE
from convnet.comparison.random_effects import crossed_estimate
from convnet.system.files import write_json

RESULTS = Path(__file__).parents[1] / "results" / "ensembles_simulation.json"
ACCURACY, REST = 0.8, 0.7  # of one network; standard deviation of chance beside a difficulty of 1


class Setting(NamedTuple):
    """A kind of study."""

    groups: int
    members: int
    images: int
    seed: float  # standard deviation of the luck of a seed
    gain: float  # of the ensemble, a share of accuracy
    same: bool  # compared with its own members, not with networks of another variant


def simulate(setting: Setting, studies: int, random: np.random.Generator) -> dict[str, float]:
    """Return the share of studies with a difference at p of 0.05, and of intervals that contain the truth."""
    one, joined = (np.sqrt(1 + (setting.seed**2 + REST**2) / count) for count in (1, setting.members))
    of_one = stats.norm.ppf(ACCURACY) * one
    of_ensemble = stats.norm.ppf(ACCURACY + setting.gain) * joined
    shape = (setting.groups, setting.members)
    decided = covered = 0
    for _ in range(studies):
        difficulty = random.standard_normal(setting.images)
        ours = _networks(setting, random, shape)
        theirs = ours if setting.same else _networks(setting, random, shape)
        right = (of_one + difficulty + theirs > 0).mean(axis=1)
        ensemble = of_ensemble + difficulty + ours.mean(axis=1) > 0
        estimate, _ = crossed_estimate(ensemble - right)
        low, high = estimate.interval()
        decided += estimate.p_value() <= SIGNIFICANCE
        covered += low <= setting.gain <= high
    return {"decided": decided / studies, "covered": covered / studies}


def _networks(setting: Setting, random: np.random.Generator, shape: tuple[int, int]) -> Any:
    luck = setting.seed * random.standard_normal((*shape, 1))
    return luck + REST * random.standard_normal((*shape, setting.images))


def settings() -> list[Setting]:
    """Return all settings."""
    choices = ((3, 5, 10), (2, 3), (300, 2400), (0.0, 0.1, 0.3), (0.0, 0.03), (True, False))
    return [Setting(*chosen) for chosen in itertools.product(*choices)]


def main() -> None:
    """Simulate, print one line per setting, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000, help="studies of each setting")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    rows = []
    for number, setting in enumerate(settings()):
        found = simulate(setting, arguments.studies, np.random.default_rng([number, 19]))
        rows.append(setting._asdict() | found)
        print(*(f"{name} {value}" for name, value in rows[-1].items()), sep=", ")
    write_json(arguments.out, {"studies": arguments.studies, "rows": rows})


if __name__ == "__main__":
    main()
