"""The interval for seeds that draw their own splits, against scipy and against the interval for one split."""

import numpy as np
import pytest
from scipy import stats

from convnet.comparison.random_effects import crossed_estimate
from convnet.comparison.repeated_splits import resplit_estimate


def some_differences(seeds: int, images: int) -> np.ndarray:
    """Return (seeds, images) differences with seeds and images that are better or worse as a whole."""
    generator = np.random.default_rng(0)
    tendency = generator.normal(0, 0.5, images) + generator.normal(0.1, 0.05, (seeds, 1))
    return np.clip(np.round(tendency + generator.normal(0, 0.5, (seeds, images))), -1, 1)


def test_splits_without_a_common_image_give_the_t_interval_over_seeds():
    table = some_differences(4, 5000)
    estimate = resplit_estimate(list(table), [np.arange(5000) + 5000 * seed for seed in range(4)])
    expected = stats.ttest_1samp(table.mean(axis=1), 0.0)
    interval = expected.confidence_interval(0.95)
    assert estimate.interval() == pytest.approx((interval.low, interval.high), rel=0.01)
    assert estimate.p_value() == pytest.approx(expected.pvalue, rel=0.02)


def test_one_split_for_all_seeds_gives_the_interval_of_the_crossed_layout():
    table = some_differences(5, 2000)
    resplit = resplit_estimate(list(table), [np.arange(2000)] * 5)
    crossed, _ = crossed_estimate(table)
    assert resplit.image_variance > resplit.seed_variance / 3  # both parts count here
    assert resplit.seed_variance == pytest.approx(crossed.seed_variance, rel=0.01)
    assert resplit.image_variance == pytest.approx(crossed.image_variance, rel=0.01)
    assert resplit.interval() == pytest.approx(crossed.interval(), rel=0.01)


def test_images_in_two_splits_count_by_how_far_they_are_shared():
    # Two seeds see the same 100 images, the third sees others: one pair of three shares what all three would.
    values = np.random.default_rng(1).choice([-1.0, 0.0, 1.0], 100)
    other = np.random.default_rng(2).permutation(values)
    apart = resplit_estimate([values, values, other], [np.arange(100) + 100 * s for s in range(3)])
    two = resplit_estimate([values, values, other], [np.arange(100), np.arange(100), np.arange(100) + 100])
    luck = (1 / 102) ** 2
    assert apart.image_variance == pytest.approx(luck)
    assert two.image_variance - luck == pytest.approx(values.var() / 100 / 3 * (100 / 102) ** 2)


def test_seeds_that_agree_by_luck_do_not_decide():
    # Each of three seeds wins one image of 80: no spread at all between them, yet three images prove nothing.
    differences = [np.zeros(80) for _ in range(3)]
    for values in differences:
        values[0] = 1
    estimate = resplit_estimate(differences, [np.arange(80) + 100 * s for s in range(3)])
    assert estimate.p_value() > 0.05


def test_one_seed_leaves_the_images_alone():
    values = np.concatenate([np.ones(30), -np.ones(10), np.zeros(160)])
    estimate = resplit_estimate([values], [np.arange(200)])
    assert estimate.seed_variance == 0
    assert estimate.image_variance == pytest.approx(values.var() / 200, rel=0.05)


def test_copies_count_once_in_the_covariance_of_splits():
    # Four copies of each of 100 images, always together: the covariance is that of the 100 images.
    values = some_differences(3, 100)
    single = resplit_estimate(list(values), [np.arange(100)] * 3)
    copied = resplit_estimate(list(np.repeat(values, 4, axis=1)), [np.repeat(np.arange(100), 4)] * 3)
    assert copied.units == single.units == 100
    assert copied.mean == pytest.approx(single.mean)
    assert copied.seed_variance == pytest.approx(single.seed_variance, rel=0.04)
    assert copied.image_variance == pytest.approx(single.image_variance, rel=0.04)
