"""Softer labels in the loss."""

from typing import Annotated, Any

from pydantic import Field

from convnet.params.remedies import Remedy, Strength
from convnet.params.section import Section


class LabelSmoothing(Section):
    """The softness of the labels."""

    share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1  # of every label that all classes divide evenly


def _soften(settings: LabelSmoothing, loss: Any, model: Any) -> Any:
    """Return the same cross-entropy on softer labels; it takes one-hot ones."""
    from keras import losses

    kind = losses.BinaryCrossentropy if loss == "binary_crossentropy" else losses.CategoricalCrossentropy
    return kind(label_smoothing=settings.share)


REMEDY = Remedy(
    sentence="A share of every label is divided among all classes, so training does not reward full certainty.",
    source='Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2016',
    settings=LabelSmoothing,
    on_features="It acts on the loss of the head.",
    strength=Strength("share", 0.02, 0.3, "log"),
    loss=_soften,
)
