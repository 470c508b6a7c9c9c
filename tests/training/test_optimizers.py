"""The fused optimizer beside Keras' own, on a head whose first layer is large enough to be fused."""

import math
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from convnet.backend.xla import LARGE
from convnet.models.cnn import build_head
from convnet.models.heads import choose_head
from convnet.training.optimizers import FusedRMSprop
from helpers.tiny_study import start_keras

start_keras()

FEATURES = DENSE = 1024
HEAD = choose_head(2, "sparse")


def trained(optimizer: Any, steps: int) -> keras.Model:
    """Return a head after some steps on batches that are the same for every optimizer."""
    keras.utils.set_random_seed(0)
    model = build_head(FEATURES, DENSE, 0.2, HEAD)
    model.compile(optimizer=optimizer, loss=HEAD.loss, jit_compile=False)
    rng = np.random.default_rng(0)
    for _ in range(steps):
        model.train_on_batch(rng.random((8, FEATURES)).astype(np.float32), rng.integers(2, size=(8, 1)))
    return model


def values(variables: list[keras.Variable]) -> list[NDArray[Any]]:
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


@pytest.mark.parametrize("steps", [1, 6])
def test_weights_are_those_of_keras_up_to_rounding(steps: int) -> None:
    ours, keras_own = trained(FusedRMSprop(0.001), steps), trained(keras.optimizers.RMSprop(0.001), steps)
    assert max(math.prod(variable.shape) for variable in ours.trainable_variables) >= LARGE  # one is fused
    assert min(math.prod(variable.shape) for variable in ours.trainable_variables) < LARGE  # and one is not
    for one, other in zip(values(ours.variables), values(keras_own.variables), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    for one, other in zip(values(ours.optimizer.variables), values(keras_own.optimizer.variables), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-9)


def test_every_weight_has_moved() -> None:
    """Or equal weights above would say nothing."""
    before, after = trained(FusedRMSprop(0.001), 0), trained(FusedRMSprop(0.001), 1)
    for one, other in zip(values(before.trainable_variables), values(after.trainable_variables), strict=True):
        assert not np.array_equal(one, other)


def test_two_trainings_give_equal_bits() -> None:
    one, other = trained(FusedRMSprop(0.001), 4), trained(FusedRMSprop(0.001), 4)
    for first, second in zip(values(one.variables), values(other.variables), strict=True):
        assert np.array_equal(first, second)


def test_a_gradient_of_bfloat16_is_read_in_full_precision() -> None:
    short = keras.ops.cast(np.random.default_rng(0).normal(size=(1024, 1024)), "bfloat16")
    results = []
    for gradient in (short, keras.ops.cast(short, "float32")):
        variable = keras.Variable(np.zeros((1024, 1024), np.float32))
        optimizer = FusedRMSprop(0.001)
        optimizer.build([variable])
        optimizer.apply([gradient])
        results.append([*values([variable]), *values(optimizer.variables)])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
