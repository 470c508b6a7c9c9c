"""The filters of a network's first layer."""

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from convnet.analysis.networks import convolutional_part, to_numpy


def first_filters(model: keras.Model) -> tuple[str, NDArray[np.float32]] | None:
    """Return name and kernel (height, width, 3, filters) of the first convolution; None if it does not read colours.

    The kernel's colours are those of the image, because only a rescaling comes before it.
    """
    for layer in convolutional_part(model).layers:
        if isinstance(layer, layers.Conv2D):
            kernel = to_numpy(layer.kernel)
            return (layer.name, kernel) if kernel.shape[2] == 3 else None
    return None
