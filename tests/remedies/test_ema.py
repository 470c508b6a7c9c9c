import keras
import numpy as np
import pandas as pd
import pytest

from convnet.backend import xla
from convnet.models.cnn import build_head
from convnet.models.heads import choose_head
from convnet.params.load import load_params
from convnet.remedies.ema import REMEDY, Ema
from convnet.training.optimizers import compile_model
from helpers import tiny_study as tiny

tiny.start_keras()

FIT = load_params(tiny.PROJECT / "params.yaml").training


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam"])
@pytest.mark.parametrize("large", [1_000_000, 10], ids=["plain average", "fused average"])
def test_measured_weights_are_the_moving_average_of_pandas(
    monkeypatch: pytest.MonkeyPatch, optimizer: str, large: int
) -> None:
    monkeypatch.setattr(xla, "LARGE", large)
    keras.utils.set_random_seed(0)
    head = choose_head(2, "sparse")
    model = build_head(5, 4, 0.0, head)
    compile_model(model, FIT.model_copy(update={"optimizer": optimizer, "learning_rate": 0.01}), head)
    settings = Ema(momentum=0.8)
    REMEDY.optimizer(settings, model.optimizer, model, 12)
    model.optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(0)
    seen = []
    for _ in range(12):
        model.train_on_batch(rng.normal(size=(6, 5)), rng.integers(0, 2, (6, 1)).astype(np.float32))
        seen.append(np.concatenate([weight.ravel() for weight in model.get_weights()]))
    expected = pd.DataFrame(seen).ewm(alpha=0.2, adjust=False).mean().iloc[-1]
    with REMEDY.evaluated(settings, model):
        averages = np.concatenate([weight.ravel() for weight in model.get_weights()])
    assert averages == pytest.approx(expected.to_numpy(), abs=1e-5)
    assert not np.allclose(averages, seen[-1], atol=1e-4)
    assert np.array_equal(np.concatenate([weight.ravel() for weight in model.get_weights()]), seen[-1])
