"""Moves, colours and an erased box in one pass over each image, by one knob."""

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from convnet.params.remedies import Batch, Remedy, Strength
from convnet.params.section import Section
from convnet.params.training import Augmentation
from convnet.remedies.colour import LUMINANCE, Colour, draw_colours, recolour
from convnet.remedies.erasing import Erasing, draw_boxes, erase, mean_colour

MOVES = 8  # numbers per image of `convnet.models.augmentation.DRAWS`
COLOURS = 5  # numbers per image of `draw_colours`; a box follows


class AugmentedStrong(Section):
    """How far every image may change."""

    strength: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5  # at 0.5, images move as in the course


def _moves(strength: float) -> Augmentation:
    shift = 0.4 * strength
    return Augmentation(
        rotation=80.0 * strength, width_shift=shift, height_shift=shift, shear=shift, zoom=shift,
        horizontal_flip=True, vertical_flip=False, fill="nearest",
    )  # fmt: skip


def _colours(strength: float) -> Colour:
    return Colour(
        brightness=0.8 * strength, contrast=0.8 * strength, saturation=0.8 * strength, hue=36.0 * strength,
        grey=0.2 * strength,
    )  # fmt: skip


def _draw(settings: AugmentedStrong, generator: np.random.Generator, images: int) -> NDArray[np.float32]:
    moves = generator.uniform(-1.0, 1.0, (images, MOVES)).astype(np.float32)
    boxes = draw_boxes(Erasing(area=max(0.03, 0.4 * settings.strength)), generator, images)
    return np.concatenate([moves, draw_colours(generator, images), boxes], axis=1)


def _change(settings: AugmentedStrong, batch: Batch, draws: Any) -> Batch:
    """Change all images. Means are those of the images before, so that one pass is enough."""
    from keras import ops

    from convnet.models.augmentation import compose_matrices, resample, scale_draws

    moves, colours, boxes = draws[:, :MOVES], draws[:, MOVES : MOVES + COLOURS], draws[:, MOVES + COLOURS :]
    mean = mean_colour(batch.images)
    matrices = compose_matrices(scale_draws(_moves(settings.strength), moves), *batch.images.shape[1:3])
    images = resample(batch.images, matrices)
    luminance = ops.sum(mean * np.array(LUMINANCE, np.float32), axis=-1)
    images = recolour(_colours(settings.strength), images, colours, luminance)
    return batch._replace(images=erase(images, boxes, mean))


REMEDY = Remedy(
    sentence="Every epoch moves each image, changes its colours, and erases a box of some.",
    source='Cubuk et al., "RandAugment", 2020, with all operations on every image',
    settings=AugmentedStrong,
    on_features="Cached features have no pixels to change; name it in a variant that trains on pixels.",
    refuses_features=True,
    strength=Strength("strength", 0.1, 1.0, "linear"),
    excludes=("augmentation", "colour", "erasing"),
    draws=_draw,
    batch=_change,
)
