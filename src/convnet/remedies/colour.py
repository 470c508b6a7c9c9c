"""Random changes of colour: one linear map per image."""

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from convnet.params.remedies import Batch, Remedy, Strength
from convnet.params.section import Section

LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue, as in ITU-R BT.601
Change = Annotated[float, Field(ge=0.0, le=1.0)]


class Colour(Section):
    """The knobs; each draw is within +- the number."""

    brightness: Change = 0.0  # factor of all values between 1 - brightness and 1 + brightness
    contrast: Change = 0.0  # factor of the distance from the mean luminance
    saturation: Change = 0.0  # factor of the distance from the luminance
    hue: Annotated[float, Field(ge=0.0, le=180.0)] = 0.0  # degrees about the axis of greys
    grey: Change = 0.0  # probability of an image without colour

    @model_validator(mode="after")
    def _changes_something(self) -> "Colour":
        if not any(self.model_dump().values()):
            raise ValueError("every knob is 0; set brightness, contrast, saturation, hue or grey")
        return self


def draw_colours(generator: np.random.Generator, images: int) -> NDArray[np.float32]:
    """Draw five numbers per image, each uniform in [-1, 1): brightness, contrast, saturation, hue, grey."""
    return generator.uniform(-1.0, 1.0, (images, 5)).astype(np.float32)


def mean_luminance(images: Any) -> Any:
    """Return the mean luminance of each image, (n,)."""
    from keras import ops

    return ops.sum(ops.mean(images, axis=(1, 2)) * np.array(LUMINANCE, np.float32), axis=-1)


def recolour(knobs: Colour, images: Any, draws: Any, mean: Any) -> Any:
    """Return images with their colours changed, within 0..255.

    Args:
        knobs: the ranges.
        images: (n, height, width, 3).
        draws: as `draw_colours` returns.
        mean: the mean luminance of each image.
    """
    from keras import ops

    brightness, contrast = 1.0 + knobs.brightness * draws[:, 0], 1.0 + knobs.contrast * draws[:, 1]
    maps = _matrices(knobs, draws) * ops.reshape(brightness * contrast, (-1, 1, 1))
    offset = ops.reshape((1.0 - contrast) * brightness * mean, (-1, 1, 1))
    changed = ops.einsum("nhwk,nck->nhwc", images, maps) + ops.expand_dims(offset, -1)
    return ops.clip(changed, 0.0, 255.0)


def _matrices(knobs: Colour, draws: Any) -> Any:
    """Return grey @ hue @ saturation of each image, (n, 3, 3); each leaves a grey pixel as it is."""
    from keras import ops

    identity = np.eye(3, dtype=np.float32)
    luminance = np.tile(np.array(LUMINANCE, np.float32), (3, 1))
    saturation = ops.reshape(1.0 + knobs.saturation * draws[:, 2], (-1, 1, 1))
    saturated = saturation * identity + (1.0 - saturation) * luminance
    # Rodrigues' formula about the axis (1, 1, 1).
    angle = ops.reshape(np.radians(knobs.hue).astype(np.float32) * draws[:, 3], (-1, 1, 1))
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], np.float32) / np.float32(np.sqrt(3.0))
    third = np.full((3, 3), 1 / 3, np.float32)
    turned = ops.cos(angle) * identity + ops.sin(angle) * cross + (1.0 - ops.cos(angle)) * third
    coloured = ops.matmul(turned, saturated)
    is_grey = ops.reshape((draws[:, 4] + 1.0) / 2.0 < knobs.grey, (-1, 1, 1))
    return ops.where(is_grey, luminance, coloured)


def _draw(settings: Colour, generator: np.random.Generator, images: int) -> NDArray[np.float32]:
    return draw_colours(generator, images)


def _change(settings: Colour, batch: Batch, draws: Any) -> Batch:
    return batch._replace(images=recolour(settings, batch.images, draws, mean_luminance(batch.images)))


REMEDY = Remedy(
    sentence="Every epoch changes brightness, contrast, saturation, hue or greyness of each image at random.",
    source='Howard, "Some Improvements on Deep Convolutional Neural Network Based Image Classification", 2014',
    settings=Colour,
    alone=("brightness", "contrast", "saturation", "hue", "grey"),
    on_features="Cached features have no colours to change; name it in a variant that trains on pixels.",
    refuses_features=True,
    strength=Strength("brightness", 0.05, 0.6, "linear"),
    excludes=("augmented_strong",),
    draws=_draw,
    batch=_change,
)
