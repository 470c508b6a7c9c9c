"""Grey images of more than 8 bits: how their values become 0 to 255."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

GREY_16_BIT = {"I;16", "I;16L", "I;16B", "I;16N", "I"}
FULL = (0, 65535)
PIXELS_AT_ONCE = 4_000_000

GreyRange = tuple[int, int]


def image_range(values: GreyRange, wish: Literal["auto", "full"] | GreyRange) -> GreyRange:
    """Return the grey values that become 0 and 255 in one image; auto takes its smallest and largest value."""
    if not isinstance(wish, str):
        return wish
    return values if wish == "auto" and values[0] < values[1] else FULL


def grey_extrema(image: Image.Image) -> GreyRange:
    """Return the smallest and the largest value of an image in one of the modes `GREY_16_BIT`."""
    lows, highs = zip(*((int(values.min()), int(values.max())) for _, values in _grey_bands(image)), strict=True)
    return min(lows), max(highs)


def to_8_bit(image: Image.Image, limits: GreyRange) -> Image.Image:
    """Return a grey image in mode L; values outside `limits` become 0 or 255.

    The full range is divided by 257 and rounded, so that 65535 becomes 255.
    """
    low, high = limits
    scaled = np.empty((image.height, image.width), np.uint8)
    for top, values in _grey_bands(image):
        clipped = np.clip(values, low, high).astype(np.int32) - low  # 0 to 65535
        to_255, divisor = (1, 257) if high - low == FULL[1] else (255, high - low)
        part = (clipped * to_255 + divisor // 2) // divisor
        scaled[top : top + len(part)] = part
    return Image.fromarray(scaled)


def _grey_bands(image: Image.Image) -> Iterator[tuple[int, npt.NDArray[np.generic]]]:
    rows = max(1, PIXELS_AT_ONCE // image.width)
    for top in range(0, image.height, rows):
        yield top, np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))
