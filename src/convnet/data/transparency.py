"""Put an image with transparency on a background."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from PIL import Image

Background = Literal["white", "black", "mean"]
ALPHA_PIXELS_AT_ONCE = 1_000_000
OPAQUE = (255, 255)
WITH_ALPHA = {"RGBA", "RGBa", "LA", "PA"}
WITHOUT_ALPHA = {"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV"}


def in_rgb(image: Image.Image, background: Background) -> Image.Image:
    """Return an image of one of the modes above in RGB, transparent parts over a colour."""
    if image.mode in WITH_ALPHA or "transparency" in image.info:
        return over_background(image, background)
    return image if image.mode == "RGB" else image.convert("RGB")


def over_background(image: Image.Image, background: Background) -> Image.Image:
    """Return an image in RGB, its transparent parts over a colour.

    Args:
        image: with an alpha channel or a transparent colour.
        background: white, black, or mean: the mean colour of the image's visible parts.
    """
    colour = _mean_colour(image) if background == "mean" else background
    result = Image.new("RGB", image.size, colour)
    for top, band in _alpha_bands(image):
        alpha = band.getchannel("A")
        result.paste(band.convert("RGB"), (0, top), None if alpha.getextrema() == OPAQUE else alpha)
    return result


def _mean_colour(image: Image.Image) -> tuple[int, int, int]:
    """Return the mean colour weighted by alpha; white if nothing is visible."""
    sums, weight = np.zeros(3), 0.0
    for _, band in _alpha_bands(image):
        values = np.asarray(band, np.float32)  # (height, width, 4)
        sums += np.einsum("hwc,hw->c", values[..., :3], values[..., 3])
        weight += float(values[..., 3].sum())
    red, green, blue = np.rint(sums / weight).astype(int).tolist() if weight else (255, 255, 255)
    return red, green, blue


def _alpha_bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    rows = max(1, ALPHA_PIXELS_AT_ONCE // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height))).convert("RGBA")
