"""Training steps of a compiled model, several in one call of the backend.

One call then pays once for Python and for the way of a batch to the device: a sixth of the time of a step of small
images on a CPU, two thirds on a GPU (docs/performance.md).

Keras' `steps_per_execution` gives equal weights for 4 to 14 % more processor time (48 pixels, batch 20, 2 cores). On
JAX, it calls the backend for every step. Its number of steps is fixed, so Ctrl-C and progress wait for 16 long steps.
"""

import importlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

LOGGED = ("accuracy", "loss")
PLAIN_LOSS = "plain_loss"  # the metric of the loss without a remedy, where the model trains on another one
MOST_AT_ONCE = 32

Logs = dict[str, Any]
Stacked = tuple[NDArray[Any], ...]
Change = Callable[[Any], Any]


def plain_logs(logs: Logs) -> Logs:
    """Return accuracy and loss; the loss is that of the plain task also where training adds to it."""
    return {"accuracy": logs["accuracy"], "loss": logs.get(PLAIN_LOSS, logs["loss"])}


class Steps:
    """One call of the backend for each step, as in Keras.

    Attributes:
        most: steps that one call may have.
    """

    most = 1

    def __init__(self, model: keras.Model, change: Change = tuple) -> None:
        """Train `model`; `change` makes what it trains on of the parts of a batch, compiled with the step."""
        self._model, self._change = model, change

    def begin(self, most: int) -> None:
        """Prepare for an epoch whose calls have `most` steps or fewer."""

    def __call__(self, batches: Stacked) -> Logs:
        """Train on `batches`, each part (steps, batch, ...).

        Returns:
            Each of `LOGGED` -> one number per step, of that batch alone. There may be more numbers than steps, and a
            GPU may still compute them.
        """
        batch = self._change(tuple(part[0] for part in batches))
        logs = plain_logs(self._model.train_on_batch(*batch, return_dict=True))
        return {name: [logs[name]] for name in LOGGED}

    def end(self) -> None:
        """Write the trained values into the model's variables."""


def choose_steps(model: keras.Model, change: Change = tuple) -> Steps:
    """Return the fastest steps for a compiled model on this device, as `Steps` takes them."""
    if keras.backend.backend() == "tensorflow":
        return _TensorFlowSteps(model, change)
    if keras.backend.backend() != "jax":
        return Steps(model, change)
    jax = importlib.import_module("jax")
    if jax.devices()[0].platform == "gpu":
        return _JaxSteps(model, change)
    # On a CPU, XLA takes one thread for the operations inside a loop.
    return Steps(model, change if change is tuple else jax.jit(change))


class _TensorFlowSteps(Steps):
    """A loop in a graph."""

    most = MOST_AT_ONCE

    def __init__(self, model: keras.Model, change: Change = tuple) -> None:
        super().__init__(model, change)
        self._several: Callable[[Stacked], Logs] | None = None

    def begin(self, most: int) -> None:
        self._model.reset_metrics()

    def __call__(self, batches: Stacked) -> Logs:
        if self._several is None:
            self._several = self._trace(batches)
        return self._several(batches)

    def _trace(self, batches: Stacked) -> Callable[[Stacked], Logs]:
        import tensorflow as tf

        def step(batch: Any) -> Logs:
            logs = plain_logs(self._model.train_step(self._change(batch)))
            self._model.reset_metrics()  # so that the next step logs its own batch alone
            return logs

        def several(parts: Any) -> Logs:
            kinds = dict.fromkeys(LOGGED, tf.float32)
            logs: Logs = tf.map_fn(step, parts, fn_output_signature=kinds, parallel_iterations=1)
            return logs

        # Traced once, for any number of steps and of images in a batch.
        signature = tuple(tf.TensorSpec((None, None, *part.shape[2:]), part.dtype) for part in batches)
        traced: Callable[[Stacked], Logs] = tf.function(several, input_signature=[signature], autograph=False)
        return traced


class _JaxSteps(Steps):
    """A loop in a compiled function, which takes the values of the variables and returns them changed."""

    most = MOST_AT_ONCE

    def __init__(self, model: keras.Model, change: Change = tuple) -> None:
        super().__init__(model, change)
        self._most = 1
        self._values: Any = None
        jax = importlib.import_module("jax")

        def several(values: Any, count: Any, batches: Any) -> tuple[Any, Logs]:
            def step(number: Any, before: tuple[Any, Logs]) -> tuple[Any, Logs]:
                (*variables, metrics), logs = before
                zeros = [jax.numpy.zeros_like(value) for value in metrics]  # so that a step logs its batch alone
                batch = self._change(tuple(part[number] for part in batches))
                logged, values = model.train_step((*variables, zeros), batch)
                plain = plain_logs(logged)
                return values, {name: logs[name].at[number].set(plain[name]) for name in LOGGED}

            nothing = {name: jax.numpy.zeros(len(batches[0]), "float32") for name in LOGGED}
            changed: tuple[Any, Logs] = jax.lax.fori_loop(0, count, step, (values, nothing))
            return changed

        self._several = jax.jit(several, donate_argnums=0)

    def begin(self, most: int) -> None:
        self._most = most

    def __call__(self, batches: Stacked) -> Logs:
        if self._values is None:
            first = self._change(tuple(part[0] for part in batches))
            self._model._symbolic_build(data_batch=first)  # makes the metrics' variables
            self._values = tuple([variable.value for variable in group] for group in self._groups())
        # One shape for any number of steps, because every shape is compiled; a smaller last batch is a second one.
        if len(batches[0]) < self._most:
            padded = tuple(np.resize(part, (self._most, *part.shape[1:])) for part in batches)
        else:
            padded = batches
        self._values, logs = self._several(self._values, len(batches[0]), padded)
        return dict(logs)

    def end(self) -> None:
        for group, values in zip(self._groups(), self._values, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        self._values = None

    def _groups(self) -> tuple[list[keras.Variable], ...]:
        """Return the variables in the order in which `train_step` takes their values."""
        model = self._model
        return (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
