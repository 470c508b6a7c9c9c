"""Which differences a study can decide, and how probably more seeds decide an open comparison.

Minimum detectable difference: the true difference that a study decides with probability `POWER`, in standard errors the
shift at which the noncentral t exceeds the critical t with that probability. Sources: H. S. Bloom, "Minimum detectable
effects: a simple way to report the statistical power of experimental designs", 1995, for the idea; J. Cohen,
"Statistical power analysis for the behavioral sciences", 1988, for the noncentral t, because Bloom's sum of two t is
too small for 3 seeds. The shifts of the seeds and of the images are weighted by their variances, as the two t of the
interval are. The error is the measured one, so the number is itself uncertain.

Chance of a decision: the measured difference is uncertain too, so a plan that keeps it as it is promises too much. The
chance averages over the means that later seeds may bring. Source: D. J. Spiegelhalter, L. S. Freedman & P. R.
Blackburn, "Monitoring clinical trials: conditional or predictive power?", 1986.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from scipy import optimize, special

from convnet.comparison.decisions import FEWEST_SEEDS, SIGNIFICANCE
from convnet.comparison.folds import FREEDOM
from convnet.comparison.planning import unknown_variance
from convnet.comparison.random_effects import LEAST_FREEDOM, Estimate
from convnet.comparison.schema import Comparison, Verdict
from convnet.comparison.statistics import t_critical

POWER = 0.8
LOOKS = (3, 5, 10)  # numbers of seeds that are proposed where run.looks declares none


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
    if row.split == "folds":  # both parts have the freedom of the folds
        return replace(estimate, units=FREEDOM * (len(row.seeds) - 1) + 1, freedom_factor=FREEDOM)
    if row.paired or row.seed_share == 0:
        return estimate

    def excess(factor: float) -> float:
        return replace(estimate, freedom_factor=factor).half_width(SIGNIFICANCE) - half

    # Unlike networks have up to twice the degrees of freedom; the width of the interval shows how many.
    if excess(1.0) <= 0:
        return estimate
    factor = float(optimize.brentq(excess, 1.0, 2.0)) if excess(2.0) < 0 else 2.0
    return replace(estimate, freedom_factor=factor)


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

    The test images stay the same. A decision is helps, hurts, or no relevant difference. `planning` has the error.

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
    scale, freedom = math.sqrt(unknown_variance(now, later, redrawn)), (now.seeds - 1) * now.freedom_factor
    apart = later.half_width(level)  # a mean further from zero helps or hurts
    alike = margin - later.half_width(min(SIGNIFICANCE, 2 * level))  # a mean nearer to zero is irrelevant
    if alike >= apart:
        return 1.0
    if scale == 0:
        return float(abs(now.centre) > apart or abs(now.centre) < alike)
    below = [float(special.stdtr(freedom, (end - now.centre) / scale)) for end in (-apart, -alike, alike, apart)]
    return 1 - below[3] + below[0] + (below[2] - below[1] if alike > 0 else 0.0)


def chance_words(chance: float) -> str:
    """Return "about 60 %": steps of 5 %, because a chance is only that exact."""
    percent = 5 * round(20 * chance)
    return "under 5 %" if percent < 5 else "over 95 %" if percent > 95 else f"about {percent} %"
