"""An epoch of training, several steps to a call of the backend.

What Python, and the way of a batch to the device, cost beside a step is then paid once for several. It is a sixth of
the time of a step of small images on a CPU, and two thirds on a GPU (docs/performance.md).
"""

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

LOGGED = ("accuracy", "loss")  # what `compile_model` has a step tell
MOST_AT_ONCE = 32

Logs = dict[str, Any]


class Steps:
    """Training steps of one compiled model, in the way of Keras: a call of the backend for each.

    Attributes:
        most: steps that one call may have.
    """

    most = 1

    def __init__(self, model: keras.Model) -> None:
        self._model = model

    def begin(self, most: int) -> None:
        """Make ready for an epoch whose calls have `most` steps or fewer."""

    def __call__(self, batches: tuple[NDArray[Any], ...]) -> Logs:
        """Train on `batches`, each part (steps, batch, ...).

        Returns:
            Each of `LOGGED` -> as many numbers as steps, or more: each of its batch alone, and on a GPU perhaps not
            computed yet.
        """
        logs = self._model.train_on_batch(*(part[0] for part in batches), return_dict=True)
        return {name: [logs[name]] for name in LOGGED}

    def end(self) -> None:
        """Leave the model's variables as the epoch changed them."""


def _each(count: int, images: int, logs: Logs) -> Iterator[tuple[int, dict[str, float]]]:
    values = {name: np.asarray(logs[name]) for name in LOGGED}  # waits for a GPU
    for step in range(count):
        yield images, {name: float(values[name][step]) for name in LOGGED}


def choose_steps(model: keras.Model) -> Steps:
    """Return how steps of a compiled model are best taken here."""
    if keras.backend.backend() == "tensorflow":
        return _TensorFlowSteps(model)
    if keras.backend.backend() == "jax" and _on_gpu():  # on a CPU, XLA takes one thread for what is inside a loop
        return _JaxSteps(model)
    return Steps(model)


def _on_gpu() -> bool:
    jax = importlib.import_module("jax")  # not a requirement
    return bool(jax.devices()[0].platform == "gpu")


class _TensorFlowSteps(Steps):
    """A loop in a graph."""

    most = MOST_AT_ONCE

    def __init__(self, model: keras.Model) -> None:
        super().__init__(model)
        self._several: Callable[[tuple[NDArray[Any], ...]], Logs] | None = None

    def begin(self, most: int) -> None:
        self._model.reset_metrics()

    def __call__(self, batches: tuple[NDArray[Any], ...]) -> Logs:
        if self._several is None:
            self._several = self._trace(batches)
        return self._several(batches)

    def _trace(self, batches: tuple[NDArray[Any], ...]) -> Callable[[tuple[NDArray[Any], ...]], Logs]:
        import tensorflow as tf

        def step(batch: Any) -> Logs:
            logs = self._model.train_step(batch)
            told = {name: logs[name] for name in LOGGED}
            self._model.reset_metrics()  # what the next step logs is of its batch alone
            return told

        def several(parts: Any) -> Logs:
            kinds = dict.fromkeys(LOGGED, tf.float32)
            logs: Logs = tf.map_fn(step, parts, fn_output_signature=kinds, parallel_iterations=1)
            return logs

        # Any number of steps, and of images in a batch: traced once.
        signature = tuple(tf.TensorSpec((None, None, *part.shape[2:]), part.dtype) for part in batches)
        traced: Callable[..., Logs] = tf.function(several, input_signature=[signature], autograph=False)
        return traced


class _JaxSteps(Steps):
    """A loop in a compiled function, which takes the values of the variables and returns them changed."""

    most = MOST_AT_ONCE

    def __init__(self, model: keras.Model) -> None:
        super().__init__(model)
        self._most = 1
        self._state: Any = None
        jax = importlib.import_module("jax")

        def several(state: Any, count: Any, batches: Any) -> tuple[Any, Logs]:
            def step(number: Any, before: tuple[Any, Logs]) -> tuple[Any, Logs]:
                (*variables, metrics), logs = before
                fresh = [jax.numpy.zeros_like(value) for value in metrics]  # what a step logs is of its batch alone
                told, state = model.train_step((*variables, fresh), tuple(part[number] for part in batches))
                return state, {name: logs[name].at[number].set(told[name]) for name in LOGGED}

            nothing = {name: jax.numpy.zeros(len(batches[0]), "float32") for name in LOGGED}
            changed: tuple[Any, Logs] = jax.lax.fori_loop(0, count, step, (state, nothing))
            return changed

        self._several = jax.jit(several, donate_argnums=0)

    def begin(self, most: int) -> None:
        self._most = most

    def __call__(self, batches: tuple[NDArray[Any], ...]) -> Logs:
        if self._state is None:
            self._model._symbolic_build(data_batch=tuple(part[0] for part in batches))  # makes the metrics' variables
            self._state = tuple([variable.value for variable in group] for group in self._groups())
        # Always the same shape, or every number of steps would be compiled anew; only a smaller last batch is.
        padded = tuple(_pad(part, self._most) for part in batches)
        logs: Logs
        self._state, logs = self._several(self._state, len(batches[0]), padded)
        return logs

    def end(self) -> None:
        for group, values in zip(self._groups(), self._state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        self._state = None

    def _groups(self) -> tuple[list[keras.Variable], ...]:
        """Return the variables as `train_step` wants their values."""
        model = self._model
        return (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )


def _pad(part: NDArray[Any], steps: int) -> NDArray[Any]:
    if len(part) == steps:
        return part
    padded = np.empty((steps, *part.shape[1:]), part.dtype)
    padded[: len(part)] = part
    return padded
