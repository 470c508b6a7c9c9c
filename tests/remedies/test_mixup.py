from typing import Any

import keras
import numpy as np
import pytest
from scipy import stats

from convnet.params.remedies import Batch
from convnet.remedies.mixup import REMEDY, Mixup
from helpers import tiny_study as tiny

tiny.start_keras()


def test_shares_follow_the_beta_distribution() -> None:
    draws = REMEDY.draws(Mixup(alpha=0.4), np.random.default_rng(0), 5000)
    assert (draws.shape, draws.dtype) == ((5000, 1), np.float32)
    assert stats.kstest(draws[:, 0], stats.beta(0.4, 0.4).cdf).pvalue > 0.01
    assert stats.kstest(draws[:, 0], stats.beta(0.5, 0.5).cdf).pvalue < 0.01


@pytest.mark.parametrize("shape", [(4, 5, 6, 3), (4, 7)], ids=["images", "features"])
def test_every_image_is_mixed_with_the_one_before(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    images, share = rng.random(shape, np.float32), rng.random((4, 1), np.float32)
    labels = np.eye(3, dtype=np.float32)[[0, 1, 2, 1]]
    mixed = REMEDY.batch(Mixup(), Batch(keras.ops.convert_to_tensor(images), labels, None), share)
    for number in range(4):
        own = share[number, 0]
        expected = own * images[number] + (1 - own) * images[number - 1]
        assert np.asarray(mixed.images)[number] == pytest.approx(expected, abs=1e-6)
        assert np.asarray(mixed.labels)[number] == pytest.approx(own * labels[number] + (1 - own) * labels[number - 1])
    assert mixed.weights is None


def cross_entropy(labels: Any, outputs: Any, units: int) -> Any:
    kind = keras.losses.binary_crossentropy if units == 1 else keras.losses.categorical_crossentropy
    return np.asarray(kind(labels, outputs))


@pytest.mark.parametrize("units", [1, 3])
def test_loss_is_the_mixture_of_two_weighted_losses(units: int) -> None:
    rng = np.random.default_rng(1)
    classes = np.array([0, 1, 1, 0, 1])
    labels = classes[:, np.newaxis].astype(np.float32) if units == 1 else np.eye(3, dtype=np.float32)[classes]
    weights, share = rng.uniform(0.5, 2.0, 5).astype(np.float32), rng.random((5, 1), np.float32)
    mixed = REMEDY.batch(Mixup(), Batch(keras.ops.zeros((5, 2, 2, 3)), labels, weights), share)
    outputs = rng.uniform(0.1, 0.9, (5, units)).astype(np.float32)
    if units > 1:
        outputs /= outputs.sum(axis=1, keepdims=True)
    found = np.asarray(mixed.weights) * cross_entropy(np.asarray(mixed.labels), outputs, units)
    own, other = (
        np.roll(weights, shift) * cross_entropy(np.roll(labels, shift, axis=0), outputs, units) for shift in (0, 1)
    )
    assert found == pytest.approx(share[:, 0] * own + (1 - share[:, 0]) * other, rel=1e-4)
