"""Bring an image to the size of a network: upright, and stretched, padded or cropped."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Resize = Literal["stretch", "pad", "crop"]
# EXIF 2.3, tag 0x0112: the turn that shows a stored image upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Return an image turned by the number in its EXIF tag 0x0112; other numbers turn nothing."""
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def fit(image: Image.Image, image_size: tuple[int, int], resize: Resize) -> NDArray[np.uint8]:
    """Return an image in the size of a network.

    The image is halved while it stays at least as large as the result. Pillow's bilinear filter then resizes it, and
    antialiases. All formats are halved alike: at 2:1 the filter alone leaves a quarter less local contrast than the
    JPEG decoder, which halves too.

    Args:
        image: in RGB, upright.
        image_size: (height, width) of the result in pixels.
        resize: stretch changes the proportions, as `flow_from_directory(target_size=...)` in the course. pad keeps
            them, and fills the rest with the mean colour of the image's border. crop keeps them, and cuts the longer
            side at both ends.

    Returns:
        uint8 (height, width, 3), 0 to 255.
    """
    height, width = image_size
    if resize == "crop":
        image = image.crop(_centre(image.size, (width, height)))
    if resize != "pad":
        return _stretched(image, (width, height))
    inner = _inside(image.size, (width, height))
    result = np.empty((height, width, 3), np.uint8)
    result[:] = _border_colour(image)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    result[top : top + inner[1], left : left + inner[0]] = _stretched(image, inner)
    return result


def _stretched(image: Image.Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    reduction = min(image.width // size[0], image.height // size[1])
    if reduction >= 2:
        image = image.reduce(1 << (reduction.bit_length() - 1))  # the highest power of two in it
    return np.array(image.resize(size, Image.Resampling.BILINEAR))


def _centre(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the largest box of the target's proportions in the middle of an image."""
    (width, height), (wide, high) = size, target
    box_width = min(width, max(1, round(height * wide / high)))
    box_height = min(height, max(1, round(width * high / wide)))
    left, top = (width - box_width) // 2, (height - box_height) // 2
    return left, top, left + box_width, top + box_height


def _inside(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int]:
    """Return the largest (width, height) of the image's proportions inside the target."""
    (width, height), (wide, high) = size, target
    if width * high >= height * wide:
        return wide, max(1, round(height * wide / width))
    return max(1, round(width * high / height)), high


def _border_colour(image: Image.Image) -> NDArray[np.uint8]:
    pixels = image if max(image.size) <= 256 else image.resize((256, 256), Image.Resampling.BOX)
    values = np.asarray(pixels)
    border = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    return np.asarray(np.rint(border.mean(axis=0)), dtype=np.uint8)
