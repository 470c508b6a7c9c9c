"""Which differences a study can decide, how probably more seeds decide an open comparison, and what would decide it.

Minimum detectable difference: the true difference that a study decides with probability `POWER`, in standard errors the
shift at which the noncentral t exceeds the critical t with that probability. Sources: H. S. Bloom, "Minimum detectable
effects: a simple way to report the statistical power of experimental designs", 1995, for the idea; J. Cohen,
"Statistical power analysis for the behavioral sciences", 1988, for the noncentral t, because Bloom's sum of two t is
too small for 3 seeds. The shifts of the seeds and of the images are weighted by their variances, as the two t of the
interval are. The error is the measured one, so the number is itself uncertain.

Chance of a decision: the measured difference is uncertain too, so a plan that keeps it as it is promises too much. The
chance averages over the means that later seeds may bring. The present seeds stay, so the mean of all seeds differs from
the present mean by an error with Student's t and a known variance,

    V(seed part of the mean) * more / (seeds + more)

Where every seed has a fold, more seeds draw all folds again: the error then has the seed parts of both studies. Source:
D. J. Spiegelhalter, L. S. Freedman & P. R. Blackburn, "Monitoring clinical trials: conditional or predictive power?",
1986. bench/correctness/simulate_chance.py and simulate_verdict.py count how often chances and plans are kept.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from scipy import optimize, special

from convnet.comparison.decisions import FEWEST_SEEDS, SIGNIFICANCE
from convnet.comparison.random_effects import LEAST_FREEDOM, Components, Estimate
from convnet.comparison.schema import Comparison, Verdict
from convnet.comparison.statistics import t_critical
from convnet.system.language import tr

POWER = 0.8
LOOKS = (3, 5, 10)  # numbers of seeds that are proposed where run.looks declares none
MOST_MORE_SEEDS = 10  # a plan further ahead is wrong too often
MOST_TIMES_IMAGES = 100
LIKELY = 0.8  # probability of a plan that is worth its seeds
EVEN = 0.5


class SeedPlan(NamedTuple):
    """More seeds, and the probability that they decide the comparison."""

    more: int
    probability: float


def estimate_of(row: Comparison) -> Estimate:
    """Return the estimate behind a comparison, from its stored numbers."""
    variance, half = row.standard_error**2, (row.interval.upper - row.interval.lower) / 2
    estimate = Estimate(
        mean=row.mean,
        centre=(row.interval.upper + row.interval.lower) / 2,
        seed_variance=row.seed_share * variance,
        image_variance=(1 - row.seed_share) * variance,
        seeds=len(row.seeds),
        images=row.n_test,
        units=row.n_groups * (row.n_test + 2) / row.n_test,  # with the two half images
    )
    if row.split == "folds":
        return with_folds_apart(estimate, row.seed_share)
    if row.paired or row.seed_share == 0:
        return estimate

    def excess(factor: float) -> float:
        return replace(estimate, freedom_factor=factor).half_width(SIGNIFICANCE) - half

    # Unlike networks have up to twice the degrees of freedom; the width of the interval shows how many.
    if excess(1.0) <= 0:
        return estimate
    factor = float(optimize.brentq(excess, 1.0, 2.0)) if excess(2.0) < 0 else 2.0
    return replace(estimate, freedom_factor=factor)


def with_folds_apart(estimate: Estimate, seed_share: float) -> Estimate:
    """Return an estimate over folds whose seed part is what more folds reduce; both parts have the freedom of folds."""
    variance = estimate.standard_error**2
    return replace(
        estimate,
        seed_variance=seed_share * variance,
        image_variance=(1 - seed_share) * variance,
        units=estimate.seeds,
    )


def planned(estimate: Estimate, seeds: int, times_images: float = 1.0) -> Estimate:
    """Return the estimate as it would be with `seeds` seeds and `times_images` as many test images."""
    return replace(
        estimate,
        seeds=seeds,
        seed_variance=estimate.seed_variance * estimate.seeds / seeds,
        image_variance=estimate.image_variance / times_images,
        images=round(estimate.images * times_images),
        units=estimate.units * times_images,
    )


def minimum_detectable(estimate: Estimate, level: float = SIGNIFICANCE) -> float:
    """Return the true difference that is decided with probability `POWER` at significance `level`, 0..1."""
    freedoms = ((estimate.seeds - 1) * estimate.freedom_factor, max(estimate.units - 1, LEAST_FREEDOM))
    variances = (estimate.seed_variance, estimate.image_variance)
    weighted = sum(
        variance * float(special.nctdtrinc(freedom, 1 - POWER, t_critical(level, freedom)))
        for variance, freedom in zip(variances, freedoms, strict=True)
        if variance > 0
    )
    return min(1.0, weighted / estimate.standard_error)


def strictest_level(verdict: Verdict) -> float:
    """Return the level that every comparison passes that Holm's correction decides first."""
    return SIGNIFICANCE / max(len(verdict.comparisons), 1) / max(len(verdict.looks), 1)


def open_level(verdict: Verdict) -> float:
    """Return the level that decides the next open comparison, if the other open ones stay open."""
    undecided = [row.decision for row in verdict.comparisons].count("not decided")
    return SIGNIFICANCE / max(undecided, 1) / max(len(verdict.looks), 1)


def next_looks(seeds: int, declared: Sequence[int] = ()) -> list[int]:
    """Return the numbers of seeds that are still ahead: of the declared looks, or of `LOOKS` where none is declared."""
    return [look for look in declared or LOOKS if look > seeds]


def chance_of_decision(now: Estimate, seeds: int, level: float, margin: float, redrawn: bool = False) -> float | None:
    """Return the probability that an open comparison is decided with `seeds` seeds in all.

    The test images stay the same. A decision is helps, hurts, or no relevant difference.

    Args:
        now: the estimate of the comparison, with fewer seeds.
        seeds: in all, at the next look.
        level: significance that decides it.
        margin: share of accuracy; a smaller difference does not matter.
        redrawn: more seeds replace the present ones, as folds do.

    Returns:
        The probability, or None with fewer than three seeds: their spread is not known.
    """
    if now.seeds < FEWEST_SEEDS:
        return None
    later = planned(now, seeds)
    unknown = now.seed_variance + later.seed_variance if redrawn else now.seed_variance * (seeds - now.seeds) / seeds
    scale, freedom = math.sqrt(unknown), (now.seeds - 1) * now.freedom_factor
    apart = later.half_width(level)  # a mean further from zero helps or hurts
    alike = margin - later.half_width(min(SIGNIFICANCE, 2 * level))  # a mean nearer to zero is irrelevant
    if alike >= apart:
        return 1.0
    if scale == 0:
        return float(abs(now.centre) > apart or abs(now.centre) < alike)
    below = [float(special.stdtr(freedom, (end - now.centre) / scale)) for end in (-apart, -alike, alike, apart)]
    return 1 - below[3] + below[0] + (below[2] - below[1] if alike > 0 else 0.0)


def plan_seeds(now: Estimate, level: float, margin: float, redrawn: bool = False) -> SeedPlan | None:
    """Return the fewest more seeds that decide a comparison with a probability of 80 %.

    Where 10 more seeds decide it with 50 to 80 %, they are the plan. Arguments are those of `chance_of_decision`.

    Returns:
        The plan, or None: 10 more seeds are probably not enough, or fewer than three seeds are there.
    """
    chance = 0.0
    for more in range(1, MOST_MORE_SEEDS + 1):
        chance = chance_of_decision(now, now.seeds + more, level, margin, redrawn) or 0.0
        if chance >= LIKELY:
            return SeedPlan(more, chance)
    return SeedPlan(MOST_MORE_SEEDS, chance) if chance >= EVEN else None


def images_needed(estimate: Estimate, components: Components, p: float) -> int | None:
    """Return how many test images in all would decide it with the present seeds, if the difference stays as it is.

    Returns:
        The number of images, or None: more than 100 times the present ones, or the seeds are too few for any number.
    """

    def decides(images: int) -> bool:
        later = _with_images(estimate, components, images)
        return later.half_width(p) < abs(later.centre)

    too_few = estimate.images
    enough = MOST_TIMES_IMAGES * too_few
    if not decides(enough):
        return None
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        enough, too_few = (middle, too_few) if decides(middle) else (enough, middle)
    return enough


def _with_images(estimate: Estimate, components: Components, images: int) -> Estimate:
    units = estimate.units * (images + 2) / (estimate.images + 2)
    return replace(
        estimate,
        centre=estimate.mean * images / (images + 2),  # by the two half images
        seed_variance=(components.seed + components.rest / units) / estimate.seeds,
        image_variance=components.unit / units,
        images=images,
        units=units,
    )


def chance_words(chance: float) -> str:
    """Return "about 60 %": steps of 5 %, because a chance is only that exact."""
    percent = 5 * round(20 * chance)
    if 5 <= percent <= 95:
        return tr("about {percent} %", percent=percent)
    return tr("under 5 %") if percent < 5 else tr("over 95 %")
