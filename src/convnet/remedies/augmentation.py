"""The course's augmentation: one random affine move per image."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convnet.params.remedies import Batch, Remedy
from convnet.params.training import Augmentation


def _draw(knobs: Augmentation, generator: np.random.Generator, images: int) -> NDArray[np.float32]:
    """Draw the columns of `convnet.models.augmentation.DRAWS`, each uniform in [-1, 1)."""
    return generator.uniform(-1.0, 1.0, (images, 8)).astype(np.float32)


def _move(knobs: Augmentation, batch: Batch, draws: Any) -> Batch:
    from convnet.models.augmentation import compose_matrices, resample, scale_draws

    height, width = batch.images.shape[1:3]
    matrices = compose_matrices(scale_draws(knobs, draws), height, width)
    return batch._replace(images=resample(batch.images, matrices, knobs.fill))


def _used(recipe: Mapping[str, Any], baseline: Mapping[str, Any]) -> dict[str, Any] | None:
    knobs: dict[str, Any] | None = recipe["augmentation"]
    return knobs


REMEDY = Remedy(
    sentence="Every epoch sees each image rotated, shifted, sheared, zoomed and mirrored at random.",
    source='Simard et al., "Best Practices for Convolutional Neural Networks", 2003',
    on_features="The features of a few moved copies of each training image are cached.",
    used=_used,
    draws=_draw,
    batch=_move,
)
