"""A box of one image pasted into another, with the labels mixed by area."""

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from convnet.params.remedies import Batch, Remedy, Strength
from convnet.params.section import Section
from convnet.remedies.erasing import inside_boxes
from convnet.remedies.mixup import mix_labels


class Cutmix(Section):
    """How many images are cut."""

    probability: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0  # of an image to get a box


def _draw(settings: Cutmix, generator: np.random.Generator, images: int) -> NDArray[np.float32]:
    """Draw a box per image as `inside_boxes` takes them. Its area is drawn by Beta(1, 1), which is uniform."""
    area, x, y, cut = generator.random((4, images), dtype=np.float32)
    side = np.sqrt(area) * (cut < settings.probability)
    return np.stack([side, side, x, y], axis=1)


def _paste(settings: Cutmix, batch: Batch, draws: Any) -> Batch:
    """Paste a box of the image before into every image; a box ends at the edge."""
    from keras import ops

    box = inside_boxes(draws, *batch.images.shape[1:3])
    inside = ops.expand_dims(box, -1)
    images = batch.images * (1.0 - inside) + ops.roll(batch.images, 1, axis=0) * inside
    return mix_labels(batch._replace(images=images), 1.0 - ops.mean(box, axis=(1, 2)))


REMEDY = Remedy(
    sentence="A box of one image is pasted into another, and their labels are mixed by area.",
    source='Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers", 2019',
    settings=Cutmix,
    on_features="Cached features have no area to paste; name it in a variant that trains on pixels.",
    refuses_features=True,
    strength=Strength("probability", 0.1, 1.0, "linear"),
    excludes=("mixup",),
    draws=_draw,
    batch=_paste,
    mixes=True,
)
