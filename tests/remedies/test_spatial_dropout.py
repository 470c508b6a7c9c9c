import keras
import numpy as np
import pytest

from convnet.models.augmentation import reset_seed_generators
from convnet.models.cnn import Parts, build_cnn
from convnet.models.heads import choose_head
from convnet.params.training import Network
from convnet.remedies.lean import REMEDY as LEAN
from convnet.remedies.lean import Lean
from convnet.remedies.spatial_dropout import REMEDY, SpatialDropout
from helpers import tiny_study as tiny

tiny.start_keras()

NETWORK, HEAD = Network(filters=(16, 32), dense=64), choose_head(2, "sparse")


def masks(model: keras.Model, layer: str, epoch: int) -> np.ndarray:
    """Return what a dropout layer leaves of ones."""
    reset_seed_generators(model, 0, epoch, ["spatial_dropout"])
    found = model.get_layer(layer)
    return np.asarray(found(np.ones((40, *found.output.shape[1:]), np.float32), training=True))


def test_whole_maps_are_dropped_behind_every_block() -> None:
    model = build_cnn((20, 20), NETWORK, 0.0, HEAD, REMEDY.network(SpatialDropout(rate=0.25), Parts()))
    for number in (1, 2):
        left = masks(model, f"spatial_dropout{number}", 1)
        assert np.array_equal(left.min(axis=(1, 2)), left.max(axis=(1, 2)))  # one value in a map
        assert np.mean(left == 0.0) == pytest.approx(0.25, abs=0.05)
    assert not np.array_equal(masks(model, "spatial_dropout1", 1), masks(model, "spatial_dropout1", 2))


def test_dropout_draws_the_same_with_and_without_it() -> None:
    plain = build_cnn((20, 20), NETWORK, 0.5, HEAD)
    both = build_cnn((20, 20), NETWORK, 0.5, HEAD, REMEDY.network(SpatialDropout(), Parts()))
    assert np.array_equal(masks(plain, "dropout", 3), masks(both, "dropout", 3))
    alone = build_cnn((20, 20), NETWORK, 0.0, HEAD, REMEDY.network(SpatialDropout(), Parts()))
    assert np.array_equal(masks(alone, "spatial_dropout2", 3), masks(both, "spatial_dropout2", 3))


def test_network_remedies_combine() -> None:
    parts = REMEDY.network(SpatialDropout(), LEAN.network(Lean(), Parts()))
    names = [layer.name for layer in build_cnn((20, 20), NETWORK, 0.0, HEAD, parts).layers]
    assert names[2:7] == ["conv1", "norm1", "relu1", "pool1", "spatial_dropout1"]
