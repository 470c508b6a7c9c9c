import numpy as np
import pytest

from convnet.models.cnn import build_cnn
from convnet.models.heads import choose_head
from convnet.params.training import Network
from convnet.remedies.l2 import L2, REMEDY
from helpers import tiny_study as tiny

tiny.start_keras()


def test_penalty_is_the_sum_of_squares_of_kernels_and_is_no_part_of_the_saved_network() -> None:
    model = build_cnn((16, 16), Network(filters=(4,), dense=8), 0.0, choose_head(2, "sparse"))
    assert model.losses == []
    assert REMEDY.loss(L2(factor=0.01), "binary_crossentropy", model) == "binary_crossentropy"
    kernels = [layer.kernel for layer in model.layers if hasattr(layer, "kernel")]
    expected = 0.01 * sum(np.sum(np.square(np.asarray(kernel), dtype=np.float64)) for kernel in kernels)
    assert len(kernels) == len(model.losses) == 3
    assert sum(float(loss) for loss in model.losses) == pytest.approx(expected, rel=1e-5)
    assert "L2" not in model.to_json()
