"""The mean difference of two variants with both of its errors: a few training seeds and a sample of test images.

Every seed is tested on every image. The table of differences d[seed, unit] is therefore a crossed two-way layout with
both factors random, as readers and cases are in multi-reader multi-case studies (Dorfman, Berbaum & Metz 1992). A unit
is a group of test images (copies of one image, or images of one scene), and most groups hold one image:

    d[s, u] = mean + seed[s] + unit[u] + rest[s, u]

    variance of the overall mean = V(seed)/S + V(rest)/(S U)  +  V(unit)/U
                                   `--- seen between seeds ---'   `- units -'

The mean squares of the two-way analysis of variance estimate both parts. The interval over seeds alone leaves out the
second part and contains the truth for new images far too rarely. bench/correctness/simulate_verdict.py tries all
choices:

* Critical value: the t of the seeds and the t of the units (U - 1 degrees of freedom), averaged with the two variances
  as weights (Cochran & Cox, "Experimental designs", 1957, section 4.14). The Satterthwaite degrees of freedom that are
  usual for this layout (Hillis 2007) are too bold with three seeds: up to 14 % false decisions where 5 % is allowed.
* Seeds are paired where both variants train the same network: S - 1 degrees of freedom. Seeds of two unlike networks
  have nothing in common. Their variances are then taken apart, with (S - 1)(1 + r^2) degrees of freedom, where r is the
  smaller through the larger of the two variances. This number never exceeds that of Welch (1947).
* Half an image won and half an image lost are added (Agresti & Min 2005, "Wald + 2"), so that three lucky images cannot
  pass for certainty. Both variances together never fall below the variance that these halves alone give. An interval
  without width would decide everything.
* A negative estimate of the unit part counts as zero (Hillis 2007).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize

from convnet.comparison.statistics import Interval, t_critical
from convnet.data.splits import class_weights
from convnet.evaluation.metrics import LEVEL

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]

# Below this a p-value means nothing, and rounding spoils the quantiles of Student's t.
SMALLEST_P = 1e-15
LEAST_FREEDOM = 0.5  # one group of test images decides nothing


@dataclass(frozen=True)
class Estimate:
    """A mean difference and what is known about its error; shares of accuracy, -1..1."""

    mean: float  # as observed
    centre: float  # of the interval: the mean with the two added half images, a little nearer to zero
    seed_variance: float  # of the mean, from training randomness (and splits, where each seed has its own)
    image_variance: float  # of the mean, from the sample of test images
    seeds: int
    images: int  # test images of a seed
    units: float  # distinct groups of images; in the crossed layout with the two half images
    freedom_factor: float = 1.0  # degrees of freedom of the seed part / (seeds - 1): 1 paired, up to 2 apart

    @property
    def standard_error(self) -> float:
        """Both errors together."""
        return math.sqrt(self.seed_variance + self.image_variance)

    def half_width(self, p: float) -> float:
        """Return half the width of the interval with error probability `p`, 0..1."""
        total = self.seed_variance + self.image_variance
        if total == 0:
            return 0.0
        weighted = self.image_variance * t_critical(p, max(self.units - 1, LEAST_FREEDOM))
        if self.seed_variance > 0:
            weighted += self.seed_variance * t_critical(p, (self.seeds - 1) * self.freedom_factor)
        return weighted / math.sqrt(total)

    def interval(self, level: float = LEVEL) -> Interval:
        """Return the interval that contains the expected difference with probability `level`."""
        half = self.half_width(1 - level)
        return Interval(max(-1.0, self.centre - half), min(1.0, self.centre + half))

    def p_value(self) -> float:
        """Return the two-sided p of no difference: the error probability whose interval just touches zero."""
        return self._p_at(abs(self.centre))

    def margin_p(self, margin: float) -> float:
        """Return the one-sided p of a difference of `margin` or more: half that of the interval that touches it.

        Source: D. J. Schuirmann, "A comparison of the two one-sided tests procedure", 1987.
        """
        return self._p_at(max(margin - abs(self.centre), 0.0)) / 2

    def _p_at(self, distance: float) -> float:
        if distance == 0:
            return 1.0
        if self.half_width(SMALLEST_P) <= distance:
            return SMALLEST_P
        root = optimize.brentq(lambda log_p: self.half_width(math.exp(log_p)) - distance, math.log(SMALLEST_P), 0.0)
        return math.exp(float(root))


@dataclass(frozen=True)
class Components:
    """Variances of one entry of the table of differences, by where they come from."""

    seed: float
    unit: float
    rest: float


def crossed_estimate(
    differences: Floats, step: float = 1.0, images: int | None = None
) -> tuple[Estimate, Components | None]:
    """Estimate the expected difference over new seeds and new test images, with seeds paired.

    Args:
        differences: (seeds, units): correct(variant) - correct(baseline), as `balanced_values` and `by_groups` leave
            it. One seed is enough, but its training randomness then stays unknown.
        step: what one image moves the sum over images by; 1, or `image_step` for balanced accuracy.
        images: test images; None: as many as units.

    Returns:
        The estimate, and the variance components for planning (None with one seed).
    """
    return _estimate(differences, [differences], step, images)


def separate_estimate(
    variant: Floats, baseline: Floats, step: float = 1.0, images: int | None = None
) -> tuple[Estimate, Components | None]:
    """Estimate the same as `crossed_estimate` for two networks whose seeds have nothing in common.

    Args:
        variant: (seeds, units): correct, as `balanced_values` and `by_groups` leave it.
        baseline: likewise.
        step: as for `crossed_estimate`.
        images: likewise.
    """
    return _estimate(variant - baseline, [variant, baseline], step, images)


def _estimate(
    differences: Floats, tables: Sequence[Floats], step: float, images: int | None
) -> tuple[Estimate, Components | None]:
    """Estimate the mean of `differences` with the seed parts of `tables`, which are independent."""
    seeds, groups = differences.shape
    images = images or groups
    # The two half images: +-step * sqrt(1/2), so that their squares add up to step^2; all in the scale of units.
    units, step = groups * (images + 2) / images, step * groups / images
    unit_means = differences.mean(axis=0)
    centre, mean = float(unit_means.sum()) / units, float(unit_means.mean())
    between_units = seeds * (float((unit_means**2).sum()) + step**2 - units * centre**2) / (units - 1)
    if seeds == 1:
        return Estimate(mean, centre, 0.0, between_units / units, 1, images, units), None
    parts = [_seed_parts(table, units) for table in tables]
    variances, rest = [variance for variance, _ in parts], sum(part for _, part in parts)
    unit_excess = max(between_units - rest, 0.0)
    seed_variance = sum(variances) / seeds
    least = step**2 / (units * (units - 1))
    image_variance = max(unit_excess / (seeds * units), least - seed_variance)
    factor = 1.0
    if len(variances) == 2 and max(variances) > 0:
        factor += (min(variances) / max(variances)) ** 2
    estimate = Estimate(mean, centre, seed_variance, image_variance, seeds, images, units, factor)
    seed = sum(max(variance - part / units, 0.0) for variance, part in parts)
    return estimate, Components(seed, unit_excess / seeds, rest)


def _seed_parts(table: Floats, units: float) -> tuple[float, float]:
    """Return the variance of the seeds' means, and the mean square of the rest."""
    seeds, groups = table.shape
    means = table.sum(axis=1) / units
    deviations = means - means.mean()
    squares = float((deviations**2).sum())
    rest = float(((table - table.mean(axis=0) - deviations[:, None]) ** 2).sum()) + (units - groups) * squares
    return squares / (seeds - 1), rest / ((seeds - 1) * (units - 1))


def by_groups(values: Floats, groups: Integers) -> npt.NDArray[np.float64]:
    """Return (seeds, units): one column per group of images, with the same row means.

    An entry is the mean of its row plus units / images * the sum over the group of what exceeds that mean, so that
    groups of unlike size add no spread.

    Args:
        values: (seeds, images).
        groups: (images,) equal for images of one group.
    """
    _, index, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(sizes) == len(index):
        return np.asarray(values, dtype=np.float64)
    means = values.mean(axis=1, keepdims=True)
    sums = np.stack([np.bincount(index, weights=row, minlength=len(sizes)) for row in values - means])
    return np.asarray(means + len(sizes) / len(index) * sums, dtype=np.float64)


def image_step(labels: Integers) -> float:
    """Return what one image, drawn at random, moves a sum of balanced values by: the root mean square weight."""
    return math.sqrt(float((class_weights(labels) ** 2).mean()))


def balanced_values(differences: Floats, labels: Integers, groups: Integers | None = None) -> npt.NDArray[np.float64]:
    """Return a table whose row means are differences of balanced accuracy and whose spread is that estimate's error.

    Each entry is the image's influence: its weighted distance from its class mean, plus the balanced difference of
    its seed. The spread between classes drops out, as it must: the classes are given, only images are drawn.

    Args:
        differences: (seeds, images).
        labels: (images,) class indices.
        groups: (images,) equal for images of one group; None: each image is a group.
    """
    weights = class_weights(labels)
    balanced = (differences * weights).mean(axis=1, keepdims=True)
    centred = np.asarray(differences, dtype=np.float64).copy()
    for label in np.unique(labels):
        here = labels == label
        count = int(here.sum()) if groups is None else len(np.unique(groups[here]))
        centred[:, here] -= centred[:, here].mean(axis=1, keepdims=True)
        centred[:, here] *= math.sqrt(count / max(count - 1, 1))  # a class mean of few groups hides some spread
    return np.asarray(centred * weights + balanced, dtype=np.float64)
