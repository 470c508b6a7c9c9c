"""Keras' RMSprop with the update of large weights fused into one pass over memory.

A dense layer behind flattened feature maps has up to 38 million weights, and batches of 20 images update all of them:
the update, a chain of element-wise operations on arrays larger than any cache, then costs more than the arithmetic.
"""

from typing import Any

import keras

from convnet.backend.steps import PLAIN_LOSS
from convnet.backend.xla import fuse_for_large
from convnet.models.heads import Head
from convnet.params.training import Fit


def _update(weights: Any, velocity: Any, gradient: Any, learning_rate: Any, rho: float, epsilon: float) -> None:
    """Take one step. Compiled, it writes into the memory of both variables: no array of their size is allocated.

    Source: Hinton, "Neural Networks for Machine Learning", lecture 6e, as Keras computes it: epsilon is added before
    the root is taken.
    """
    gradient = keras.ops.cast(gradient, weights.dtype)
    mean_square = rho * velocity + (1.0 - rho) * keras.ops.square(gradient)
    step = learning_rate * gradient / keras.ops.sqrt(mean_square + epsilon)
    weights.assign(weights - step)
    velocity.assign(mean_square)


@keras.saving.register_keras_serializable("convnet")
class FusedRMSprop(keras.optimizers.RMSprop):  # type: ignore[misc]  # keras ships no types
    """RMSprop without momentum, equal to Keras' own up to rounding."""

    def __init__(self, learning_rate: float) -> None:
        """Take Keras' defaults for all but the learning rate."""
        super().__init__(learning_rate=learning_rate, name="rmsprop")
        self._fused = fuse_for_large(_update)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable and its velocity."""
        velocity = self._velocities[self._get_variable_index(variable)]
        self._fused(variable, velocity, gradient, learning_rate, self.rho, self.epsilon)


def compile_model(model: keras.Model, fit: Fit, head: Head, loss: Any = None) -> None:
    """Give `model` its optimizer, loss and accuracy by `fit`; where it trains on another `loss`, also the plain one."""
    optimizers = {"rmsprop": FusedRMSprop, "adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}
    metric = "categorical_accuracy" if head.one_hot else "binary_accuracy"
    if head.units > 1 and not head.one_hot:
        metric = "sparse_categorical_accuracy"
    accuracy = keras.metrics.get(metric)
    accuracy.name = "accuracy"
    plain = keras.metrics.MeanMetricWrapper(keras.losses.get(head.loss), name=PLAIN_LOSS)
    model.compile(
        optimizer=optimizers[fit.optimizer](learning_rate=fit.learning_rate),
        loss=loss or head.loss,
        weighted_metrics=[],
        metrics=[accuracy, plain] if loss else [accuracy],
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",  # XLA is slower on a CPU
    )
