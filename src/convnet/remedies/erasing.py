"""One box of each image erased at random."""

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from convnet.params.remedies import Batch, Remedy, Strength
from convnet.params.section import Section

ASPECTS = (0.3, 1 / 0.3)  # of height and width, as published
SMALLEST = 0.02  # share of the image


class Erasing(Section):
    """How much is erased, and how often."""

    area: Annotated[float, Field(gt=SMALLEST, le=1.0)] = 0.2  # share of the image, at most
    probability: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5


def draw_boxes(settings: Erasing, generator: np.random.Generator, images: int) -> NDArray[np.float32]:
    """Draw a box per image: height, width and centre (x, y) in shares of a side. Both sides are 0 for no box."""
    erased, area, aspect, x, y = generator.random((5, images))
    share = np.where(erased < settings.probability, SMALLEST + (settings.area - SMALLEST) * area, 0.0)
    ratio = np.exp(np.log(ASPECTS[0]) + (np.log(ASPECTS[1]) - np.log(ASPECTS[0])) * aspect)
    boxes = np.stack([np.sqrt(share * ratio), np.sqrt(share / ratio), x, y], axis=1)
    return boxes.astype(np.float32)


def inside_boxes(boxes: Any, height: int, width: int) -> Any:
    """Return 1.0 inside each box and 0.0 outside, (n, height, width); a box ends at the edge of the image."""
    from keras import ops

    tall, wide, x, y = (ops.reshape(boxes[:, column], (-1, 1, 1)) for column in range(4))
    columns = (ops.arange(width, dtype="float32") + 0.5) / width
    rows = ops.reshape((ops.arange(height, dtype="float32") + 0.5) / height, (1, -1, 1))
    inside = ops.logical_and(ops.abs(columns - x) < wide / 2, ops.abs(rows - y) < tall / 2)
    return ops.cast(inside, "float32")


def erase(images: Any, boxes: Any, colour: Any) -> Any:
    """Return images whose boxes have one colour, (n, 3)."""
    from keras import ops

    inside = ops.expand_dims(inside_boxes(boxes, *images.shape[1:3]), -1)
    return images * (1.0 - inside) + ops.reshape(colour, (-1, 1, 1, 3)) * inside


def mean_colour(images: Any) -> Any:
    """Return the mean colour of each image, (n, 3)."""
    from keras import ops

    return ops.mean(images, axis=(1, 2))


def _erase(settings: Erasing, batch: Batch, draws: Any) -> Batch:
    return batch._replace(images=erase(batch.images, draws, mean_colour(batch.images)))


REMEDY = Remedy(
    sentence="Every epoch fills a random box of some images with the mean colour of the image.",
    source='Zhong et al., "Random Erasing Data Augmentation", 2020',
    settings=Erasing,
    on_features="Cached features have no area to erase; name it in a variant that trains on pixels.",
    refuses_features=True,
    strength=Strength("area", 0.05, 0.5, "linear"),
    excludes=("augmented_strong",),
    draws=draw_boxes,
    batch=_erase,
)
