"""The interval over seeds and test images: its parts against a textbook analysis of variance, its limits by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import balanced_accuracy_score
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from convnet.comparison.random_effects import (
    balanced_values,
    by_groups,
    crossed_estimate,
    image_step,
    separate_estimate,
)
from convnet.data.splits import class_weights


def table(seeds: int, images: int, gain: float = 0.1, seed_deviation: float = 0.1, seed: int = 0) -> np.ndarray:
    """Differences -1, 0, 1 with effects of seeds and of images."""
    generator = np.random.default_rng(seed)
    latent = generator.normal(size=(2, seeds, images)) + 1.5 * generator.normal(size=images)
    latent += seed_deviation * generator.normal(size=(2, seeds, 1)) + 0.5 * generator.normal(size=(2, 1, images))
    correct = latent + np.array([0.8, 0.8 + 6 * gain])[:, None, None] > 0
    return correct[1].astype(float) - correct[0]


def with_half_images(differences: np.ndarray) -> np.ndarray:
    """The table with the two added half images, as the module defines them."""
    half = np.full((len(differences), 1), np.sqrt(0.5))
    return np.concatenate([differences, half, -half], axis=1)


def test_variances_agree_with_the_two_way_analysis_of_variance():
    full = with_half_images(table(4, 30))
    seeds, images = full.shape
    long = pd.DataFrame(full).stack().reset_index(name="d").set_axis(["seed", "image", "d"], axis=1)
    squares = anova_lm(ols("d ~ C(seed) + C(image)", long).fit())["mean_sq"]
    between_seeds, between_images, rest = squares["C(seed)"], squares["C(image)"], squares["Residual"]
    estimate, components = crossed_estimate(table(4, 30))
    assert estimate.seed_variance == pytest.approx(between_seeds / (seeds * images))
    assert estimate.image_variance == pytest.approx((between_images - rest) / (seeds * images))
    assert components is not None
    assert components.rest == pytest.approx(rest)
    assert components.unit == pytest.approx((between_images - rest) / seeds)
    assert components.seed == pytest.approx(max(between_seeds - rest, 0) / images)


def test_p_and_interval_say_the_same():
    for seed in range(20):
        estimate, _ = crossed_estimate(table(3 + seed % 8, 200, gain=seed / 200, seed=seed))
        p = estimate.p_value()
        assert estimate.half_width(p) == pytest.approx(abs(estimate.centre), rel=1e-6) or p == 1e-15
        lower, upper = estimate.interval()
        assert (p < 0.05) == (lower > 0 or upper < 0)


def test_many_seeds_and_no_effect_of_images_gives_students_t():
    # Each seed is better or worse everywhere alike, so the images say nothing and t over seeds is exact.
    differences = np.repeat(np.random.default_rng(2).normal(0.1, 0.05, (6, 1)), 4000, axis=1)
    estimate, _ = crossed_estimate(differences, step=1e-9)
    expected = stats.ttest_1samp(differences[:, 0], 0)
    assert estimate.interval() == pytest.approx(expected.confidence_interval(0.95), rel=1e-3)
    assert estimate.p_value() == pytest.approx(expected.pvalue, rel=2e-3)


def test_one_seed_gives_the_adjusted_interval_for_matched_proportions():
    # Agresti & Min 2005, Wald + 2, in their own notation: b and c disputed images, 1/2 added to each of the four cells.
    b, c, n = 40, 25, 2000
    differences = np.concatenate([np.ones(b), -np.ones(c), np.zeros(n - b - c)])[None]
    estimate, components = crossed_estimate(differences)
    centre = (b - c) / (n + 2)
    half = stats.norm.isf(0.025) * np.sqrt((b + c + 1) - (b - c) ** 2 / (n + 2)) / (n + 2)
    assert components is None
    assert estimate.interval() == pytest.approx((centre - half, centre + half), abs=half / 500)


@pytest.mark.parametrize("lucky", [1, 2, 3, 4])
def test_a_few_lucky_images_never_decide(lucky):
    # The same images won by every seed: no spread between seeds at all, yet McNemar's exact p is 0.125 at best.
    differences = np.zeros((5, 300))
    differences[:, :lucky] = 1
    assert crossed_estimate(differences)[0].p_value() > 0.05


def test_variance_is_never_zero():
    # Every seed wins 20 images and loses 5, all of them others: equal seeds, and images vary less than by chance.
    differences = np.zeros((3, 100))
    for seed in range(3):
        differences[seed, 25 * seed : 25 * seed + 20] = 1
        differences[seed, 25 * seed + 20 : 25 * seed + 25] = -1
    estimate, _ = crossed_estimate(differences)
    assert estimate.standard_error >= crossed_estimate(np.zeros((3, 100)))[0].standard_error > 0
    lower, upper = estimate.interval()
    assert lower < estimate.centre < upper


def test_equal_models_differ_by_nothing_with_an_interval_of_some_width():
    estimate, _ = crossed_estimate(np.zeros((3, 50)))
    lower, upper = estimate.interval()
    assert estimate.p_value() == 1.0
    assert lower < 0 < upper


def test_interval_stays_within_what_accuracy_can_change():
    lower, upper = crossed_estimate(np.ones((2, 3)))[0].interval()
    assert -1 <= lower <= upper <= 1


def test_interval_is_wider_than_either_source_alone():
    differences = table(5, 300)
    estimate, _ = crossed_estimate(differences)
    half = estimate.half_width(0.05)
    seeds_alone = stats.t.isf(0.025, 4) * differences.mean(axis=1).std(ddof=1) / np.sqrt(5)
    images_alone = stats.norm.isf(0.025) * np.sqrt(estimate.image_variance)
    assert half > images_alone
    assert half > 0.9 * seeds_alone  # a smaller critical value is allowed where images dominate


def test_balanced_values_have_the_balanced_differences_as_row_means():
    generator = np.random.default_rng(5)
    labels = generator.choice(3, size=120, p=[0.7, 0.2, 0.1])
    first, second = (np.where(generator.random((4, 120)) < share, labels, (labels + 1) % 3) for share in (0.6, 0.8))
    values = balanced_values((second == labels).astype(float) - (first == labels), labels)
    expected = [
        balanced_accuracy_score(labels, b) - balanced_accuracy_score(labels, a)
        for a, b in zip(first, second, strict=True)
    ]
    assert values.mean(axis=1) == pytest.approx(expected)


def test_balanced_error_is_the_stratified_one():
    # One seed: the variance of a mean of class means is sum of s_c^2 / n_c over classes^2.
    generator = np.random.default_rng(6)
    labels = np.repeat([0, 1], [4000, 1000])
    differences = generator.choice([-1.0, 0.0, 1.0], size=(1, 5000), p=[0.1, 0.6, 0.3])
    differences[0, labels == 1] -= 0.5
    estimate, _ = crossed_estimate(balanced_values(differences, labels), image_step(labels))
    expected = sum(differences[0, labels == c].var(ddof=1) / (labels == c).sum() for c in (0, 1)) / 4
    assert estimate.image_variance == pytest.approx(expected, rel=0.01)


def test_equal_classes_are_weighted_alike():
    assert class_weights(np.array([0, 1, 1, 0])).tolist() == [1, 1, 1, 1]
    assert class_weights(np.array([0, 1, 1, 1])) == pytest.approx([2, 2 / 3, 2 / 3, 2 / 3])
    assert image_step(np.array([0, 1, 1, 0])) == 1
    assert image_step(np.array([0, 1, 1, 1])) == pytest.approx(((4 + 3 * 4 / 9) / 4) ** 0.5)


def test_groups_are_the_units_of_the_interval():
    # Five copies of each of 60 images are worth 60 images: the same interval, but for the two half images.
    values = table(5, 60)
    copies, groups = np.repeat(values, 5, axis=1), np.repeat(np.arange(60), 5)
    grouped = by_groups(copies, groups)
    assert grouped == pytest.approx(values)
    estimate, _ = crossed_estimate(grouped, images=300)
    alone, _ = crossed_estimate(values)
    assert estimate.mean == pytest.approx(copies.mean())
    assert estimate.centre == pytest.approx(copies.mean() * 300 / 302)
    assert estimate.half_width(0.05) == pytest.approx(alone.half_width(0.05), rel=0.05)
    assert estimate.image_variance > 4 * crossed_estimate(copies)[0].image_variance


def test_groups_of_unlike_size_keep_the_mean_and_the_cluster_robust_error():
    # One seed: statsmodels' cluster-robust error of a mean, without its correction for few clusters.
    generator = np.random.default_rng(7)
    groups = np.repeat(np.arange(400), generator.integers(1, 6, 400))
    values = (generator.normal(size=400)[groups] + generator.normal(size=len(groups)) + 0.3)[None]
    robust = ols("d ~ 1", pd.DataFrame({"d": values[0]})).fit(cov_type="cluster", cov_kwds={"groups": groups})
    grouped = by_groups(values, groups)
    assert grouped.mean() == pytest.approx(values.mean())
    estimate, _ = crossed_estimate(grouped, images=len(groups))
    assert estimate.standard_error == pytest.approx(robust.bse["Intercept"], rel=0.01)


def test_groups_of_one_image_change_nothing():
    values = table(3, 50)
    assert (by_groups(values, np.arange(50)) == values).all()


def test_one_group_of_images_decides_nothing():
    values = np.ones((5, 40))
    estimate, _ = crossed_estimate(by_groups(values, np.zeros(40, dtype=int)), images=40)
    assert tuple(estimate.interval()) == (-1, 1)
    assert estimate.p_value() > 0.05


def test_unlike_networks_have_the_degrees_of_freedom_of_both():
    # Each seed is better or worse everywhere alike, so the images are silent: Welch's test with other degrees.
    generator = np.random.default_rng(3)
    variant, baseline = generator.normal(0.8, 0.05, 4), generator.normal(0.7, 0.04, 4)
    estimate, components = separate_estimate(
        np.repeat(variant[:, None], 4000, axis=1), np.repeat(baseline[:, None], 4000, axis=1), step=1e-9
    )
    variances = sorted([variant.var(ddof=1), baseline.var(ddof=1)])
    freedom = 3 * (1 + (variances[0] / variances[1]) ** 2)
    statistic = stats.ttest_ind(variant, baseline, equal_var=False).statistic
    assert 3 < freedom < 6
    assert estimate.p_value() == pytest.approx(2 * stats.t.sf(statistic, freedom), rel=2e-3)
    assert components is not None
    assert components.seed == pytest.approx(sum(variances), rel=1e-3)


def test_unlike_networks_keep_the_image_part_of_pairs():
    generator = np.random.default_rng(4)
    easy = generator.normal(size=500)
    tastes = 0.7 * generator.normal(size=(2, 500))
    rows = [(easy + taste + generator.normal(size=(6, 500)) > -0.7).astype(float) for taste in tastes]
    apart, _ = separate_estimate(*rows)
    paired, _ = crossed_estimate(rows[0] - rows[1])
    assert apart.mean == paired.mean
    assert apart.centre == paired.centre
    assert apart.image_variance == pytest.approx(paired.image_variance, rel=0.1)
    assert 1 <= apart.freedom_factor <= 2


def test_margin_p_is_that_of_the_interval_that_touches_the_margin():
    estimate, _ = crossed_estimate(table(8, 3000, gain=0.0))
    lower, upper = estimate.interval(level=1 - 2 * estimate.margin_p(0.05))
    assert max(-lower, upper) == pytest.approx(0.05, rel=1e-6)
    assert estimate.margin_p(abs(estimate.centre) / 2) == 0.5
