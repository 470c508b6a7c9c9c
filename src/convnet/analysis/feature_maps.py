"""What the layers of a saved network make of an image: its feature maps, and the filters of its first layer."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from convnet.models.backbones import BACKBONE

SPATIAL = (layers.Conv2D, layers.MaxPooling2D, layers.AveragePooling2D)


def is_transfer(model: keras.Model) -> bool:
    """Say whether a saved network holds a nested backbone."""
    return BACKBONE in {layer.name for layer in model.layers}


def mapped_layers(model: keras.Model, wanted: Sequence[str]) -> list[str]:
    """Return the layers whose feature maps are shown, in the order of the network.

    Args:
        model: a saved network.
        wanted: layers of a nested backbone, which has too many to show all. Those behind its cut are left out. A
            network without a backbone shows every convolution and pooling, whatever is wanted.
    """
    if is_transfer(model):
        return [layer.name for layer in model.get_layer(BACKBONE).layers if layer.name in wanted]
    return [layer.name for layer in model.layers if isinstance(layer, SPATIAL)]


def feature_maps(model: keras.Model, names: Sequence[str], images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Return the outputs of layers in inference mode, all from one pass.

    Args:
        model: a saved network; the layers of a nested backbone are found too.
        names: of the layers.
        images: uint8 (n, height, width, 3).

    Returns:
        Layer name -> float32 (n, height, width, channels).
    """
    inside = model.get_layer(BACKBONE) if is_transfer(model) else model
    probe = keras.Model(inside.input, {name: inside.get_layer(name).output for name in names})
    seen = images.astype(np.float32)
    if inside is not model:
        seen = model.get_layer("rescale")(seen)
    outputs = probe(seen, training=False)
    return {name: to_numpy(outputs[name]) for name in names}


def first_filters(model: keras.Model) -> tuple[str, NDArray[np.float32]] | None:
    """Return name and kernel (height, width, 3, filters) of the first convolution; None where it does not see colours.

    The kernel's colours are those of the image, since only a rescaling lies between.
    """
    inside = model.get_layer(BACKBONE) if is_transfer(model) else model
    for layer in inside.layers:
        if isinstance(layer, layers.Conv2D):
            kernel = to_numpy(layer.kernel)
            return (layer.name, kernel) if kernel.shape[2] == 3 else None
    return None


def to_numpy(tensor: Any) -> NDArray[np.float32]:
    """Return a tensor as float32: NumPy knows no bfloat16, in which networks may compute."""
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))
