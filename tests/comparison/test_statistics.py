"""Every statistic against scipy or statsmodels."""

import pytest
from scipy import stats
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


@pytest.mark.parametrize(("right", "n"), [(0, 20), (13, 20), (20, 20), (470, 500)])
def test_wilson_agrees_with_statsmodels(right, n):
    expected = proportion_confint(right, n, method="wilson")
    assert statistics.wilson_interval(right / n, n) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "p_values", [[0.01, 0.04, 0.03, 0.005], [0.5], [0.02, 0.02, 0.9], [0.4, 0.6, 0.7], [0.001, 0.2, 0.011, 0.9, 0.04]]
)
def test_holm_agrees_with_statsmodels(p_values):
    reject, expected, _, _ = multipletests(p_values, method="holm")
    assert statistics.holm(p_values) == pytest.approx(list(expected))
    assert [p <= 0.05 for p in statistics.holm(p_values)] == list(reject)


def test_nothing_to_correct():
    assert statistics.holm([]) == []
