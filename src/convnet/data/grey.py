"""Grey images of more than 8 bits: how their values become 0 to 255."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from convnet.params.data import Images

if TYPE_CHECKING:
    import pandas as pd

GREY_16_BIT = {"I;16", "I;16L", "I;16B", "I;16N", "I"}
FULL = (0, 65535)
FEW_VALUES = 1 / 4  # of the 16 bits; a dataset that uses less is scaled by its own range
ROWS_OF_PIXELS = 4_000_000  # pixels converted at a time

GreyRange = tuple[int, int]


def dataset_range(lowest: int, highest: int, wish: Literal["auto", "full"] | GreyRange) -> GreyRange:
    """Return the grey values that become 0 and 255.

    Args:
        lowest: of all images of the dataset in 16-bit grey.
        highest: of all of them; below `lowest` without such an image.
        wish: `images.grey_range`. auto takes the range of the dataset if it is less than a quarter of the 16 bits.
    """
    if not isinstance(wish, str):
        return wish
    if wish == "auto" and 0 < highest - lowest < FEW_VALUES * FULL[1]:
        return lowest, highest
    return FULL


def image_range(values: GreyRange, wish: Literal["auto", "full"] | GreyRange) -> GreyRange:
    """Return the grey values that become 0 and 255 in one image; auto takes its smallest and largest value."""
    if not isinstance(wish, str):
        return wish
    return values if wish == "auto" and values[0] < values[1] else FULL


def resolved(images: Images, manifest: "pd.DataFrame") -> Images:
    """Return the settings with the grey range of a dataset in the place of auto or full.

    Args:
        images: the settings.
        manifest: of the dataset.
    """
    return images.model_copy(update={"grey_range": range_of(images, manifest)})


def range_of(images: Images, manifest: "pd.DataFrame") -> GreyRange:
    """Return the grey values that become 0 and 255 in all images of a dataset."""
    grey = deep_grey(manifest)
    if not len(grey):
        return dataset_range(FULL[1], 0, images.grey_range)
    return dataset_range(int(grey["grey_low"].min()), int(grey["grey_high"].max()), images.grey_range)


def deep_grey(manifest: "pd.DataFrame") -> "pd.DataFrame":
    """Return the accepted images of more than 8 bits."""
    return manifest[(manifest["verdict"] == "accepted") & manifest["mode"].isin(GREY_16_BIT)]


def grey_extrema(image: Image.Image) -> GreyRange:
    """Return the smallest and the largest value of an image in one of the modes `GREY_16_BIT`."""
    lows, highs = zip(*((int(values.min()), int(values.max())) for _, values in _bands(image)), strict=True)
    return min(lows), max(highs)


def to_8_bit(image: Image.Image, limits: GreyRange) -> Image.Image:
    """Return a grey image in mode L; values outside `limits` become 0 or 255.

    The full range is divided by 257 and rounded, so that 65535 becomes 255.
    """
    low, high = limits
    scaled = np.empty((image.height, image.width), np.uint8)
    for top, values in _bands(image):
        clipped = np.clip(values, low, high).astype(np.int32) - low  # 0 to 65535
        to_255, divisor = (1, 257) if high - low == FULL[1] else (255, high - low)
        part = (clipped * to_255 + divisor // 2) // divisor
        scaled[top : top + len(part)] = part
    return Image.fromarray(scaled)


def _bands(image: Image.Image) -> Iterator[tuple[int, npt.NDArray[np.generic]]]:
    rows = max(1, ROWS_OF_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))
