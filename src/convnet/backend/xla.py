"""Compilation of many small operations into few by XLA."""

from collections.abc import Callable
from typing import Any


def fuse(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function`, compiled by XLA under TensorFlow on a CPU.

    XLA runs a chain of element-wise operations and gathers there several times faster than one kernel after the other;
    convolutions it makes slower. JAX compiles the whole training step, and on a GPU these kernels are short.

    Args:
        function: of tensors, and of the backend's own variables, which it may assign to.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return function
    compiled: Callable[..., Any] = tf.function(function, jit_compile=True, autograph=False)
    return compiled
