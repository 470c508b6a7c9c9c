"""A penalty on large weights."""

from typing import Annotated, Any

from pydantic import Field

from convnet.params.remedies import Remedy, Strength
from convnet.params.section import Section


class L2(Section):
    """The strength of the penalty."""

    factor: Annotated[float, Field(gt=0.0, le=1.0)] = 0.0005  # times the sum of squares of every kernel


def _penalise(settings: L2, optimizer: Any, model: Any, steps: int) -> None:
    """Add the gradient of the penalty to that of every kernel, before the optimizer takes its moments.

    Training is the same as with the penalty in the loss, which takes three passes over all weights instead of one.
    """
    from keras import ops

    from convnet.backend.xla import fuse_for_large

    @fuse_for_large
    def penalised(variable: Any, gradient: Any) -> Any:
        return ops.cast(gradient, variable.dtype) + 2.0 * settings.factor * variable

    kernels = ["kernel" in variable.name for variable in model.trainable_variables]
    update = optimizer.update_step

    def update_step(gradient: Any, variable: Any, learning_rate: Any) -> None:
        if kernels[optimizer._get_variable_index(variable)]:
            gradient = penalised(variable, gradient)
        update(gradient, variable, learning_rate)

    optimizer.update_step = update_step


REMEDY = Remedy(
    sentence="The loss grows with the squares of the weights of all kernels, so training keeps them small.",
    source='Krogh and Hertz, "A Simple Weight Decay Can Improve Generalization", 1991',
    settings=L2,
    on_features="It acts on the kernels of the head.",
    strength=Strength("factor", 1e-5, 1e-2, "log"),
    excludes=("weight_decay",),
    optimizer=_penalise,
)
