"""Textbook intervals, and Holm's correction."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from convnet.evaluation.metrics import LEVEL

Floats = npt.NDArray[np.floating[Any]]


class Interval(NamedTuple):
    """A two-sided interval, in the unit of what it bounds."""

    lower: float
    upper: float


def t_critical(p: float, degrees_of_freedom: float) -> float:
    """Return t with P(|T| > t) = p for Student's t."""
    return float(-special.stdtrit(degrees_of_freedom, p / 2))


def t_interval(values: Sequence[float] | Floats, level: float = LEVEL) -> Interval | None:
    """Return Student's interval of a mean, or None for fewer than two values.

    Args:
        values: one per seed, at least two.
        level: coverage, 0..1.
    """
    if len(values) < 2:
        return None
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values))
    half = t_critical(1 - level, len(values) - 1) * error
    return Interval(mean - half, mean + half)


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


def holm(p_values: Sequence[float], hypotheses: int | None = None) -> list[float]:
    """Return Holm's step-down adjusted p-values, in the order given.

    Rejecting where the result is at most 0.05 keeps the chance of any false rejection at 5 %.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", 1979.

    Args:
        p_values: of the hypotheses with data.
        hypotheses: all of them; those without data count as p = 1. None: as many as p-values.
    """
    count = len(p_values) if hypotheses is None else hypotheses
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
