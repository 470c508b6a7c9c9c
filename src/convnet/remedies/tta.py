"""Test-time augmentation: several views of an image, and the mean of their probabilities."""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from convnet.params.remedies import Derived, Remedy
from convnet.params.section import Section


class Tta(Section):
    """The views of an image: the first is the image itself."""

    views: Annotated[int, Field(ge=2, le=64)] = 8
    move: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.1  # shifts and zooms are within +- this share
    mirror: bool = True  # every other view is mirrored left to right


def axis_map(length: int, shift: float, zoom: float, mirrored: bool) -> NDArray[np.float32]:
    """Return the matrix (source, result) that moves one axis, read bilinearly; the edge repeats beyond it."""
    centre = (length - 1) / 2
    places = (np.arange(length) - centre) * zoom * (-1 if mirrored else 1) + shift * length + centre
    places = np.clip(places, 0, length - 1)
    first = np.minimum(np.floor(places).astype(int), length - 2)
    matrix = np.zeros((length, length), np.float32)
    matrix[first, np.arange(length)] = 1 - (places - first)
    matrix[first + 1, np.arange(length)] += places - first
    return matrix


def _view(
    settings: Tta, models: Sequence[Any], predictions: Sequence[dict[str, Any]], generator: np.random.Generator
) -> Derived:
    """Build a network that moves its input in fixed ways. Matrices along both axes are plain layers of Keras."""
    import keras

    (model,) = models
    height, width, channels = model.input_shape[1:]
    inputs = keras.Input((height, width, channels), name="pixels")
    outputs = [model(inputs, training=False)]
    for number in range(1, settings.views):
        shifts, zooms = generator.uniform(-settings.move, settings.move, (2, 2))
        mirrored = settings.mirror and number % 2 == 1
        down = axis_map(height, shifts[0], 1 + zooms[0], False)
        across = axis_map(width, shifts[1], 1 + zooms[1], mirrored)
        x = inputs
        for equation, matrix, axis in (("bhwc,hv->bvwc", down, "y"), ("bhwc,wv->bhvc", across, "x")):
            move = keras.layers.EinsumDense(
                equation, inputs.shape[1:], trainable=False, dtype="float32", name=f"view{number}_{axis}"
            )
            x = move(x)
            move.set_weights([matrix])
        outputs.append(model(x, training=False))
    average = keras.layers.Average(dtype="float32", name="output")
    return Derived(keras.Model(inputs, average(outputs), name="views"), None, settings.views)


REMEDY = Remedy(
    sentence="The probabilities of an image and of its mirrored, shifted and zoomed copies are averaged.",
    source='Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", 2012',
    settings=Tta,
    on_features="Cached features have no pixels to move; name it in a variant that trains on pixels.",
    refuses_features=True,
    derived=_view,
)
