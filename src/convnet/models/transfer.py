"""The backbone and its head as one network."""

import hashlib

import keras
import numpy as np
from keras import layers

from convnet.models.augmentation import RandomAffine
from convnet.models.backbones import rescale
from convnet.params.backbone import Level
from convnet.params.training import Augmentation


def with_augmentation(classifier: keras.Model, knobs: Augmentation, seed: int) -> keras.Model:
    """Return a model that augments its input and then calls `classifier`, whose weights it shares.

    Only this outer model trains; the classifier, which is saved and predicts, holds no augmentation.
    """
    inputs = keras.Input(classifier.input_shape[1:], name="pixels")
    augmented = RandomAffine(**knobs.model_dump(), seed=seed, name="augmentation")(inputs)
    return keras.Model(inputs, classifier(augmented), name="augmented")


def build_transfer(
    backbone: keras.Model, input_range: tuple[Level, Level], pooling: str, head: keras.Model
) -> keras.Model:
    """Join a cut backbone and a head: pixels 0..255 (batch, height, width, 3) -> outputs (batch, units).

    The backbone is called with `training=False`: batch normalisation keeps its statistics, also where layers are
    unfrozen.
    """
    inputs = keras.Input(backbone.input_shape[1:], name="pixels")
    x = backbone(rescale(input_range)(inputs), training=False)
    pool = layers.Flatten(name="pool") if pooling == "flatten" else layers.GlobalAveragePooling2D(name="pool")
    return keras.Model(inputs, head(pool(x)), name="transfer")


def compute_in(model: keras.Model, policy: keras.DTypePolicy) -> None:
    """Let a loaded model compute by `policy`; the output stays in float32, as in a model built under it.

    A file keeps each layer's policy, so what is set for the process does not reach it.
    """
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            compute_in(layer, policy)
        elif layer.name != "output":
            layer.dtype_policy = policy


def without_training(model: keras.Model) -> keras.Model:
    """Return the same network without optimizer and loss, which would triple the size of its file."""
    return keras.Model(model.input, model.output, name=model.name)


def weights_digest(model: keras.Model) -> str:
    """Return the SHA-256 over the names, shapes, types and bytes of all the model's variables."""
    digest = hashlib.sha256()
    for variable in model.variables:
        value = np.ascontiguousarray(variable.numpy() if hasattr(variable, "numpy") else np.asarray(variable))
        digest.update(f"{variable.name} {value.shape} {value.dtype}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
