import numpy as np
import pytest
from PIL import Image, ImageDraw

from convnet.params.remedies import Batch
from convnet.remedies.erasing import REMEDY, Erasing, inside_boxes
from helpers import tiny_study as tiny

tiny.start_keras()


def test_boxes_have_the_areas_and_aspects_that_are_published() -> None:
    tall, wide, x, y = REMEDY.draws(Erasing(area=0.3, probability=0.6), np.random.default_rng(0), 4000).T
    drawn = tall > 0
    assert np.mean(drawn) == pytest.approx(0.6, abs=0.03)
    area, ratio = (tall * wide)[drawn], tall[drawn] / wide[drawn]
    assert (area.min(), area.max()) == pytest.approx((0.02, 0.3), abs=0.002)
    assert (ratio.min(), ratio.max()) == pytest.approx((0.3, 1 / 0.3), rel=0.01)
    assert np.mean(np.log(ratio)) == pytest.approx(0.0, abs=0.05)
    assert 0.0 <= min(x.min(), y.min()) <= max(x.max(), y.max()) <= 1.0


def test_box_has_the_mean_colour_and_the_rest_stays() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3)).astype(np.float32)
    boxes = np.array([[0.5, 0.2, 0.5, 0.5], [0.0, 0.0, 0.5, 0.5], [0.4, 0.4, 1.0, 0.0]], np.float32)
    erased = np.asarray(REMEDY.batch(Erasing(), Batch(images, np.zeros((3, 1)), None), boxes).images)
    corners = [(12, 5, 17, 14), None, (24, 0, 29, 3)]  # left, top, right, bottom, inclusive
    for image, own, box in zip(images, erased, corners, strict=True):
        expected = image.copy()
        if box:
            mask = Image.new("1", (30, 20))
            ImageDraw.Draw(mask).rectangle(box, fill=1)
            expected[np.asarray(mask)] = image.mean(axis=(0, 1))
        assert own == pytest.approx(expected, abs=1e-3)


def test_box_beyond_the_edge_is_cut_off() -> None:
    mask = np.asarray(inside_boxes(np.array([[1.0, 1.0, 0.0, 0.0]], np.float32), 10, 10))
    assert mask.sum() == 25
    assert mask[0, :5, :5].all()
