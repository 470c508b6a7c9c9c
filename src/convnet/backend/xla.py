"""Compilation of many small operations into few by XLA."""

import math
from collections.abc import Callable
from typing import Any

LARGE = 100_000  # numbers in an array; below, compiling costs more than it saves


def is_tensorflow_on_cpu() -> bool:
    """Return whether Keras runs on TensorFlow without a GPU."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def fuse(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function`, compiled by XLA under TensorFlow on a CPU.

    XLA runs a chain of element-wise operations and gathers there several times faster than one kernel after the other;
    convolutions it makes slower. JAX compiles the whole training step, and on a GPU these kernels are short.

    Args:
        function: of tensors, and of the backend's own variables, which it may assign to.
    """
    if not is_tensorflow_on_cpu():
        return function
    import tensorflow as tf

    compiled: Callable[..., Any] = tf.function(function, jit_compile=True, autograph=False)
    return compiled


def fuse_for_large(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function`, fused where its first argument has `LARGE` or more numbers.

    Such an array is larger than any cache: every pass over memory that is saved counts.

    Args:
        function: of Keras variables, which it may assign to, and tensors.
    """
    fused = fuse(function)

    def of_size(first: Any, *others: Any) -> Any:
        chosen = fused if math.prod(first.shape) >= LARGE else function
        return chosen(*map(_of_backend, (first, *others)))

    return of_size


def _of_backend(value: Any) -> Any:
    """Return the variable that TensorFlow can compile assignments to; other backends assign to Keras' own."""
    import keras

    wrapped = keras.backend.backend() == "tensorflow" and isinstance(value, keras.Variable)
    return value.value if wrapped else value
