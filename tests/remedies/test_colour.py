from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from scipy.spatial.transform import Rotation

from convnet.params.remedies import Batch
from convnet.remedies.colour import REMEDY, Colour
from helpers import tiny_study as tiny

tiny.start_keras()

KNOBS = ("brightness", "contrast", "saturation", "hue", "grey")
PILLOW = {"brightness": ImageEnhance.Brightness, "contrast": ImageEnhance.Contrast, "saturation": ImageEnhance.Color}


def images(count: int = 5, low: int = 60, high: int = 180) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(low, high, (count, 9, 11, 3), dtype=np.uint8)


def changed(given: NDArray[np.uint8], draws: dict[str, float], **knobs: float) -> NDArray[np.float32]:
    columns = [np.full(len(given), draws.get(name, 1.0), np.float32) for name in KNOBS]
    batch = Batch(given.astype(np.float32), np.zeros((len(given), 1)), None)
    return np.asarray(REMEDY.batch(Colour(**knobs), batch, np.stack(columns, axis=1)).images)


@pytest.mark.parametrize("name", PILLOW)
@pytest.mark.parametrize("draw", [-1.0, -0.3, 0.5, 1.0])
def test_knob_is_what_pillow_does_with_the_same_factor(name: str, draw: float) -> None:
    given = images()
    ours = changed(given, {name: draw}, **{name: 0.4})
    for image, own in zip(given, ours, strict=True):
        theirs = PILLOW[name](Image.fromarray(image)).enhance(1 + 0.4 * draw)
        assert np.asarray(theirs, np.float32) == pytest.approx(own, abs=1.6)  # Pillow rounds to whole numbers


@pytest.mark.parametrize("degrees", [-120.0, -17.0, 30.0, 180.0])
def test_hue_turns_colours_about_the_axis_of_greys_as_scipy_does(degrees: float) -> None:
    given = images(low=100, high=150)
    rotation = Rotation.from_rotvec(np.radians(degrees) * np.ones(3) / np.sqrt(3))
    expected = rotation.apply(given.reshape(-1, 3).astype(np.float64)).reshape(given.shape)
    assert changed(given, {"hue": degrees / 180.0}, hue=180.0) == pytest.approx(expected, abs=0.01)


def test_a_share_of_images_becomes_grey_as_in_pillow() -> None:
    given = images()
    ours = changed(given, {"grey": -0.5}, grey=0.3)  # 0.25 of the way from 0 to 1
    for image, own in zip(given, ours, strict=True):
        grey = np.asarray(Image.fromarray(image).convert("L"), np.float32)[..., np.newaxis]
        assert own == pytest.approx(np.repeat(grey, 3, axis=2), abs=1.0)
    assert np.array_equal(changed(given, {"grey": -0.3}, grey=0.3), given)


def test_values_stay_in_range_and_greys_keep_no_colour() -> None:
    bright = changed(images(low=0, high=256), {}, brightness=1.0, contrast=1.0)
    assert (bright.min(), bright.max()) == (0.0, 255.0)
    grey = np.repeat(images()[..., :1], 3, axis=3)
    turned = changed(grey, {"hue": 0.7, "saturation": 0.9}, hue=90.0, saturation=1.0)
    assert turned == pytest.approx(grey.astype(np.float32), abs=1e-3)


def test_knobs_draw_apart_from_each_other() -> None:
    def draws(**knobs: Any) -> NDArray[np.float32]:
        return REMEDY.draws(Colour(**knobs), np.random.default_rng(3), 3000)

    assert np.array_equal(draws(brightness=0.2), draws(brightness=0.2, hue=9.0))
    assert np.abs(np.corrcoef(draws(brightness=0.2).T) - np.eye(5)).max() < 0.08
    assert np.mean((draws(grey=0.2)[:, 4] + 1) / 2 < 0.2) == pytest.approx(0.2, abs=0.03)
