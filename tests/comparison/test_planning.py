"""Plans of open comparisons: probabilities against a simulated continuation, numbers of images by hand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from convnet.comparison.power import MOST_MORE_SEEDS, SeedPlan, images_needed, plan_seeds, planned
from convnet.comparison.random_effects import Estimate, crossed_estimate
from convnet.comparison.repeated_splits import resplit_estimate

LEVEL = 0.05
# Almost all of its error comes from seeds. Its 95 % interval is +- 4.97 points.
OPEN = Estimate(mean=0.03, centre=0.03, seed_variance=0.02**2, image_variance=1e-9, seeds=3, images=1000, units=1000)


def continued(estimate: Estimate, more: int, studies: int = 200_000) -> float:
    """Simulate how often more seeds decide, if all that is known of the seeds is the present estimate."""
    generator = np.random.default_rng(5)
    freedom, seeds = estimate.seeds - 1, estimate.seeds + more
    variance = estimate.seed_variance * estimate.seeds * freedom / generator.chisquare(freedom, studies)
    expected = estimate.mean + np.sqrt(variance / estimate.seeds) * generator.standard_normal(studies)
    others = expected + np.sqrt(variance / more) * generator.standard_normal(studies)
    means = (estimate.seeds * estimate.mean + more * others) / seeds
    half = stats.t.isf(LEVEL / 2, seeds - 1) * np.sqrt(estimate.seed_variance * estimate.seeds / seeds)
    return float(np.mean(np.abs(means) > half))


def test_probability_is_that_of_simulated_continuations() -> None:
    plan = plan_seeds(OPEN, LEVEL, 0.0)
    assert plan is not None
    assert plan.more > 1
    assert plan.probability == pytest.approx(continued(OPEN, plan.more), abs=0.01)
    assert continued(OPEN, plan.more - 1) < 0.8
    assert (plan.probability >= 0.8) or plan.more == MOST_MORE_SEEDS


def test_a_larger_difference_needs_fewer_seeds_and_none_has_no_plan() -> None:
    def plan(mean: float) -> SeedPlan | None:
        estimate = replace(OPEN, mean=mean, centre=mean)
        return plan_seeds(estimate, LEVEL, 0.0)

    large, small = plan(0.045), plan(0.025)
    assert large is not None
    assert small is not None
    assert large.more < small.more
    assert plan(0.0) is None
    assert plan(0.004) is None


def test_redrawn_folds_are_less_certain_than_more_seeds() -> None:
    kept, redrawn = plan_seeds(OPEN, LEVEL, 0.0), plan_seeds(OPEN, LEVEL, 0.0, redrawn=True)
    assert kept is not None
    assert redrawn is None or redrawn.more > kept.more or redrawn.probability < kept.probability


def test_more_splits_shrink_the_part_of_the_seeds_alone() -> None:
    later = planned(replace(OPEN, image_variance=0.0001), 12)
    assert (later.seeds, later.seed_variance, later.image_variance) == (12, pytest.approx(0.02**2 / 4), 0.0001)
    # Images so few and shared that their own luck is larger than the difference.
    few = resplit_estimate([np.array([1.0, 1.0, 0.0, -1.0, -1.0, 1.0, 0.0, 0.0]) for _ in range(3)], [np.arange(8)] * 3)
    assert plan_seeds(few, LEVEL, 0.0) is None


def test_the_needed_number_of_images_decides_and_one_less_does_not() -> None:
    generator = np.random.default_rng(6)
    latent = generator.normal(size=(2, 5, 150)) + 1.5 * generator.normal(size=150)
    latent += 0.5 * generator.normal(size=(2, 1, 150))
    correct = latent + np.array([0.8, 0.9])[:, None, None] > 0
    estimate, components = crossed_estimate(correct[1].astype(float) - correct[0])
    assert components is not None
    assert estimate.p_value() > LEVEL

    def half_width(seeds: int, images: int) -> float:
        seed_variance = components.seed / seeds + components.rest / (seeds * images)
        image_variance = components.unit / images
        critical = seed_variance * stats.t.isf(0.025, seeds - 1) + image_variance * stats.t.isf(0.025, images - 1)
        return float(critical / np.sqrt(seed_variance + image_variance))

    images = images_needed(estimate, components, LEVEL)
    assert images is not None
    # Real images: the two half images come on top, in the width and in the centre.
    for number, decided in ((images, True), (images - 1, False)):
        assert bool(half_width(5, number + 2) < abs(estimate.mean) * number / (number + 2)) is decided


def test_seeds_cannot_replace_test_images() -> None:
    differences = np.zeros((4, 40))  # the same three images won by every seed
    differences[:, :3] = 1
    estimate, components = crossed_estimate(differences)
    assert components is not None
    assert plan_seeds(estimate, LEVEL, 0.0) is None
    assert images_needed(estimate, components, LEVEL) is not None


def test_test_images_cannot_replace_seeds() -> None:
    estimate, components = crossed_estimate(np.repeat([[0.30], [-0.20], [0.02]], 500, axis=1))
    assert components is not None
    assert images_needed(estimate, components, LEVEL) is None


def test_no_difference_needs_no_plan() -> None:
    estimate, components = crossed_estimate(np.zeros((3, 50)))
    assert components is not None
    assert plan_seeds(estimate, LEVEL, 0.0) is None
    assert images_needed(estimate, components, LEVEL) is None
