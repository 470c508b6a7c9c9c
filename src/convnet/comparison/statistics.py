"""Classical intervals and tests for a handful of seeds and a set of test images."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.floating[Any]]

LEVEL = 0.95
# Up to here every sign pattern is counted (2^20 of them); above, a seeded random sample of the patterns.
MOST_EXACT_FLIPS = 20


class Interval(NamedTuple):
    """A two-sided interval, in the unit of what it bounds."""

    lower: float
    upper: float


def t_critical(p: float, degrees_of_freedom: float) -> float:
    """Return t with P(|T| > t) = p for Student's t."""
    return float(-special.stdtrit(degrees_of_freedom, p / 2))


def t_interval(values: Sequence[float] | Floats, level: float = LEVEL) -> Interval | None:
    """Return Student's interval of a mean, or None for fewer than two values: they have no spread to measure.

    Args:
        values: one per seed, at least two.
        level: coverage, 0..1.
    """
    if len(values) < 2:
        return None
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values))
    half = t_critical(1 - level, len(values) - 1) * error
    return Interval(mean - half, mean + half)


def sign_flip_p(differences: Sequence[float] | Floats, seed: int = 0, samples: int = 100_000) -> float:
    """Return the two-sided p of a zero mean under random signs of the paired differences.

    Exact over all 2^n sign patterns for n <= 20; it cannot fall below `smallest_sign_flip_p(n)`. Above 20 the
    patterns are a seeded random sample and the p carries the +1 of Phipson & Smyth 2010.

    Source: R. A. Fisher, "The design of experiments", 1935, section 21.
    """
    values = np.asarray(differences, dtype=np.float64)
    observed = abs(values.sum()) * (1 - 1e-12)  # equal sums reached in another order must count as equal
    if len(values) > MOST_EXACT_FLIPS:
        signs = np.random.default_rng([seed, len(values)]).integers(0, 2, (samples, len(values)), dtype=np.int8)
        return float((1 + np.sum(np.abs((2 * signs - 1) @ values) >= observed)) / (1 + samples))
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return float(np.mean(np.abs(sums) >= observed))


def smallest_sign_flip_p(n: int) -> float:
    """Return the least two-sided p that n paired differences can reach: 0.25 for 3, 0.03125 for 6."""
    return 2.0 ** (1 - n)


def wilson_interval(share: float, n: int, level: float = LEVEL) -> Interval:
    """Return Wilson's score interval of a share.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    Args:
        share: observed share, 0..1 (a mean over seeds is allowed: it need not be a multiple of 1/n).
        n: number of test images.
        level: coverage, 0..1.
    """
    z = float(special.ndtri((1 + level) / 2))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Return the exact two-sided McNemar p for two models on the same images.

    Source: Q. McNemar 1947; the exact form is a sign test on the images where exactly one model is right.

    Args:
        only_first: images only the first model gets right.
        only_second: images only the second model gets right.
    """
    disputed = only_first + only_second
    if disputed == 0:
        return 1.0
    return min(1.0, 2 * float(special.bdtr(min(only_first, only_second), disputed, 0.5)))


def paired_bootstrap(differences: Floats, seed: int = 0, repetitions: int = 10_000, level: float = LEVEL) -> Interval:
    """Return the percentile interval of the mean difference when the test images are drawn again.

    It carries the sampling of images alone, not the randomness of training.

    Source: Efron & Tibshirani, "An introduction to the bootstrap", 1993, chapter 13.

    Args:
        differences: (seeds, n) of correct(variant) - correct(baseline), -1, 0 or 1, on the same images.
        seed: of the resampling.
        repetitions: number of resamples.
        level: coverage, 0..1.
    """
    per_image = differences.mean(axis=0)
    # Few distinct values occur, so drawing n images is one multinomial draw over the values: the same law, faster.
    values, counts = np.unique(per_image, return_counts=True)
    drawn = np.random.default_rng([seed, len(per_image)]).multinomial(
        len(per_image), counts / len(per_image), size=repetitions
    )
    means = drawn @ values / len(per_image)
    lower, upper = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(lower), float(upper))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down adjusted p-values, in the order given.

    Rejecting where the result is at most 0.05 keeps the chance of any false rejection at 5 %.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    count = len(p_values)
    adjusted = [0.0] * count
    largest = 0.0
    for rank, index in enumerate(sorted(range(count), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
