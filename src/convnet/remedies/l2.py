"""A penalty on large weights in the loss."""

from typing import Annotated, Any

from pydantic import Field

from convnet.params.remedies import Remedy, Strength
from convnet.params.section import Section


class L2(Section):
    """The strength of the penalty."""

    factor: Annotated[float, Field(gt=0.0, le=1.0)] = 0.0005  # times the sum of squares of every kernel


def _penalise(settings: L2, loss: Any, model: Any) -> Any:
    """Add the penalty to the losses of the model."""
    from keras import regularizers

    for variable in model.trainable_variables:
        if "kernel" in variable.name:
            variable.regularizer = regularizers.L2(settings.factor)
    return loss


REMEDY = Remedy(
    sentence="The loss grows with the squares of the weights of all kernels, so training keeps them small.",
    source='Krogh and Hertz, "A Simple Weight Decay Can Improve Generalization", 1991',
    settings=L2,
    on_features="It acts on the kernels of the head.",
    strength=Strength("factor", 1e-5, 1e-2, "log"),
    excludes=("weight_decay",),
    loss=_penalise,
)
