"""The mean difference of two variants when seed k is tested on fold k, so that every image is tested once.

    variance of the mean = V(unit)/U + V(fold)/K

The units of a fold differ by the choice of images; they estimate the first part from all U units. Folds differ by more
than that, because each has a training of its own; the spread of the K means exceeds the first part by the second. A
negative excess counts as zero. The first part takes the t of the units, the second that of the folds; they are averaged
as in `random_effects`. Half an image won and half an image lost are added.

Training sets of two folds share images. The covariance that this adds is not in the formula. No estimate of it is
unbiased (Bengio & Grandvalet 2004). bench/correctness/simulate_folds.py trains networks with a known truth and counts
how often the interval contains it, beside other intervals.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from convnet.comparison.random_effects import Components, Estimate

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]


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
    means = np.array([values.mean() for values in differences])
    folds, images = len(means), sum(map(len, differences))
    parts = [_of_units(values, units) for values, units in zip(differences, groups, strict=True)]
    count = sum(units for _, units in parts)
    # By the two half images, as if they were in the test images of all folds together.
    mean, shrink, luck = float(means.mean()), images / (images + 2), (step / (images + 2)) ** 2
    within = sum(variance for variance, _ in parts) / folds**2 * shrink**2 + luck
    if folds == 1:
        return Estimate(mean, mean * shrink, 0.0, within, 1, images, count), None
    excess = max(float(means.var(ddof=1)) / folds * shrink**2 + luck - within, 0.0)
    units = max(count - folds, folds - 1) + 1  # a fold may be one group: then only the folds show a spread
    estimate = Estimate(mean, mean * shrink, excess, within, folds, images, units)
    return estimate, Components(seed=excess * folds, unit=within * units, rest=0.0)


def _of_units(values: Floats, groups: Integers) -> tuple[float, int]:
    """Return the variance of the mean of one fold over samples of its groups, and their number."""
    _, index = np.unique(groups, return_inverse=True)
    sums = np.bincount(index, weights=values - values.mean())
    count = len(sums)
    return float((sums**2).sum()) / len(values) ** 2 * count / max(count - 1, 1), count
