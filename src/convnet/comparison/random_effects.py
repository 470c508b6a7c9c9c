"""The mean difference of two variants with both of its errors: a few training seeds and a sample of test images.

Every seed is tested on every image, so the table of differences d[seed, image] is a crossed two-way layout with both
factors random, as readers and cases are in multi-reader multi-case studies (Dorfman, Berbaum & Metz 1992):

    d[s, i] = mean + seed[s] + image[i] + rest[s, i]

    variance of the overall mean = V(seed)/S + V(rest)/(S n)  +  V(image)/n
                                   `--- seen between seeds ---'   `- images -'

The mean squares of the two-way analysis of variance estimate both parts. The interval over seeds alone leaves out the
second part and holds the truth for new images far too rarely. Three choices, all tried in
bench/simulate_verdict.py:

* Critical value: the t of the seeds (S - 1 degrees of freedom) and the t of the images (n - 1), averaged with the two
  variances as weights (Cochran & Cox, "Experimental designs", 1957, section 4.14). The Satterthwaite degrees of
  freedom that are usual for this layout (Hillis 2007) are too bold with three seeds: their rate of false decisions
  among four variants reaches 14 % where 5 % is allowed.
* Half an image won and half an image lost are added (Agresti & Min 2005, "Wald + 2"), so that three lucky images
  cannot pass for certainty. Both variances together never fall below what these halves alone make of a table without
  any difference: with two seeds of equal means they else could, and an interval without width would decide anything.
* A negative estimate of the image part counts as zero (Hillis 2007).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize

from convnet.comparison.statistics import Interval, t_critical
from convnet.evaluation.metrics import LEVEL

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]

# Below this a p-value means nothing, and the quantiles of Student's t are no longer computed reliably.
SMALLEST_P = 1e-15
MOST_MORE_SEEDS = 50
MOST_TIMES_IMAGES = 100


@dataclass(frozen=True)
class Estimate:
    """A mean difference and what is known about its error; shares of accuracy, -1..1."""

    mean: float  # as observed
    centre: float  # of the interval: the mean with the two added half images, a little nearer to zero
    seed_variance: float  # of the mean, from training randomness (and splits, where each seed has its own)
    image_variance: float  # of the mean, from the sample of test images
    seeds: int
    images: int  # distinct ones; in the crossed layout with the two half images

    @property
    def standard_error(self) -> float:
        """Both errors together."""
        return math.sqrt(self.seed_variance + self.image_variance)

    def half_width(self, p: float) -> float:
        """Return half the width of the interval with error probability `p`, 0..1."""
        return _half_width(p, self.seed_variance, self.image_variance, self.seeds, self.images)

    def interval(self, level: float = LEVEL) -> Interval:
        """Return the interval that holds the expected difference with probability `level`."""
        half = self.half_width(1 - level)
        return Interval(max(-1.0, self.centre - half), min(1.0, self.centre + half))

    def p_value(self) -> float:
        """Return the two-sided p of no difference: the error probability whose interval just touches zero."""
        distance = abs(self.centre)
        if distance == 0:
            return 1.0
        if self.half_width(SMALLEST_P) <= distance:
            return SMALLEST_P
        root = optimize.brentq(lambda log_p: self.half_width(math.exp(log_p)) - distance, math.log(SMALLEST_P), 0.0)
        return math.exp(float(root))


def _half_width(p: float, seed_variance: float, image_variance: float, seeds: int, images: int) -> float:
    total = seed_variance + image_variance
    if total == 0:
        return 0.0
    weighted = image_variance * t_critical(p, images - 1)
    if seed_variance > 0:
        weighted += seed_variance * t_critical(p, seeds - 1)
    return weighted / math.sqrt(total)


@dataclass(frozen=True)
class Components:
    """Variances of one entry of the table of differences, by where they come from."""

    seed: float
    image: float
    rest: float


def crossed_estimate(differences: Floats, step: float = 1.0) -> tuple[Estimate, Components | None]:
    """Estimate the expected difference over new seeds and new test images.

    Args:
        differences: (seeds, images): correct(variant) - correct(baseline) or, for balanced accuracy, what
            `balanced_values` makes of it. At least two images; one seed is enough, but then its training
            randomness stays unknown and only the sample of images is counted.
        step: what one image moves the sum by; 1, or `image_step` for balanced accuracy.

    Returns:
        The estimate, and the variance components for planning (None with one seed).
    """
    seeds, real_images = differences.shape
    images = real_images + 2  # the two half images: +-step * sqrt(1/2), so that their squares add up to step^2
    seed_means = differences.sum(axis=1) / images
    image_means = differences.mean(axis=0)
    centre = float(seed_means.mean())
    between_images = seeds * (float((image_means**2).sum()) + step**2 - images * centre**2) / (images - 1)
    mean = float(differences.mean())
    if seeds == 1:
        return Estimate(mean, centre, 0.0, between_images / images, 1, images), None
    between_seeds = images * float(((seed_means - centre) ** 2).sum()) / (seeds - 1)
    total = float((differences**2).sum()) + seeds * (step**2 - images * centre**2)
    rest_squares = total - between_seeds * (seeds - 1) - between_images * (images - 1)
    rest = max(rest_squares, 0.0) / ((seeds - 1) * (images - 1))
    image_excess = max(between_images - rest, 0.0)
    seed_variance = between_seeds / (seeds * images)
    least = step**2 / (images * (images - 1))
    image_variance = max(image_excess / (seeds * images), least - seed_variance)
    estimate = Estimate(mean, centre, seed_variance, image_variance, seeds, images)
    return estimate, Components(max(between_seeds - rest, 0.0) / images, image_excess / seeds, rest)


def class_weights(labels: Integers) -> npt.NDArray[np.float64]:
    """Return (n,) weights, mean 1, with which a mean over images becomes a mean over classes."""
    _, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return np.asarray(len(labels) / (len(counts) * counts[index]), dtype=np.float64)


def image_step(labels: Integers) -> float:
    """Return what one image, drawn at random, moves a sum of balanced values by: the root mean square weight."""
    return math.sqrt(float((class_weights(labels) ** 2).mean()))


def balanced_values(differences: Floats, labels: Integers) -> npt.NDArray[np.float64]:
    """Return a table whose row means are differences of balanced accuracy and whose spread is that estimate's error.

    Each entry is the image's influence: its weighted distance from its class mean, plus the balanced difference of
    its seed. The spread between classes drops out, as it must: the classes are given, only images are drawn.

    Args:
        differences: (seeds, images).
        labels: (images,) class indices.
    """
    weights = class_weights(labels)
    balanced = (differences * weights).mean(axis=1, keepdims=True)
    centred = np.asarray(differences, dtype=np.float64).copy()
    for label in np.unique(labels):
        here = labels == label
        count = int(here.sum())
        centred[:, here] -= centred[:, here].mean(axis=1, keepdims=True)
        centred[:, here] *= math.sqrt(count / max(count - 1, 1))  # a class mean of few images hides some spread
    return np.asarray(centred * weights + balanced, dtype=np.float64)


def more_seeds_needed(estimate: Estimate, components: Components, p: float) -> int | None:
    """Return how many more seeds would bring the half width below the observed difference, if that stays as it is.

    Args:
        estimate: the present one.
        components: its variance components.
        p: the error probability the decision has to reach.

    Returns:
        1..50, or None: more than 50, or no number of seeds as the test images are too few.
    """
    for more in range(1, MOST_MORE_SEEDS + 1):
        if _planned_half_width(p, components, estimate.seeds + more, estimate.images) < abs(estimate.centre):
            return more
    return None


def images_needed(estimate: Estimate, components: Components, p: float) -> int | None:
    """Return how many test images in all would decide it with the present seeds, if the difference stays as it is.

    Returns:
        The number of images, or None: more than 100 times the present ones, or no number with so few seeds.
    """

    def decides(images: int) -> bool:
        centre = abs(estimate.mean) * images / (images + 2)  # by the two half images
        return _planned_half_width(p, components, estimate.seeds, images + 2) < centre

    too_few = estimate.images - 2
    enough = MOST_TIMES_IMAGES * too_few
    if not decides(enough):
        return None
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        enough, too_few = (middle, too_few) if decides(middle) else (enough, middle)
    return enough


def _planned_half_width(p: float, components: Components, seeds: int, images: int) -> float:
    seed_variance = components.seed / seeds + components.rest / (seeds * images)
    image_variance = components.image / images
    return _half_width(p, seed_variance, image_variance, seeds, images)
