"""What would decide an open comparison: more seeds, with a probability, or more test images.

A plan continues the study: the seeds so far stay. The result of the other seeds is not known. The mean of all seeds
will therefore differ from the present mean by an error with Student's t and a known variance,

    V(seed part of the mean) * more / (seeds + more)

and the half width shrinks as the parts of the variance do. The probability follows in one line. Where every seed has
a fold, more seeds draw all folds again: the error then has the seed parts of both studies.
bench/correctness/simulate_verdict.py counts how often plans are enough.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from scipy import special

from convnet.comparison.random_effects import Components, Estimate

MOST_MORE_SEEDS = 10  # a plan further ahead is wrong too often
MOST_TIMES_IMAGES = 100
LIKELY = 0.8  # probability of a plan that is worth its seeds
EVEN = 0.5


class SeedPlan(NamedTuple):
    """More seeds, and the probability that they decide the comparison."""

    more: int
    probability: float


def plan_seeds(
    estimate: Estimate, later: Callable[[int], Estimate], level: float, redrawn: bool = False
) -> SeedPlan | None:
    """Return the fewest more seeds that decide a comparison with a probability of 80 %.

    Where 10 more seeds decide it with 50 to 80 %, they are the plan.

    Args:
        estimate: the present one, of two seeds or more.
        later: returns the estimate expected with a number of seeds, if the difference stays as it is.
        level: the error probability the decision has to reach.
        redrawn: more seeds replace the present ones.

    Returns:
        The plan, or None: 10 more seeds are probably not enough.
    """
    chance = 0.0
    for more in range(1, MOST_MORE_SEEDS + 1):
        chance = _chance(estimate, later(estimate.seeds + more), level, redrawn)
        if chance >= LIKELY:
            return SeedPlan(more, chance)
    return SeedPlan(MOST_MORE_SEEDS, chance) if chance >= EVEN else None


def with_more_seeds(estimate: Estimate, components: Components) -> Callable[[int], Estimate]:
    """Return the function from a number of seeds to the expected estimate, for seeds that share their test images."""
    return lambda seeds: _planned(estimate, components, seeds, estimate.images)


def with_more_splits(estimate: Estimate) -> Callable[[int], Estimate]:
    """Return the same for seeds with own splits.

    More splits of one pool test few new images, so the part of the images stays as it is.
    """
    variance = estimate.seed_variance * estimate.seeds
    return lambda seeds: replace(estimate, seed_variance=variance / seeds, seeds=seeds)


def images_needed(estimate: Estimate, components: Components, p: float) -> int | None:
    """Return how many test images in all would decide it with the present seeds, if the difference stays as it is.

    Returns:
        The number of images, or None: more than 100 times the present ones, or the seeds are too few for any number.
    """

    def decides(images: int) -> bool:
        planned = _planned(estimate, components, estimate.seeds, images)
        return planned.half_width(p) < abs(planned.centre)

    too_few = estimate.images
    enough = MOST_TIMES_IMAGES * too_few
    if not decides(enough):
        return None
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        enough, too_few = (middle, too_few) if decides(middle) else (enough, middle)
    return enough


def _chance(now: Estimate, later: Estimate, level: float, redrawn: bool) -> float:
    """Return the probability that the interval of `later` excludes zero on the side of the present difference."""
    variance = unknown_variance(now, later, redrawn)
    room = abs(later.centre) - later.half_width(level)
    if variance == 0:
        return float(room > 0)
    freedom = (now.seeds - 1) * now.freedom_factor
    return float(special.stdtr(freedom, room / math.sqrt(variance)))


def unknown_variance(now: Estimate, later: Estimate, redrawn: bool) -> float:
    """Return the variance of the later mean about the present one."""
    if redrawn:
        return now.seed_variance + later.seed_variance
    return now.seed_variance * (later.seeds - now.seeds) / later.seeds


def _planned(estimate: Estimate, components: Components, seeds: int, images: int) -> Estimate:
    units = estimate.units * (images + 2) / (estimate.images + 2)
    return replace(
        estimate,
        centre=estimate.mean * images / (images + 2),  # by the two half images
        seed_variance=components.seed / seeds + components.rest / (seeds * units),
        image_variance=components.unit / units,
        seeds=seeds,
        images=images,
        units=units,
    )
