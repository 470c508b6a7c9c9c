import keras
import numpy as np
import pytest

from convnet.models.backbones import build_source_classifier
from convnet.models.heads import choose_head
from convnet.params.load import load_params
from convnet.remedies.falling_rates import REMEDY, FallingRates
from convnet.training.optimizers import compile_model
from helpers import tiny_study as tiny

tiny.start_keras()

FIT = load_params(tiny.PROJECT / "params.yaml").fine_tune


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam", "sgd"])
def test_each_layer_moves_by_its_share_of_the_rate(optimizer: str) -> None:
    """Equal gradients move equal weights by the rate alone, so the moves show the rates."""
    model = build_source_classifier((16, 16), (4, 8, 8), classes=3)
    frozen = ("block1_conv", "block1_norm")
    for layer in model.get_layer("backbone").layers:
        layer.trainable = layer.name not in frozen
    compile_model(
        model, FIT.model_copy(update={"optimizer": optimizer, "learning_rate": 0.01}), choose_head(3, "sparse")
    )
    REMEDY.optimizer(FallingRates(lowest=0.01), model.optimizer, model, 1)
    model.optimizer.build(model.trainable_variables)
    before = [keras.ops.convert_to_numpy(v).copy() for v in model.trainable_variables]
    model.optimizer.apply([keras.ops.ones(v.shape) for v in model.trainable_variables])
    moved = {
        v.path.split("/")[-2]: np.abs(keras.ops.convert_to_numpy(v) - old).mean()
        for v, old in zip(model.trainable_variables, before, strict=True)
    }
    order = ["block2_conv", "block2_norm", "block3_conv", "block3_norm", "source"]
    assert sorted(moved) == sorted(order)
    shares = [moved[name] / moved["source"] for name in order]
    assert shares == pytest.approx(np.geomspace(0.01, 1.0, 5), rel=2e-3)
