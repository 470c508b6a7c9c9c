"""Gradients on either backend; Keras offers none."""

import importlib
from collections.abc import Callable
from typing import Any

import keras
from keras import ops


def gradients(function: Callable[[Any], Any], tensor: Any) -> Any:
    """Return the derivative of `sum(function(tensor))` with respect to the floating-point `tensor`, in its shape.

    Where each row of the result depends on the same row of `tensor` only, these are the gradients of all rows at once.

    Raises:
        NotImplementedError: the backend is neither tensorflow nor jax.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(tensor)
            total = ops.sum(function(tensor))
        return tape.gradient(total, tensor)
    if backend == "jax":
        return importlib.import_module("jax").grad(lambda value: ops.sum(function(value)))(tensor)
    raise NotImplementedError(f"gradients on the backend {backend}")


def shorten(weights: Any, dtype: str) -> Any:
    """Return `weights` in a shorter type. Under TensorFlow their gradient keeps that type: who uses it casts it.

    Args:
        weights: a variable of float32.
        dtype: name of a floating-point type.
    """
    if keras.backend.backend() != "tensorflow":
        return ops.cast(weights, dtype)
    import tensorflow as tf

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def cast(values: Any) -> Any:
        return tf.cast(values, dtype), lambda upstream: upstream

    return cast(ops.convert_to_tensor(weights))
