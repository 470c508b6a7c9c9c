"""Prepare an image file for an exported model, as the pipeline does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from convnet.data.grey_levels import GREY_16_BIT, grey_extrema, image_range, to_8_bit
from convnet.data.resizing import fit, upright
from convnet.data.transparency import in_rgb


def load_image(path: str | Path, labels: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """Return an image file as the input of the model.

    Args:
        path: the image.
        labels: content of the JSON file that comes with the model.

    Returns:
        float32 (1, height, width, 3), 0 to 255.
    """
    height, width = labels["input"]["image_size"]
    prepare = labels["input"]["prepare"]
    with Image.open(path) as image:
        image.draft(None, (max(height, width), max(height, width)))  # a large JPEG is halved while it is decoded
        image.load()
        # The reader of HEIF has already turned the image.
        orientation = 1 if image.format == "HEIF" else image.getexif().get(0x0112, 1)
        if image.mode in GREY_16_BIT:
            wish = prepare["grey_range"]  # a word or two numbers
            limits = image_range(grey_extrema(image), wish)
            pixels = to_8_bit(image, limits).convert("RGB")
        else:
            pixels = in_rgb(image, prepare["background"])
    fitted = fit(upright(pixels, orientation), (height, width), prepare["resize"])
    return fitted.astype(np.float32)[np.newaxis]
