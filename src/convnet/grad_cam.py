"""Grad-CAM: where in an image a network finds what speaks for a class.

Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", 2017.
tf-keras-vis has it too, but cannot look behind a backbone that is nested in the network.
"""

from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from convnet.feature_maps import is_transfer, to_numpy
from convnet.gradients import gradients


def grad_cam(
    model: keras.Model, images: NDArray[np.uint8], classes: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return a heat map per image: relu(sum over channels of (mean gradient of the score) * feature map).

    The feature maps are those of the last convolution, or what a nested backbone gives. Heat maps are not scaled, so
    that those of several images can be compared.

    Args:
        model: a saved classifier of pixels 0..255, with one sigmoid or a softmax as its last layer.
        images: uint8 (n, height, width, 3).
        classes: int64 (n,), the class of each image that is explained, usually the one the network said.

    Returns:
        float32 (n, rows, columns), 0 or more, in the resolution of the feature maps.
    """
    point = model.get_layer("pool").input if is_transfer(model) else _last_convolution(model).output
    maps = keras.Model(model.input, point)(images.astype(np.float32), training=False)
    slopes = gradients(class_scores(keras.Model(point, model.output), classes), maps)
    weights = ops.mean(ops.cast(slopes, "float32"), axis=(1, 2), keepdims=True)
    return to_numpy(ops.relu(ops.sum(weights * ops.cast(maps, "float32"), axis=-1)))


def class_scores(model: keras.Model, classes: NDArray[np.int64]) -> Any:
    """Return a function from the model's input to one score per row: that of its class before sigmoid or softmax.

    The squashed outputs would not do: where the network is sure, their slope vanishes. A single sigmoid says how much
    speaks for class 1; as much speaks against class 0.
    """
    scores = _without_squashing(model)
    units = model.output_shape[-1]
    chosen = classes[:, np.newaxis] * 2.0 - 1.0 if units == 1 else np.eye(units)[classes]
    return lambda inputs: ops.sum(scores(inputs, training=False) * chosen.astype(np.float32), axis=-1)


def _without_squashing(model: keras.Model) -> keras.Model:
    """Return a copy that shares the weights and whose last layer is linear."""
    last = model.layers[-1]
    if isinstance(last, keras.Model):  # the head of a transfer network
        scores = _without_squashing(last)(last_input(model))
        return keras.Model(model.input, scores)
    return None


def _last_convolution(model: keras.Model) -> layers.Layer:
    return [layer for layer in model.layers if isinstance(layer, layers.Conv2D)][-1]
