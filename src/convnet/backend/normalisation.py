"""Batch normalisation of feature maps in one operation, where Keras runs a chain of them."""

from typing import Any


def normalise(maps: Any, scale: Any, offset: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """Normalise every channel by its mean and variance in this batch, under TensorFlow on a CPU.

    The arithmetic is that of float32.

    Args:
        maps: (batch, height, width, channels), float32 or bfloat16.
        scale: float32 (channels,), and so is offset.
        offset: added behind the scale.
        epsilon: added to the variance.

    Returns:
        The maps in their type; mean and variance (of the numbers themselves, not of a sample) in float32.
    """
    import tensorflow as tf

    outputs, mean, of_sample, *_ = tf.raw_ops.FusedBatchNormV3(
        x=maps,
        scale=scale,
        offset=offset,
        mean=tf.constant([], tf.float32),
        variance=tf.constant([], tf.float32),
        epsilon=epsilon,
        is_training=True,
    )
    numbers = tf.cast(tf.reduce_prod(tf.shape(maps)[:-1]), tf.float32)
    return outputs, mean, of_sample * ((numbers - 1.0) / numbers)
