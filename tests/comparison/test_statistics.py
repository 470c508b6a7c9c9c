"""Every statistic against scipy or statsmodels."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from convnet.comparison import statistics

DIFFERENCES = [0.021, -0.004, 0.013, 0.030, 0.008]


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_t_interval_agrees_with_scipy(level):
    expected = stats.ttest_1samp(DIFFERENCES, 0).confidence_interval(level)
    assert statistics.t_interval(DIFFERENCES, level) == pytest.approx((expected.low, expected.high))


def test_one_value_has_no_t_interval():
    assert statistics.t_interval([0.1]) is None


@pytest.mark.parametrize("degrees", [1, 2, 4, 9, 19, 99, 1001, 25_001])
@pytest.mark.parametrize("p", [0.05, 1e-3, 1e-8, 1e-15])
def test_t_critical_is_right_far_into_the_tail(p, degrees):
    assert 2 * stats.t.sf(statistics.t_critical(p, degrees), degrees) == pytest.approx(p, rel=1e-6)


@pytest.mark.parametrize("n", [2, 3, 6, 10])
def test_sign_flip_agrees_with_scipy(n):
    values = np.random.default_rng(n).normal(0.5, 1, n)
    expected = stats.permutation_test(
        (values, np.zeros(n)), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    )
    assert statistics.sign_flip_p(values) == pytest.approx(expected.pvalue)


def test_sign_flip_floor_is_reached_and_is_a_quarter_for_three_seeds():
    assert statistics.sign_flip_p([0.1, 0.2, 0.3]) == 0.25 == statistics.smallest_sign_flip_p(3)
    assert statistics.sign_flip_p([0.1] * 6) == 0.03125 == statistics.smallest_sign_flip_p(6)


def test_sign_flip_of_zeros_is_one():
    assert statistics.sign_flip_p([0.0, 0.0, 0.0]) == 1.0


def test_sign_flip_counts_equal_sums_in_spite_of_rounding():
    # 0.1 + 0.2 - 0.3 is not 0 in floating point: all 8 patterns must be judged as if exact.
    assert statistics.sign_flip_p([0.1, 0.2, -0.3]) == 1.0


def test_sign_flip_of_twenty_is_exact_and_of_more_is_sampled():
    values = np.random.default_rng(1).normal(0.3, 1, 24)
    assert statistics.sign_flip_p(values[:20]) == pytest.approx(stats.ttest_1samp(values[:20], 0).pvalue, abs=0.03)
    sampled = statistics.sign_flip_p(values)
    assert sampled == statistics.sign_flip_p(values)
    assert sampled == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.03)


@pytest.mark.parametrize(("right", "n"), [(0, 20), (13, 20), (20, 20), (470, 500)])
def test_wilson_agrees_with_statsmodels(right, n):
    expected = proportion_confint(right, n, method="wilson")
    assert statistics.wilson_interval(right / n, n) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (5, 0), (3, 9), (7, 7), (40, 12)])
def test_mcnemar_agrees_with_statsmodels(b, c):
    expected = mcnemar([[100, b], [c, 30]], exact=True).pvalue
    assert statistics.mcnemar_p(b, c) == pytest.approx(expected)


def test_paired_bootstrap_agrees_with_scipy():
    generator = np.random.default_rng(3)
    differences = generator.choice([-1.0, 0.0, 1.0], size=(4, 300), p=[0.1, 0.7, 0.2])
    expected = stats.bootstrap(
        (differences.mean(axis=0),), np.mean, method="percentile", n_resamples=10_000, rng=np.random.default_rng(0)
    ).confidence_interval
    found = statistics.paired_bootstrap(differences)
    assert found == pytest.approx((expected.low, expected.high), abs=0.003)
    assert found == statistics.paired_bootstrap(differences)


@pytest.mark.parametrize(
    "p_values", [[0.01, 0.04, 0.03, 0.005], [0.5], [0.02, 0.02, 0.9], [0.4, 0.6, 0.7], [0.001, 0.2, 0.011, 0.9, 0.04]]
)
def test_holm_agrees_with_statsmodels(p_values):
    reject, expected, _, _ = multipletests(p_values, method="holm")
    assert statistics.holm(p_values) == pytest.approx(list(expected))
    assert [p <= 0.05 for p in statistics.holm(p_values)] == list(reject)


def test_nothing_to_correct():
    assert statistics.holm([]) == []
