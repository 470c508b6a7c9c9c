"""One fused pass over memory where XLA can compile it."""

from collections.abc import Callable
from typing import Any


def fuse(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile many small operations on tensors into few, where that pays.

    On a CPU under TensorFlow, XLA runs a chain of element-wise operations and gathers several times faster than one
    kernel after the other (it is convolutions that it makes slower). JAX compiles the whole training step anyway, and
    on a GPU the kernels are short beside the step.

    Args:
        function: of tensors, and of variables of the backend that it assigns to.

    Returns:
        The same function.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return function
    compiled: Callable[..., Any] = tf.function(function, jit_compile=True, autograph=False)
    return compiled
