"""Convex mixtures of two images and of their labels."""

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from convnet.params.remedies import Batch, Remedy, Strength
from convnet.params.section import Section


class Mixup(Section):
    """How far images are mixed."""

    alpha: Annotated[float, Field(gt=0.0, le=10.0)] = 0.2  # shares are drawn by Beta(alpha, alpha)


def _draw(settings: Mixup, generator: np.random.Generator, images: int) -> NDArray[np.float32]:
    """Draw each image's own share of its mixture, float32 (images, 1)."""
    return generator.beta(settings.alpha, settings.alpha, (images, 1)).astype(np.float32)


def _mix(settings: Mixup, batch: Batch, draws: Any) -> Batch:
    """Mix every image with the one before it; the order of a batch is random."""
    from keras import ops

    share = ops.reshape(draws, (-1, *[1] * (len(batch.images.shape) - 1)))
    images = batch.images * share + ops.roll(batch.images, 1, axis=0) * (1.0 - share)
    return mix_labels(batch._replace(images=images), draws[:, 0])


def mix_labels(batch: Batch, share: Any) -> Batch:
    """Mix every label with the one before it.

    The loss is linear in labels and weights, so it becomes the mixture of the two losses.

    Args:
        batch: its images are not changed.
        share: (n,), the share of each image's own label.
    """
    from keras import ops

    own = share if batch.weights is None else share * batch.weights
    other = 1.0 - share if batch.weights is None else (1.0 - share) * ops.roll(batch.weights, 1, axis=0)
    weights = own + other
    part = ops.expand_dims(own / weights, -1)
    labels = batch.labels * part + ops.roll(batch.labels, 1, axis=0) * (1.0 - part)
    return batch._replace(labels=labels, weights=None if batch.weights is None else weights)


REMEDY = Remedy(
    sentence="Training sees mixtures of two images, with their labels mixed in the same shares.",
    source='Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018',
    settings=Mixup,
    on_features="It mixes the features of two images.",
    strength=Strength("alpha", 0.05, 1.0, "log"),
    excludes=("cutmix",),
    draws=_draw,
    batch=_mix,
    mixes=True,
)
