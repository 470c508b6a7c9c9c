import keras
import numpy as np

from convnet.models.cnn import Parts, build_cnn
from convnet.models.heads import choose_head
from convnet.params.training import Network
from convnet.remedies.lean import REMEDY, Lean
from helpers import tiny_study as tiny

tiny.start_keras()


def test_lean_network_normalises_every_block_and_averages_the_maps() -> None:
    network, head = Network(filters=(4, 8), dense=16), choose_head(2, "sparse")
    model = build_cnn((24, 20), network, 0.0, head, REMEDY.network(Lean(), Parts()))
    names = [layer.name for layer in model.layers]
    assert names[2:10] == ["conv1", "norm1", "relu1", "pool1", "conv2", "norm2", "relu2", "pool2"]
    # conv 3*3*3*4, 3*3*4*8, four numbers per normalised map, 8 averages into 16, 16 into 1
    assert model.count_params() == 108 + 288 + 4 * (4 + 8) + (8 * 16 + 16) + 17
    assert build_cnn((24, 20), network, 0.0, head).count_params() > 3 * model.count_params()
    inner = keras.Model(model.input, [model.get_layer("pool2").output, model.get_layer("average").output])
    maps, averages = inner(np.random.default_rng(0).uniform(0, 255, (3, 24, 20, 3)).astype(np.float32))
    assert np.allclose(np.asarray(maps).mean(axis=(1, 2)), np.asarray(averages), atol=1e-6)
