import keras
import numpy as np
import pytest

from convnet.models.cnn import build_cnn
from convnet.models.heads import choose_head
from convnet.params.load import load_params
from convnet.params.training import Network
from convnet.remedies.weight_decay import REMEDY, WeightDecay
from convnet.training.optimizers import compile_model
from helpers import tiny_study as tiny

tiny.start_keras()

FIT = load_params(tiny.PROJECT / "params.yaml").training


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam", "sgd"])
@pytest.mark.parametrize("steps", [50, 200])
def test_kernels_shrink_by_the_product_and_nothing_else_does(optimizer: str, steps: int) -> None:
    head = choose_head(2, "sparse")
    model = build_cnn((16, 16), Network(filters=(4,), dense=8), 0.0, head)
    compile_model(model, FIT.model_copy(update={"optimizer": optimizer}), head)
    REMEDY.optimizer(WeightDecay(product=0.3), model.optimizer, model, steps)
    model.optimizer.build(model.trainable_variables)
    for variable in model.trainable_variables:
        variable.assign(keras.ops.ones(variable.shape))
    nothing = [keras.ops.zeros(variable.shape) for variable in model.trainable_variables]
    for _ in range(steps):
        model.optimizer.apply(nothing)
    for variable in model.trainable_variables:
        expected = (1 - 0.3 / steps) ** steps if "kernel" in variable.name else 1.0
        assert np.asarray(variable) == pytest.approx(expected, rel=1e-4)
        assert expected == 1.0 or expected == pytest.approx(np.exp(-0.3), rel=2e-3)
