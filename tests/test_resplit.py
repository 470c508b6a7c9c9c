"""The interval for seeds that draw their own splits, against the published formula."""

import numpy as np
import pytest
from scipy import stats

from convnet.resplit import more_splits_needed, resplit_estimate


def test_interval_agrees_with_the_corrected_resampled_t_test():
    generator = np.random.default_rng(0)
    shifts = (0.1, 0.0, 0.2, 0.15)
    differences = [generator.choice([-1.0, 0.0, 1.0], 200, p=[0.1 - s / 3, 0.7, 0.2 + s / 3]) + s for s in shifts]
    images = [generator.permutation(1000)[:200] for _ in shifts]
    means = np.array([d.mean() for d in differences])
    estimate = resplit_estimate(differences, images, train_images=600)
    error = np.sqrt(means.var(ddof=1) * (1 / 4 + 200 / 600))
    half = stats.t.isf(0.025, 3) * error
    centre = means.mean() * 800 / 802
    assert estimate.interval() == pytest.approx((centre - half, centre + half))
    assert estimate.p_value() == pytest.approx(2 * stats.t.sf(centre / error, 3), rel=1e-6)


def test_seeds_that_agree_by_luck_do_not_decide():
    # Each of three seeds wins one image of 80: no spread at all between them, yet three images prove nothing.
    differences = [np.zeros(80) for _ in range(3)]
    for values in differences:
        values[0] = 1
    estimate = resplit_estimate(differences, [np.arange(80) + 100 * s for s in range(3)], train_images=240)
    assert estimate.p_value() > 0.05


def test_an_image_tested_by_every_seed_counts_as_one_image():
    values = [np.random.default_rng(1).choice([-1.0, 0.0, 1.0], 100)] * 4
    same = resplit_estimate(values, [np.arange(100)] * 4, 300)
    different = resplit_estimate(values, [np.arange(100) + 100 * s for s in range(4)], 300)
    assert same.least_variance == pytest.approx(4 * different.least_variance, rel=0.05)


def test_one_seed_leaves_the_images_alone():
    values = np.concatenate([np.ones(30), -np.ones(10), np.zeros(160)])
    estimate = resplit_estimate([values], [np.arange(200)], 600)
    assert estimate.seed_variance == 0
    assert estimate.image_variance == pytest.approx(values.var() / 200, rel=0.05)


def test_more_splits_decide_or_never_will():
    means = (0.05, 0.01, 0.03)
    generator = np.random.default_rng(2)
    differences = [m + 0.2 * generator.standard_normal(400) for m in means]
    differences = [d - d.mean() + m for d, m in zip(differences, means, strict=True)]
    images = [np.arange(400) + 400 * s for s in range(3)]
    estimate = resplit_estimate(differences, images, 4000)
    assert estimate.p_value() > 0.05
    more = more_splits_needed(estimate, 0.1, 0.05)
    assert more is not None
    deviation = np.std(means, ddof=1)
    for seeds, decided in ((3 + more, True), (3 + more - 1, False)):
        half = stats.t.isf(0.025, seeds - 1) * deviation * np.sqrt(1 / seeds + 0.1)
        assert bool(half < estimate.mean) is decided
    # Half as many test as training images: the term that no number of splits removes is too large.
    assert more_splits_needed(resplit_estimate(differences, images, 400), 1.0, 0.05) is None
