"""Keras' RMSprop with the update of large weights fused into one pass over memory.

A dense layer behind flattened feature maps has up to 38 million weights, and batches of 20 images update all of them:
the update, a chain of element-wise operations on arrays larger than any cache, then costs more than the arithmetic.
"""

import math
from typing import Any

import keras

from convnet.device import fuse

LARGE = 1_000_000  # weights; below, compiling costs more than it saves


def _update(gradient: Any, velocity: Any, weights: Any, learning_rate: Any, rho: Any, epsilon: Any) -> tuple[Any, Any]:
    """Return (velocity, weights) after one step.

    Source: Hinton, "Neural Networks for Machine Learning", lecture 6e, as Keras computes it: epsilon is added before
    the root is taken.
    """
    velocity = rho * velocity + (1.0 - rho) * keras.ops.square(gradient)
    return velocity, weights - learning_rate * gradient / keras.ops.sqrt(velocity + epsilon)


@keras.saving.register_keras_serializable("convnet")
class FusedRMSprop(keras.optimizers.RMSprop):  # type: ignore[misc]  # keras ships no types
    """RMSprop without momentum, equal to Keras' own up to rounding."""

    def __init__(self, learning_rate: float) -> None:
        """Take Keras' defaults for all but the learning rate."""
        super().__init__(learning_rate=learning_rate, name="rmsprop")
        self._fused = fuse(_update)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable and its velocity."""
        if math.prod(variable.shape) < LARGE:
            super().update_step(gradient, variable, learning_rate)
            return
        velocity = self._velocities[self._get_variable_index(variable)]
        rate = keras.ops.cast(learning_rate, variable.dtype)
        gradient = keras.ops.cast(gradient, variable.dtype)
        new_velocity, weights = self._fused(
            gradient, _tensor(velocity), _tensor(variable), rate, self.rho, self.epsilon
        )
        self.assign(velocity, new_velocity)
        self.assign(variable, weights)


def _tensor(variable: Any) -> Any:
    """Return what the backend computes with: TensorFlow's optimizer already passes its own variables."""
    return variable.value if isinstance(variable, keras.Variable) else variable
