"""The penalty in the gradient, against Keras' own regularizer in the loss."""

import keras
import numpy as np
import pytest

from convnet.backend import xla
from convnet.models.cnn import build_head
from convnet.models.heads import choose_head
from convnet.params.load import load_params
from convnet.remedies.l2 import L2, REMEDY
from convnet.training import optimizers
from helpers import tiny_study as tiny

tiny.start_keras()

FIT = load_params(tiny.PROJECT / "params.yaml").training


def trained(optimizer: str, in_loss: bool, factor: float) -> np.ndarray:
    keras.utils.set_random_seed(0)
    head = choose_head(2, "sparse")
    model = build_head(40, 30, 0.0, head)
    if in_loss:
        for layer in (layer for layer in model.layers if hasattr(layer, "kernel")):
            layer.kernel.regularizer = keras.regularizers.L2(factor)
    optimizers.compile_model(model, FIT.model_copy(update={"optimizer": optimizer, "learning_rate": 0.001}), head)
    if not in_loss:
        REMEDY.optimizer(L2(factor=factor), model.optimizer, model, 12)
        assert model.losses == []  # reported losses are those of the plain task
    model.optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(0)
    for _ in range(12):
        model.train_on_batch(rng.normal(size=(6, 40)), rng.integers(0, 2, (6, 1)).astype(np.float32))
    return np.concatenate([weight.ravel() for weight in model.get_weights()])


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam", "sgd"])
@pytest.mark.parametrize("large", [1_000_000, 100], ids=["plain update", "fused update"])
def test_training_equals_that_with_the_penalty_in_the_loss(
    monkeypatch: pytest.MonkeyPatch, optimizer: str, large: int
) -> None:
    monkeypatch.setattr(xla, "LARGE", large)
    expected, ours = trained(optimizer, True, 0.05), trained(optimizer, False, 0.05)
    assert ours == pytest.approx(expected, abs=1e-6)
    assert np.abs(ours - trained(optimizer, False, 1e-9)).max() > 1e-4  # it has an effect
