"""Power: against simulated studies whose truth is known, and against the noncentral t distribution of SciPy."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from convnet.comparison.power import (
    POWER,
    chance_of_decision,
    chance_words,
    estimate_of,
    minimum_detectable,
    next_looks,
    planned,
)
from convnet.comparison.random_effects import Estimate, crossed_estimate
from convnet.comparison.schema import Comparison
from convnet.comparison.verdict import verdict
from helpers.evaluations import make_evaluations, typed

UNITS = 400
SEED, UNIT, REST = 0.015, 0.3, 0.25  # standard deviations of one entry, by where they come from


def study(random: np.random.Generator, seeds: int, difference: float) -> NDArray[np.float64]:
    """A table of differences (seeds, units) with the error of seeds, of images and of both."""
    table = difference + SEED * random.standard_normal((seeds, 1)) + UNIT * random.standard_normal(UNITS)
    return np.asarray(table + REST * random.standard_normal((seeds, UNITS)))


def truth(seeds: int) -> Estimate:
    """The estimate that knows the true variances."""
    seed_variance = SEED**2 / seeds + REST**2 / (seeds * UNITS)
    return Estimate(0.0, 0.0, seed_variance, UNIT**2 / UNITS, seeds, UNITS, UNITS + 2)


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_minimum_detectable_difference_is_found_in_four_of_five_simulated_studies(seeds: int) -> None:
    least, random, found = minimum_detectable(truth(seeds)), np.random.default_rng(seeds), 0
    for _ in range(1000):
        estimate, _ = crossed_estimate(study(random, seeds, least))
        found += estimate.interval().lower > 0
    assert found / 1000 == pytest.approx(POWER, abs=0.06)


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("level", [0.05, 0.01])
def test_minimum_detectable_difference_of_seeds_alone_has_the_power_of_the_t_test(seeds: int, level: float) -> None:
    error = 0.01
    estimate = Estimate(0.0, 0.0, error**2, 0.0, seeds, UNITS, UNITS)
    shift, critical = minimum_detectable(estimate, level) / error, stats.t.ppf(1 - level / 2, seeds - 1)
    assert stats.nct.sf(critical, seeds - 1, shift) == pytest.approx(POWER, abs=0.001)


def test_more_seeds_and_more_images_reduce_their_own_part() -> None:
    now = Estimate(0.03, 0.03, 4e-4, 9e-4, 3, 600, 602.0)
    later = planned(now, 6, 9.0)
    assert later.standard_error == pytest.approx(math.sqrt(2e-4 + 1e-4))
    assert (later.seeds, later.images) == (6, 5400)


def rows() -> list[Comparison]:
    """Comparisons of one network with itself and with another one."""
    return verdict(typed(*make_evaluations(1, 5, 3)), against={"transfer_dropout": ["transfer"]}).comparisons


def test_estimate_is_rebuilt_from_the_stored_numbers() -> None:
    for row in rows():
        half = (row.interval.upper - row.interval.lower) / 2
        assert estimate_of(row).half_width(0.05) == pytest.approx(half, rel=1e-6)
        assert estimate_of(row).standard_error == pytest.approx(row.standard_error)
    assert {row.paired for row in rows()} == {True, False}


def test_chance_of_a_decision_is_kept_by_simulated_studies() -> None:
    random, promised, kept = np.random.default_rng(1), [], []
    for _ in range(250):
        table = study(random, 5, random.uniform(-0.15, 0.15))  # true differences of every size
        estimate, _ = crossed_estimate(table[:3])
        if estimate.p_value() > 0.05:
            chance = chance_of_decision(estimate, 5, 0.05, 0.0)
            assert chance is not None
            promised.append(chance)
            kept.append(crossed_estimate(table)[0].p_value() <= 0.05)
    assert len(kept) > 60
    assert np.mean(promised) == pytest.approx(np.mean(kept), abs=0.1)


def test_an_equal_pair_will_probably_be_found_to_make_no_relevant_difference() -> None:
    equal = Estimate(0.0, 0.0, 1e-6, 4e-6, 3, 4000, 4002.0)
    chance = chance_of_decision(equal, 10, 0.05, 0.02)
    assert chance is not None
    assert chance > 0.9


def test_two_seeds_promise_nothing() -> None:
    assert chance_of_decision(truth(2), 5, 0.05, 0.02) is None


def test_chances_and_looks_in_words() -> None:
    assert [chance_words(chance) for chance in (0.0, 0.03, 0.58, 0.96, 1.0)] == [
        *("under 5 %", "about 5 %", "about 60 %", "about 95 %", "over 95 %")
    ]
    assert [next_looks(seeds) for seeds in (1, 3, 4, 10)] == [[3, 5, 10], [5, 10], [5, 10], []]
