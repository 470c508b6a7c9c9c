"""The mean difference of two variants when every seed also draws its own split of the images.

A seed's result then differs by its training, its split and its test images, all at once; the variance s^2 between seeds
counts them together. But splits of one pool share images, so the results are correlated, and s^2 / S alone is too
small:

    variance of the overall mean = s^2/S + covariance of two seeds

The covariance is estimated from the images that several seeds were tested on: if the variant does better on one image
in two seeds, that is one piece of luck, not two. It comes from products of entries of one group of images (copies of
one image, or images of one scene) in different seeds. A negative estimate counts as zero. As in `random_effects`, half
an image won and half an image lost are added, tested by every seed. The two parts take the t of the seeds and the t of
the groups.

The covariance that shared training images add is not estimated. bench/correctness/simulate_verdict.py trains networks
on such splits, and the interval still has its stated coverage there. The correction of Nadeau & Bengio ("Inference for
the generalization error", Machine Learning 52, 2003) puts n(test)/n(train) in place of an estimate. The simulation
tried it as well: its interval contained the truth in 98 to 99 % of studies and found half as many of the true gains.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from convnet.comparison.random_effects import Estimate

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]


def resplit_estimate(differences: Sequence[Floats], groups: Sequence[Integers], step: float = 1.0) -> Estimate:
    """Estimate the expected difference over new seeds and new splits.

    Args:
        differences: per seed (n,): correct(variant) - correct(baseline) on that seed's own test images.
        groups: per seed (n,): the group of images each entry belongs to, the same number in all seeds.
        step: what one image moves the sum by.
    """
    means = np.array([values.mean() for values in differences])
    seeds, mean = len(means), float(means.mean())
    entries = np.concatenate(differences)
    distinct, owner = np.unique(np.concatenate(groups), return_inverse=True)
    count = len(distinct)
    per_seed = len(entries) / seeds
    shrink = per_seed / (per_seed + 2)  # by the two half images
    luck = (step / (per_seed + 2)) ** 2
    number = np.repeat(np.arange(seeds), [len(values) for values in differences])
    sums = np.bincount(owner * seeds + number, weights=entries - mean, minlength=count * seeds).reshape(count, seeds)
    of_groups = float((sums.sum(axis=1) ** 2).sum())
    images = round(per_seed)
    if seeds == 1:
        variance = of_groups * (shrink / per_seed) ** 2 + luck
        return Estimate(mean, mean * shrink, 0.0, variance, seeds, images, count)
    # The square of a group's sum holds its products within a seed, which are in s^2, and those between seeds.
    products = max(of_groups - float((sums**2).sum()), 0.0)
    covariance = products / (seeds * (seeds - 1) * per_seed**2)
    seed_variance = float(means.var(ddof=1)) * shrink**2 / seeds
    return Estimate(mean, mean * shrink, seed_variance, covariance * shrink**2 + luck, seeds, images, count)
