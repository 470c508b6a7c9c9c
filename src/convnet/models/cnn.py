"""The course's CNN and the head on a frozen backbone."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import layers

from convnet.models.heads import Head
from convnet.params.training import Network

HEAD = "head"


def _block(x: keras.KerasTensor, filters: int, number: int) -> keras.KerasTensor:
    x = layers.Conv2D(filters, 3, activation="relu", name=f"conv{number}")(x)
    return layers.MaxPooling2D(2, name=f"pool{number}")(x)


def _flatten(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Flatten(name="flatten")(x)


@dataclass(frozen=True)
class Parts:
    """The parts of the CNN that a remedy may replace.

    Attributes:
        block: (maps, filters, number from 1) -> maps of half the side.
        bridge: maps -> features, before the dense layer.
    """

    block: Callable[[keras.KerasTensor, int, int], keras.KerasTensor] = _block
    bridge: Callable[[keras.KerasTensor], keras.KerasTensor] = _flatten


def build_cnn(
    image_size: tuple[int, int], network: Network, dropout: float, head: Head, parts: Parts | None = None
) -> keras.Model:
    """Build the course's CNN: pixels 0..255 (batch, height, width, 3) -> outputs (batch, head.units).

    Source: Conv 16-32-64, 3x3 relu, each followed by 2x2 max-pooling, Flatten, Dense 512 relu, as in the course's
    cats vs dogs notebook; the rescaling by 1/255 is inside, so the saved model takes pixels.
    """
    parts = parts or Parts()
    inputs = keras.Input((*image_size, 3), name="pixels")
    x = layers.Rescaling(1 / 255, name="rescale")(inputs)
    for number, filters in enumerate(network.filters, start=1):
        x = parts.block(x, filters, number)
    return keras.Model(inputs, _top(parts.bridge(x), network.dense, dropout, head), name="cnn")


def build_head(features: int, dense: int | None, dropout: float, head: Head) -> keras.Model:
    """Build the part of a transfer model that is trained: features (batch, features) -> outputs (batch, head.units).

    Without a dense layer, where `dense` is None, it is a logistic regression.

    Source: Dense 1024 relu, dropout 0.2, output, as in the course's transfer learning notebook.
    """
    inputs = keras.Input((features,), name="features")
    return keras.Model(inputs, _top(inputs, dense, dropout, head), name=HEAD)


def _top(x: keras.KerasTensor, dense: int | None, dropout: float, head: Head) -> keras.KerasTensor:
    if dense is not None:
        x = layers.Dense(dense, activation="relu", name="dense")(x)
    if dropout > 0.0:
        x = layers.Dropout(dropout, name="dropout")(x)
    # float32: probabilities and their loss stay exact under mixed precision.
    return layers.Dense(head.units, activation=head.activation, dtype="float32", name="output")(x)
