"""Decoupled weight decay, given so that it means the same for every number of epochs."""

from typing import Annotated, Any

from pydantic import Field

from convnet.params.remedies import Remedy, Strength
from convnet.params.section import Section


class WeightDecay(Section):
    """The strength of the decay."""

    product: Annotated[float, Field(gt=0.0, le=10.0)] = 0.1  # learning rate x decay x steps


def _set(settings: WeightDecay, optimizer: Any, model: Any, steps: int) -> None:
    """Let every step shrink the kernels by rate x decay, as AdamW does.

    At a constant rate, all steps together shrink a kernel that gets no gradient to exp(-product).
    """
    optimizer.weight_decay = settings.product / (float(optimizer.learning_rate) * steps)
    others = [variable for variable in model.trainable_variables if "kernel" not in variable.name]
    optimizer.exclude_from_weight_decay(var_list=others)


REMEDY = Remedy(
    sentence="Every step makes the weights of all kernels smaller by the same share.",
    source='Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019',
    settings=WeightDecay,
    on_features="It acts on the kernels of the head.",
    strength=Strength("product", 0.01, 1.0, "log"),
    excludes=("l2",),
    optimizer=_set,
)
