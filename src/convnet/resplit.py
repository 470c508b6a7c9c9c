"""The mean difference of two variants when every seed also draws its own split of the images.

The splits share images, so the seeds' results are correlated and the plain t interval is too narrow. Nadeau & Bengio,
"Inference for the generalization error" (Machine Learning 52, 2003), replace 1/S by 1/S + n(test)/n(train), with
S - 1 degrees of freedom. With few seeds that estimate can be almost zero by luck; the interval is therefore never
taken narrower than the sampling error of the images alone, with what one image adds in several seeds counted together.
bench/simulate_verdict.py finds the result on the safe side: it holds the truth more often than in 95 % of studies.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from convnet.crossed import MOST_MORE_SEEDS, Estimate
from convnet.statistics import t_critical

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]


def resplit_estimate(
    differences: Sequence[Floats], images: Sequence[Integers], train_images: int, step: float = 1.0
) -> Estimate:
    """Estimate the expected difference over new seeds and new splits.

    Args:
        differences: per seed (n,): correct(variant) - correct(baseline) on that seed's own test images.
        images: per seed (n,): which image each entry belongs to, the same number for the same image.
        train_images: images in the training split.
        step: what one image moves the sum by.
    """
    means = np.array([values.mean() for values in differences])
    seeds, mean = len(means), float(means.mean())
    distinct, owner = np.unique(np.concatenate(images), return_inverse=True)
    entries = np.concatenate(differences)
    # Errors of one image in several seeds are not independent: sum per image first, then square.
    per_image = np.bincount(owner, weights=entries - mean)
    image_variance = float((per_image**2).sum() + step**2) / (len(entries) + 2) ** 2
    centre = mean * len(entries) / (len(entries) + 2)
    if seeds == 1:
        return Estimate(mean, centre, 0.0, image_variance, seeds, len(distinct))
    test_per_train = len(entries) / seeds / train_images
    seed_variance = float(means.var(ddof=1)) * (1 / seeds + test_per_train)
    return Estimate(mean, centre, seed_variance, 0.0, seeds, len(distinct), least_variance=image_variance)


def more_splits_needed(estimate: Estimate, test_per_train: float, p: float) -> int | None:
    """Return how many more seeds, each with its own split, would decide it if the difference stays as it is.

    Args:
        estimate: the present one, of two seeds or more.
        test_per_train: test images per training image.
        p: the error probability the decision has to reach.

    Returns:
        1..50, or None: more than 50, or no number of splits of these images.
    """
    between = estimate.seed_variance / (1 / estimate.seeds + test_per_train)
    for more in range(1, MOST_MORE_SEEDS + 1):
        seeds = estimate.seeds + more
        spread = t_critical(p, seeds - 1) * math.sqrt(between * (1 / seeds + test_per_train))
        # More splits of the same pool test few new images: what the images leave open is taken to stay as it is.
        least = t_critical(p, estimate.images - 1) * math.sqrt(estimate.least_variance)
        if max(spread, least) < abs(estimate.mean):
            return more
    return None
