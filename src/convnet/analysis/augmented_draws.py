"""Augmented draws of images, by the layer that training uses."""

import keras
import numpy as np
from numpy.typing import NDArray

from convnet.models.augmentation import RandomAffine
from convnet.params.recipe import resolve
from convnet.params.schema import Params
from convnet.params.training import Augmentation


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
