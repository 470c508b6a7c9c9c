"""The networks: the course's CNN, heads on a frozen backbone, and backbones cut at a named layer."""

import difflib
from pathlib import Path

import keras
import numpy as np
from keras import layers

from convnet.models.applications import build_application
from convnet.models.hub import build_preset
from convnet.params.backbone import Backbone, Level
from convnet.system.errors import UserError

BACKBONE = "backbone"  # the name of the nested backbone in every saved transfer model


def build_source_classifier(image_size: tuple[int, int], filters: tuple[int, ...], classes: int) -> keras.Model:
    """Build what the compact backbone is pretrained as: pixels 0..255 (batch, height, width, 3) -> (batch, classes)."""
    inputs = keras.Input((*image_size, 3), name="pixels")
    scaled = rescale((-1.0, 1.0))(inputs)
    return keras.Model(inputs, build_compact(image_size, filters, classes)(scaled), name="source_classifier")


def build_compact(image_size: tuple[int, int], filters: tuple[int, ...], classes: int) -> keras.Model:
    """Build the compact backbone with its source head: (batch, height, width, 3) in [-1, 1] -> (batch, classes).

    Each block is a 3x3 convolution, batch normalisation, relu and 2x2 max-pooling; the spatial mean feeds the softmax,
    so that what the blocks learn does not depend on where things are.
    """
    inputs = keras.Input((*image_size, 3), name="scaled")
    x = inputs
    for number, count in enumerate(filters, start=1):
        x = layers.Conv2D(count, 3, padding="same", use_bias=False, name=f"block{number}_conv")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"block{number}_norm")(x)
        x = layers.Activation("relu", name=f"block{number}_relu")(x)
        x = layers.MaxPooling2D(2, name=f"block{number}_pool")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    outputs = layers.Dense(classes, activation="softmax", dtype="float32", name="source")(x)
    return keras.Model(inputs, outputs, name=BACKBONE)


def load_backbone(name: str, backbone: Backbone, weights: Path, image_size: tuple[int, int]) -> keras.Model:
    """Return the whole pretrained backbone without its top, frozen.

    Args:
        name: the backbone's name in params.yaml.
        backbone: its entry.
        weights: the weight file that the backbone stage checked (`.h5`, or `.keras` for the compact one).
        image_size: (height, width) it is built for.

    Raises:
        UserError: the file holds other layers than the architecture.
    """
    try:
        if backbone.architecture == "compact":
            source = keras.saving.load_model(weights, safe_mode=True, compile=False).get_layer(BACKBONE)
            filters = tuple(layer.filters for layer in source.layers if isinstance(layer, layers.Conv2D))
            model = build_compact(image_size, filters, source.output_shape[-1])
            model.set_weights(source.get_weights())
        elif backbone.is_preset:
            model = build_preset(weights, image_size)
        else:
            model = build_application(backbone.architecture, backbone.alpha, weights, image_size, backbone.channels)
    except (ValueError, OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"backbone {name}: {weights.name} does not fit {backbone.architecture} ({reason}); "
            f"check backbones.{name} in params.yaml"
        ) from error
    model.trainable = False  # as an attribute: the constructor's argument would freeze nothing
    return model


def find_layer(model: keras.Model, name: str, key: str) -> keras.Operation:
    """Return the layer called `name`, or the sum of two layers' outputs, which Keras counts apart.

    Raises:
        UserError: there is none; the sentence gives the nearest names. `key` is the place where the name was written.
    """
    found = {operation.name: operation for operation in model.operations}
    if name not in found:
        near = difflib.get_close_matches(name, found, n=3, cutoff=0.3) or list(found)[-3:]
        raise UserError(f"{key} is {name!r}, but the network has no such layer; nearest: {', '.join(near)}")
    return found[name]


def cut(model: keras.Model, last_layer: str, key: str) -> keras.Model:
    """Return `model` up to and with `last_layer`, frozen, named `backbone`.

    Raises:
        UserError: the layer is missing, it has no feature maps (batch, height, width, channels), or a kernel up to it
            holds only zeros.
    """
    output = find_layer(model, last_layer, key).output
    if len(output.shape) != 4:
        raise UserError(
            f"{key} is {last_layer!r}, whose output has no height and width any more; choose a layer before it"
        )
    # The one input itself: a list of one would have to be called with a list.
    shortened = keras.Model(model.input, output, name=BACKBONE)
    shortened.trainable = False
    if empty := next((layer for layer in shortened.layers if _is_empty(layer)), None):
        shared = shared_layers(shortened)
        before = [layer for layer in shared if shortened.operations.index(layer) < shortened.operations.index(empty)]
        raise UserError(
            f"{key} is {last_layer!r}, but the weights of {empty.name} before it are all zero, so its output holds "
            f"nothing; choose {before[-1].name} or a layer before that, or another weight file"
        )
    return shortened


def _is_empty(layer: keras.Layer) -> bool:
    """Return whether a kernel of the layer holds only zeros."""
    kernels = [weight for weight in layer.weights if "kernel" in weight.name]
    return any(not np.any(keras.ops.convert_to_numpy(kernel)) for kernel in kernels)


def rescale(input_range: tuple[Level, Level]) -> keras.Layer:
    """Return the layer that takes pixels 0..255 to the range a backbone was trained on, by channel if that differs."""
    low, high = (np.array(level, np.float64) for level in input_range)
    return layers.Rescaling(((high - low) / 255).tolist(), offset=low.tolist(), name="rescale")


def shared_layers(model: keras.Model) -> list[keras.Operation]:
    """Return the layers through which every path from the input to the output runs, in order; sums count as layers."""
    place = {id(operation): number for number, operation in enumerate(model.operations)}
    shared = [True] * len(place)
    for operation in model.operations:
        for tensor in keras.tree.flatten(operation.input) if place[id(operation)] else ():
            start = place[id(tensor._keras_history.operation)]
            for between in range(start + 1, place[id(operation)]):
                shared[between] = False
    return [operation for operation in model.operations if shared[place[id(operation)]]]


def unfreeze_from(model: keras.Model, layer_name: str, key: str) -> list[str]:
    """Make the backbone's layers from `layer_name` on trainable, batch normalisation excepted; return their names."""
    backbone = model.get_layer(BACKBONE)
    first = find_layer(backbone, layer_name, key)
    backbone.trainable = True
    position = backbone.operations.index(first)
    for number, layer in enumerate(backbone.operations):
        if isinstance(layer, layers.Layer):
            layer.trainable = number >= position and not isinstance(layer, layers.BatchNormalization)
    return [layer.name for layer in backbone.layers if layer.trainable and layer.weights]


def layer_table(backbone: keras.Model, last_layer: str) -> list[dict[str, object]]:
    """Return one row per layer: name, type, output shape, parameters, frozen, and which is the cut."""
    end = [operation.name for operation in backbone.operations].index(last_layer)
    return [
        {
            "name": layer.name,
            "type": type(layer).__name__,
            "output_shape": list(layer.output.shape[1:]),
            "parameters": int(layer.count_params()) if isinstance(layer, layers.Layer) else 0,
            "frozen": not (isinstance(layer, layers.Layer) and layer.trainable),
            "used": number <= end,
            "cut": number == end,
        }
        for number, layer in enumerate(backbone.operations)
    ]
