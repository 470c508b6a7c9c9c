"""The moving average of the weights, measured and saved in place of the weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from pydantic import Field

from convnet.params.remedies import Remedy, Strength
from convnet.params.section import Section


class Ema(Section):
    """How far the average looks back."""

    momentum: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.99  # 0.99 averages about the last 100 steps


def _average(settings: Ema, optimizer: Any, model: Any, steps: int) -> None:
    """Let the optimizer average the weights after every step, large ones in one pass over memory.

    It never writes the average into the model. The first average is the weights themselves, as in Keras.
    """
    from keras import ops

    from convnet.backend.xla import fuse_for_large

    optimizer.use_ema, optimizer.ema_momentum = True, settings.momentum
    optimizer.ema_overwrite_frequency = None

    @fuse_for_large
    def move(average: Any, weights: Any, momentum: Any) -> None:
        average.assign(momentum * average + (1.0 - momentum) * weights)

    def move_all(variables: Any) -> None:
        momentum = settings.momentum * ops.cast(ops.not_equal(optimizer.iterations, 0), "float32")
        for weights, average in zip(variables, optimizer._model_variables_moving_average, strict=True):
            move(average, weights, momentum)

    optimizer._update_model_variables_moving_average = move_all


@contextmanager
def _with_average(settings: Ema, model: Any) -> Iterator[None]:
    """Give the model the averages, and its own weights back at the end."""
    from keras import ops

    weights = model.trainable_variables
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # Keras wraps it under mixed_float16
    own = [ops.convert_to_numpy(weight).copy() for weight in weights]
    for weight, average in zip(weights, optimizer._model_variables_moving_average, strict=True):
        weight.assign(ops.convert_to_numpy(average).copy())  # JAX gives the memory of what it evaluates away
    try:
        yield
    finally:
        for weight, value in zip(weights, own, strict=True):
            weight.assign(value)


REMEDY = Remedy(
    sentence="The saved network has the average of the weights of the last steps, not those of the very last.",
    source='Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992',
    settings=Ema,
    on_features="It averages the weights of the head.",
    strength=Strength("momentum", 0.9, 0.999, "log"),
    optimizer=_average,
    evaluated=_with_average,
)
