"""Size sweeps whose gain from more images is known, and how often the interval of that gain is wrong."""

from typing import Any, NamedTuple

import numpy as np

from bench.lib.verdict_studies import SEED, Counts
from convnet.evaluation.learning_curve import learning_curve

CURVE_STUDIES = 10  # one in so many: a curve costs 4,000 fits


class CurveSetting(NamedTuple):
    """One simulated kind of size sweep: error = a n^-b + c."""

    a: float
    b: float
    c: float
    seeds: int
    images: int  # test images
    seed_deviation: float = 0.01  # of the error of a whole seed
    sizes: tuple[int, ...] = (125, 250, 500, 1000, 2000)


def simulate_curve(setting: CurveSetting, studies: int, seed: int) -> dict[str, Any]:
    """Return how often the interval of the gain from twice the images contains the true gain."""
    generator = np.random.default_rng([SEED, 3, seed])
    expected = np.array([setting.a * n**-setting.b + setting.c for n in (*setting.sizes, 2 * setting.sizes[-1])])
    gain = float(expected[-2] - expected[-1])
    counts = Counts()
    for _ in range(max(studies // CURVE_STUDIES, 50)):
        # An image's difficulty is uniform, and mixed with chance, so that the error of a size has its expected value.
        difficulty = generator.random(setting.images)
        own = generator.random((len(setting.sizes), setting.seeds, setting.images))
        mixed = np.where(generator.random(own.shape) < 0.7, difficulty, own)
        noise = setting.seed_deviation * generator.standard_normal((len(setting.sizes), setting.seeds, 1))
        noise *= np.minimum(1.0, expected[:-1, None, None] / 0.1)  # a small error varies less
        wrong = mixed < expected[:-1, None, None] + noise
        points = {n: table.mean(axis=1).tolist() for n, table in zip(setting.sizes, wrong, strict=True)}
        of_images = {n: table.mean(axis=0) for n, table in zip(setting.sizes, wrong, strict=True)}
        found = learning_curve(points, of_images)
        counts.count("refused", found["refused"] is not None)
        counts.count("false_decisions", False)
        if found["doubling"]:
            lower, upper = found["doubling"]["interval"]
            counts.count("coverage", lower <= gain <= upper)
            counts.count("at_least", found["doubling"]["at_least"])
            if found["doubling"]["at_least"]:
                counts.count("at_least_holds", round(lower, 3) <= gain)
    return {**setting._asdict(), "true_gain": round(gain, 4), **counts.summary()}
