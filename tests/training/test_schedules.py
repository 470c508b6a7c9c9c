"""The rate and the length of a training, against Keras' schedules and against rows counted by hand."""

from typing import Any

import keras
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnet.params.load import load_params
from convnet.params.training import Fit
from convnet.training.schedules import at_cap, best_epoch, learning_rate, next_epoch
from helpers import tiny_study as tiny

PARAMS = load_params(tiny.PROJECT / "params.yaml")


def fit_with(**changes: Any) -> Fit:
    return PARAMS.training.model_copy(update={"learning_rate": 1.0, **changes})


def train(fit: Fit, losses: list[float]) -> tuple[list[float], list[int]]:
    """Return the rates of a training with these validation losses, and its epochs that start from the best one."""
    rates: list[float] = []
    returns = []
    while (coming := next_epoch(fit, losses[: len(rates)])) is not None:
        rates.append(coming.rate)
        if coming.from_best:
            returns.append(len(rates))
    return rates, returns


@pytest.mark.parametrize("epochs", [1, 7])
def test_cosine_falls_from_the_learning_rate_towards_nought(epochs: int) -> None:
    fit = PARAMS.training.model_copy(
        update={"learning_rate_schedule": "cosine", "learning_rate": 0.3, "epochs": epochs}
    )
    oracle = keras.optimizers.schedules.CosineDecay(0.3, decay_steps=epochs)
    for epoch in range(1, epochs + 1):
        assert learning_rate(fit, epoch) == pytest.approx(float(oracle(epoch - 1)), rel=1e-5)
    assert learning_rate(fit, epochs) > 0


@pytest.mark.parametrize("epochs", [1, 3, 40])
def test_cooldown_stays_for_three_quarters_and_then_falls_evenly(epochs: int) -> None:
    fit = PARAMS.training.model_copy(
        update={"learning_rate_schedule": "cooldown", "learning_rate": 0.3, "epochs": epochs}
    )
    constant = epochs * 3 // 4
    oracle = keras.optimizers.schedules.PolynomialDecay(0.3, epochs + 1 - constant, end_learning_rate=0.0)
    for epoch in range(1, epochs + 1):
        assert learning_rate(fit, epoch) == pytest.approx(float(oracle(max(0, epoch - constant))), rel=1e-5)
    assert learning_rate(fit, epochs) > 0


def test_constant_rate_stays() -> None:
    assert {learning_rate(PARAMS.training, epoch) for epoch in range(1, 16)} == {PARAMS.training.learning_rate}


@pytest.mark.parametrize(
    ("losses", "epochs", "rates", "returns", "capped"),
    [
        # The best is epoch 2; 2 epochs without a better one end the constant rate after 4; a quarter of 4 is 1.
        ([5, 4, 4, 6, 3], 50, [1, 1, 1, 1, 1 / 2], [5], False),
        # After 8 epochs the cooldown has 2; an improvement in the cooldown does not make it longer.
        ([9, 8, 7, 6, 5, 4, 4.5, 4.5, 3, 2], 50, [1] * 8 + [2 / 3, 1 / 3], [9], False),
        # The cooldown ends at the cap: 8 + 8 // 4 = 10, but 9 + 9 // 4 = 11.
        ([9, 8, 7, 6, 5, 4, 3, 2, 1, 0], 10, [1] * 8 + [2 / 3, 1 / 3], [9], True),
        # Both at once: the plateau is reached in the last epoch that the cap leaves.
        ([9, 8, 7, 6, 5, 4, 5, 5, 5, 5], 10, [1] * 8 + [2 / 3, 1 / 3], [9], False),
        ([2, 1], 2, [1, 1 / 2], [2], True),
        ([2], 1, [1], [], True),
    ],
)
def test_plateau_ends_in_a_cooldown(
    losses: list[float], epochs: int, rates: list[float], returns: list[int], capped: bool
) -> None:
    fit = fit_with(length="plateau", patience=2, epochs=epochs)
    assert train(fit, losses) == (pytest.approx(rates), returns)
    assert at_cap(fit, losses) is capped


@given(
    losses=st.lists(st.sampled_from([1.0, 2.0, 3.0, 4.0]), min_size=60, max_size=60),
    patience=st.integers(1, 12),
    epochs=st.integers(2, 60),
)
def test_every_plateau_keeps_its_cap_and_cools_down_once(losses: list[float], patience: int, epochs: int) -> None:
    rates, returns = train(fit_with(length="plateau", patience=patience, epochs=epochs), losses)
    constant = rates.count(1.0)
    assert len(rates) <= epochs
    assert returns == [constant + 1]
    assert len(rates) - constant == max(1, constant // 4)
    assert rates[constant:] == sorted(set(rates[constant:]), reverse=True)
    assert constant - best_epoch(losses[:constant]) <= patience


def test_early_stop_waits_for_its_epochs_and_says_whether_the_last_epoch_came_first() -> None:
    fit = fit_with(early_stopping=2, epochs=6)
    assert len(train(fit, [3, 2, 2, 4, 1, 0])[0]) == 4
    assert not at_cap(fit, [3, 2, 2, 4])
    assert len(train(fit, [6, 5, 4, 3, 2, 1])[0]) == 6
    assert at_cap(fit, [6, 5, 4, 3, 2, 1])


def test_fixed_length_has_no_cap() -> None:
    fit = fit_with(epochs=3)
    assert train(fit, [3, 2, 1]) == ([1.0] * 3, [])
    assert not at_cap(fit, [3, 2, 1])


def test_best_epoch_is_the_first_of_equals() -> None:
    assert [best_epoch(losses) for losses in ([], [2.0], [3.0, 1.0, 1.0])] == [0, 1, 2]
