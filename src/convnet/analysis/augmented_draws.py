"""Augmented draws of images, by the layer that training uses."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from convnet.models.augmentation import RandomAffine
from convnet.params.recipe import resolve
from convnet.params.schema import Params
from convnet.params.training import Augmentation
from convnet.report.charts.augmentation import OFF

# The course's knobs, as far as they move pixels.
COURSE: Mapping[str, float | bool] = {
    "rotation": 40.0,
    "width_shift": 0.2,
    "height_shift": 0.2,
    "shear": 0.2,
    "zoom": 0.2,
    "horizontal_flip": True,
    "vertical_flip": True,
}
FILLS = ("nearest", "constant", "reflect", "wrap")
DRAWS = 8  # of which the one that changes most is shown


def first_augmentation(params: Params, dataset: str) -> Augmentation | None:
    """Return the augmentation of the first variant that augments; None if no variant does."""
    knobs = (resolve(params, dataset, variant).augmentation for variant in params.run.variants)
    return next((of_variant for of_variant in knobs if of_variant), None)


def draw_augmented(images: NDArray[np.uint8], knobs: Augmentation, draws: int, seed: int) -> NDArray[np.uint8]:
    """Return augmented draws of each image: uint8 (n, draws, height, width, 3)."""
    layer = RandomAffine(**knobs.model_dump(), seed=seed, dtype="float32")
    copies = np.repeat(images.astype(np.float32), draws, axis=0)
    moved = keras.ops.convert_to_numpy(layer(copies, training=True))
    drawn: NDArray[np.uint8] = np.clip(np.round(moved), 0, 255).astype(np.uint8)
    return drawn.reshape(len(images), draws, *images.shape[1:])


def draw_knobs(image: NDArray[np.uint8], knobs: Augmentation, seed: int) -> dict[str, NDArray[np.uint8]]:
    """Return an image (height, width, 3) under each knob alone, under each way to fill the edges, and under all knobs.

    Of several draws the one that changes most is shown. A knob that is off is drawn with the course's value.
    """
    off = {name: False if "flip" in name else 0.0 for name in COURSE}
    used = {name: getattr(knobs, name) or value for name, value in COURSE.items()}
    alone = {
        name + ("" if getattr(knobs, name) else OFF): _strongest(image, knobs, {**off, name: value}, seed)
        for name, value in used.items()
    }
    shift = {**off, "width_shift": used["width_shift"], "height_shift": used["height_shift"]}
    filled = {f"fill {fill}": _strongest(image, knobs, {**shift, "fill": fill}, seed) for fill in FILLS}
    return {**alone, **filled, "all together": _strongest(image, knobs, {}, seed)}


def _strongest(
    image: NDArray[np.uint8], knobs: Augmentation, changes: Mapping[str, Any], seed: int
) -> NDArray[np.uint8]:
    changed = Augmentation.model_validate({**knobs.model_dump(), **changes})
    draws = draw_augmented(image[np.newaxis], changed, DRAWS, seed)[0]
    change = np.abs(draws.astype(np.float64) - image).mean(axis=(1, 2, 3))
    strongest: NDArray[np.uint8] = draws[int(change.argmax())]
    return strongest
