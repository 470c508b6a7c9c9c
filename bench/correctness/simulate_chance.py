"""How often is a stated chance of a decision kept? Simulated studies with 3 seeds, then 5.

Each study has one comparison, whose true difference is drawn evenly within 15 points, and 400 test images. The command
prints a row per range of chances: how many comparisons were open at 3 seeds, and the share that 5 seeds decided.

    python -m bench.correctness.simulate_chance --studies 4000
"""

import argparse
import itertools

import numpy as np

from convnet.comparison.power import chance_of_decision
from convnet.comparison.random_effects import crossed_estimate

UNITS = 400
SEED, UNIT, REST = 0.015, 0.3, 0.25  # standard deviations of one entry, by where they come from
NOW, LATER = 3, 5  # seeds
LEVEL = 0.05
EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.001)


def simulate(studies: int) -> tuple[list[float], list[bool]]:
    """Return the stated chance of every open comparison, and whether it was decided."""
    random, stated, decided = np.random.default_rng(2), [], []
    for _ in range(studies):
        table = random.uniform(-0.15, 0.15) + SEED * random.standard_normal((LATER, 1))
        table = table + UNIT * random.standard_normal(UNITS) + REST * random.standard_normal((LATER, UNITS))
        now = crossed_estimate(table[:NOW])[0]
        chance = chance_of_decision(now, LATER, LEVEL, margin=0.0)
        if now.p_value() > LEVEL and chance is not None:
            stated.append(chance)
            decided.append(crossed_estimate(table)[0].p_value() <= LEVEL)
    return stated, decided


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=4000)
    stated, decided = map(np.asarray, simulate(parser.parse_args().studies))
    for lower, upper in itertools.pairwise(EDGES):
        inside = (stated >= lower) & (stated < upper)
        share = 100 * decided[inside].mean() if inside.any() else float("nan")
        print(f"{100 * lower:3.0f} to {min(100 * upper, 100):3.0f} %: {inside.sum():4d} open, {share:3.0f} % decided")


if __name__ == "__main__":
    main()
