import keras
import numpy as np
import pytest
from scipy import stats

from convnet.params.remedies import Batch
from convnet.remedies.cutmix import REMEDY, Cutmix
from helpers import tiny_study as tiny

tiny.start_keras()


def test_areas_are_uniform_and_a_share_of_images_gets_no_box() -> None:
    side, other, x, y = REMEDY.draws(Cutmix(), np.random.default_rng(0), 4000).T
    assert np.array_equal(side, other)
    for numbers in (side**2, x, y):
        assert stats.kstest(numbers, stats.uniform.cdf).pvalue > 0.01
    rare = REMEDY.draws(Cutmix(probability=0.25), np.random.default_rng(0), 4000)[:, 0]
    assert np.mean(rare > 0) == pytest.approx(0.25, abs=0.03)


def test_box_of_the_image_before_is_pasted_and_labels_follow_its_area() -> None:
    height, width = 8, 10
    images = np.stack([np.full((height, width, 3), number, np.float32) for number in (10, 20, 30)])
    draws = np.array([[0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.3, 0.3]], np.float32)
    labels = np.eye(3, dtype=np.float32)
    cut = REMEDY.batch(Cutmix(), Batch(keras.ops.convert_to_tensor(images), labels, None), draws)
    expected = images.copy()
    expected[0, 2:6, 3:7] = 30  # places (i + 0.5) / side within a quarter of the centre
    expected[1, :2, :2] = 10  # a quarter of the box is inside the image
    assert np.array_equal(np.asarray(cut.images), expected)
    shares = [1 - 16 / 80, 1 - 4 / 80, 1.0]
    for number, share in enumerate(shares):
        mixture = share * labels[number] + (1 - share) * labels[number - 1]
        assert np.asarray(cut.labels)[number] == pytest.approx(mixture, abs=1e-6)
