"""The mean difference of two variants when seed k is tested on fold k, so that every image is tested once.

Two estimates of the variance of the mean exist. The spread of the K means of the folds counts training and images
together, from K numbers. The spread of the units within folds counts the images alone, from all of them. The larger one
counts, with K - 1 degrees of freedom, so that folds whose means agree by luck do not make the interval narrow. Half an
image won and half an image lost are added, as in `random_effects`.

Training sets of two folds share images. The covariance that this adds is not in the formula. No estimate of it is
unbiased (Bengio & Grandvalet 2004). bench/correctness/simulate_folds.py trains networks with a known truth and counts
how often this interval contains it, beside other intervals.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from convnet.comparison.random_effects import Components, Estimate

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]


class Parts(NamedTuple):
    """The mean over folds, and two estimates of its variance."""

    mean: float
    of_folds: float  # from the spread of the folds' means
    of_units: float  # from the spread of the units within folds
    units: int


def parts_of(differences: Sequence[Floats], groups: Sequence[Integers]) -> Parts:
    """Return the mean and its variances; see `folds_estimate`."""
    means = np.array([values.mean() for values in differences])
    folds = len(means)
    within = [_of_units(values, units) for values, units in zip(differences, groups, strict=True)]
    of_folds = float(means.var(ddof=1)) / folds if folds > 1 else 0.0
    return Parts(
        float(means.mean()), of_folds, sum(part for part, _ in within) / folds**2, sum(count for _, count in within)
    )


def folds_estimate(
    differences: Sequence[Floats], groups: Sequence[Integers], step: float = 1.0
) -> tuple[Estimate, Components | None]:
    """Estimate the expected difference over new trainings and new images.

    Args:
        differences: per fold (n,): correct(variant) - correct(baseline) on its test images.
        groups: per fold (n,): the group of images of each entry; a group is in one fold.
        step: what one image moves the sum by.

    Returns:
        The estimate, and the variance components for planning (None with one fold).
    """
    parts = parts_of(differences, groups)
    folds, images = len(differences), sum(map(len, differences))
    # By the two half images, as if they were in the test images of all folds together.
    shrink, luck = images / (images + 2), (step / (images + 2)) ** 2
    of_units, centre = parts.of_units * shrink**2, parts.mean * shrink
    if folds == 1:
        return Estimate(parts.mean, centre, 0.0, of_units + luck, 1, images, parts.units), None
    variance = max(parts.of_folds * shrink**2, of_units)
    units = max(parts.units - folds, folds - 1) + 1  # a fold may be one group: then only the folds show a spread
    estimate = Estimate(parts.mean, centre, variance, luck, folds, images, units)
    # More folds shrink what they show beyond the units; more images shrink the rest.
    excess = variance - of_units
    return estimate, Components(seed=excess * folds, unit=(of_units + luck) * units, rest=0.0)


def _of_units(values: Floats, groups: Integers) -> tuple[float, int]:
    """Return the variance of the mean of one fold over samples of its groups, and their number."""
    _, index = np.unique(groups, return_inverse=True)
    sums = np.bincount(index, weights=values - values.mean())
    count = len(sums)
    return float((sums**2).sum()) / len(values) ** 2 * count / max(count - 1, 1), count
