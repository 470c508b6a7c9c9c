"""Grad-CAM: where in an image a network finds what speaks for a class.

Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", 2017.
The library tf-keras-vis has it too, but cannot look into a network that is nested in another, as backbones are here.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from convnet.analysis.feature_maps import is_transfer, to_numpy
from convnet.backend.gradients import gradients


def grad_cam(model: keras.Model, images: NDArray[np.uint8], classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return a heat map per image: relu(sum over channels of mean gradient of the score * feature map).

    The feature maps are those of the last convolution, or what a nested backbone gives. Heat maps are not scaled, so
    that those of several images can be compared.

    Args:
        model: a saved classifier of pixels 0..255, with one sigmoid or a softmax as its last layer.
        images: uint8 (n, height, width, 3).
        classes: int64 (n,), the class of each image that is explained, usually the one the network said.

    Returns:
        float32 (n, rows, columns), 0 or more, in the resolution of the feature maps.
    """
    point = _point(model)
    maps = keras.Model(model.input, point)(images.astype(np.float32), training=False)  # (n, rows, columns, channels)
    rest = keras.Model(point, model.output)
    units = model.output_shape[-1]
    # A single sigmoid says how much speaks for class 1; as much speaks against class 0.
    signs = classes[:, np.newaxis] * 2.0 - 1.0 if units == 1 else np.eye(units)[classes]
    with _linear_output(rest):
        slopes = gradients(lambda value: rest(value, training=False) * signs.astype(np.float32), maps)
    weights = ops.mean(ops.cast(slopes, "float32"), axis=(1, 2), keepdims=True)
    return to_numpy(ops.relu(ops.sum(weights * ops.cast(maps, "float32"), axis=-1)))


def _point(model: keras.Model) -> keras.KerasTensor:
    """Return where the network is cut in two: before it lies what sees places, behind it what decides."""
    if is_transfer(model):
        return model.get_layer("pool").input
    return [layer for layer in model.layers if isinstance(layer, layers.Conv2D)][-1].output


@contextmanager
def _linear_output(model: keras.Model) -> Iterator[None]:
    """Take sigmoid or softmax off the last layer for a while: where a network is sure, their slope vanishes."""
    last = model.layers[-1]
    while isinstance(last, keras.Model):  # the head of a transfer network
        last = last.layers[-1]
    activation, last.activation = last.activation, keras.activations.linear
    try:
        yield
    finally:
        last.activation = activation
