import numpy as np
import pytest

from convnet.models.augmentation import DRAWS
from convnet.params.load import load_params
from convnet.params.remedies import Batch
from convnet.remedies import augmentation, colour, erasing
from convnet.remedies.augmented_strong import COLOURS, MOVES, REMEDY, AugmentedStrong
from helpers import tiny_study as tiny

tiny.start_keras()


def batch() -> Batch:
    images = np.random.default_rng(0).integers(0, 256, (4, 12, 14, 3)).astype(np.float32)
    return Batch(images, np.zeros((4, 1)), None)


def test_one_pass_is_a_move_then_colours_then_a_box() -> None:
    settings = AugmentedStrong(strength=0.5)
    draws = REMEDY.draws(settings, np.random.default_rng(1), 4)
    assert (len(DRAWS), draws.shape) == (MOVES, (4, MOVES + COLOURS + 4))
    given = batch()
    course = load_params(tiny.PROJECT / "params.yaml").augmentation
    moved = augmentation.REMEDY.batch(course, given, draws[:, :MOVES])
    knobs = colour.Colour(brightness=0.4, contrast=0.4, saturation=0.4, hue=18.0, grey=0.1)
    mean = colour.mean_luminance(given.images)
    coloured = colour.recolour(knobs, moved.images, draws[:, MOVES : MOVES + COLOURS], mean)
    expected = erasing.erase(coloured, draws[:, MOVES + COLOURS :], given.images.mean(axis=(1, 2)))
    assert np.asarray(REMEDY.batch(settings, given, draws).images) == pytest.approx(np.asarray(expected), abs=1e-2)


def test_more_strength_changes_more() -> None:
    changes = []
    for strength in (0.1, 0.4, 1.0):
        settings = AugmentedStrong(strength=strength)
        draws = REMEDY.draws(settings, np.random.default_rng(1), 4)
        draws[:, 6] = 1.0  # not mirrored
        changes.append(np.abs(np.asarray(REMEDY.batch(settings, batch(), draws).images) - batch().images).mean())
    assert changes == sorted(changes)
