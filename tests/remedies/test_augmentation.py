import numpy as np
import pytest

from convnet.models.augmentation import DRAWS, RandomAffine, compose_matrices, resample, scale_draws
from convnet.params.load import load_params
from convnet.params.remedies import Batch
from convnet.remedies.augmentation import REMEDY
from helpers import tiny_study as tiny

tiny.start_keras()

KNOBS = load_params(tiny.PROJECT / "params.yaml").augmentation


def test_every_image_moves_by_its_own_draws_within_the_knobs() -> None:
    draws = REMEDY.draws(KNOBS, np.random.default_rng(0), 2000)
    assert (draws.shape, draws.dtype) == ((2000, len(DRAWS)), np.float32)
    parameters = {name: np.asarray(values) for name, values in scale_draws(KNOBS, draws).items()}
    assert np.abs(parameters["rotation"]).max() == pytest.approx(np.radians(40.0), rel=0.01)
    assert np.abs(parameters["shear"]).max() == pytest.approx(0.2, rel=0.01)
    assert np.mean(parameters["horizontal_flip"]) == pytest.approx(0.0, abs=0.08)
    assert np.all(parameters["vertical_flip"] == 1.0)
    assert np.abs(np.corrcoef(draws.T) - np.eye(len(DRAWS))).max() < 0.1


def test_batch_is_moved_as_the_layer_moves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 12, 14, 3)).astype(np.float32)
    draws = REMEDY.draws(KNOBS, np.random.default_rng(0), 6)
    labels = np.zeros((6, 1), np.float32)
    moved = REMEDY.batch(KNOBS, Batch(images, labels, None), draws)
    monkeypatch.setattr("keras.random.uniform", lambda *_, **__: draws)
    assert np.asarray(moved.images) == pytest.approx(
        np.asarray(RandomAffine(**KNOBS.model_dump())(images, training=True)), abs=1e-3
    )
    assert np.array_equal(moved.labels, labels)
    matrices = compose_matrices(scale_draws(KNOBS, draws), 12, 14)
    assert np.array_equal(np.asarray(moved.images), np.asarray(resample(images, matrices)))
