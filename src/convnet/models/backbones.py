"""The networks: the course's CNN, heads on a frozen backbone, and backbones cut at a named layer."""

import difflib
from pathlib import Path

import keras
from keras import layers

from convnet.params.backbone import Backbone
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
        elif backbone.architecture == "InceptionV3":
            model = keras.applications.InceptionV3(include_top=False, weights=None, input_shape=(*image_size, 3))
            model.load_weights(weights)
        else:
            model = keras.applications.MobileNetV2(
                include_top=False, weights=None, input_shape=(*image_size, 3), alpha=backbone.alpha or 1.0
            )
            model.load_weights(weights)
    except (ValueError, OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"backbone {name}: {weights.name} does not fit {backbone.architecture} ({reason}); "
            f"check backbones.{name} in params.yaml"
        ) from error
    model.trainable = False  # as an attribute: the constructor's argument would freeze nothing
    return model


def find_layer(model: keras.Model, name: str, key: str) -> keras.Layer:
    """Return the layer called `name`.

    Raises:
        UserError: there is none; the sentence gives the nearest names. `key` is the place where the name was written.
    """
    names = [layer.name for layer in model.layers]
    if name not in names:
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.3) or names[-3:]
        raise UserError(f"{key} is {name!r}, but the network has no such layer; nearest: {', '.join(near)}")
    return model.get_layer(name)


def cut(model: keras.Model, last_layer: str, key: str) -> keras.Model:
    """Return `model` up to and with `last_layer`, frozen, named `backbone`.

    Raises:
        UserError: the layer is missing, or it has no feature maps (batch, height, width, channels).
    """
    output = find_layer(model, last_layer, key).output
    if len(output.shape) != 4:
        raise UserError(
            f"{key} is {last_layer!r}, whose output has no height and width any more; choose a layer before it"
        )
    # The one input itself: a list of one would have to be called with a list.
    shortened = keras.Model(model.input, output, name=BACKBONE)
    shortened.trainable = False
    return shortened


def rescale(input_range: tuple[float, float]) -> keras.Layer:
    """Return the layer that takes pixels 0..255 to the range a backbone was trained on."""
    low, high = input_range
    return layers.Rescaling((high - low) / 255, offset=low, name="rescale")


def unfreeze_from(model: keras.Model, layer_name: str, key: str) -> list[str]:
    """Make the backbone's layers from `layer_name` on trainable, batch normalisation excepted; return their names."""
    backbone = model.get_layer(BACKBONE)
    first = find_layer(backbone, layer_name, key)
    backbone.trainable = True
    position = backbone.layers.index(first)
    for number, layer in enumerate(backbone.layers):
        layer.trainable = number >= position and not isinstance(layer, layers.BatchNormalization)
    return [layer.name for layer in backbone.layers if layer.trainable and layer.weights]


def layer_table(backbone: keras.Model, last_layer: str) -> list[dict[str, object]]:
    """Return one row per layer: name, type, output shape, parameters, frozen, and which is the cut."""
    names = [layer.name for layer in backbone.layers]
    end = names.index(last_layer)
    return [
        {
            "name": layer.name,
            "type": type(layer).__name__,
            "output_shape": list(layer.output.shape[1:]),
            "parameters": int(layer.count_params()),
            "frozen": not layer.trainable,
            "used": number <= end,
            "cut": number == end,
        }
        for number, layer in enumerate(backbone.layers)
    ]
