"""The networks of a run to look into, and access to their parts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from convnet.inference.loading import load_model_checked
from convnet.models.backbones import BACKBONE
from convnet.params.recipe import FineTuneRecipe, PixelRecipe, resolve
from convnet.params.schema import Params

FROZEN = "the frozen backbone"


@dataclass(frozen=True)
class Network:
    """A trained network to look into.

    Attributes:
        variant: its variant.
        name: its name in titles.
        shared_by: the variants with the same feature maps and filters.
        layers: of its backbone, to be shown; empty without a backbone.
        example: the first of its kind, with or without a backbone: its filters and Grad-CAM are shown too.
    """

    variant: str
    name: str
    shared_by: tuple[str, ...]
    layers: tuple[str, ...]
    example: bool


def plan_networks(params: Params, dataset: str) -> list[Network]:
    """Return the networks to look into: those without a backbone, a frozen backbone once, and fine-tuned ones."""
    recipes = {variant: resolve(params, dataset, variant) for variant in params.run.variants}
    plain = [variant for variant, recipe in recipes.items() if isinstance(recipe, PixelRecipe)]
    tuned = [variant for variant, recipe in recipes.items() if isinstance(recipe, FineTuneRecipe)]
    frozen = [variant for variant in recipes if variant not in plain + tuned]
    layers = params.backbones[params.datasets[dataset].backbone].explain_layers
    networks = [Network(variant, variant, (variant,), (), variant == plain[0]) for variant in plain]
    if frozen:
        networks.append(Network(frozen[0], FROZEN, tuple(frozen), layers, True))
    return networks + [
        Network(variant, variant, (variant,), layers, not frozen and variant == tuned[0]) for variant in tuned
    ]


def load_network(path: Path) -> keras.Model:
    """Load a saved network and free the memory of the one before."""
    keras.backend.clear_session()
    return load_model_checked(path)[0]


def is_transfer(model: keras.Model) -> bool:
    """Return whether a saved network holds a nested backbone."""
    return BACKBONE in {layer.name for layer in model.layers}


def convolutional_part(model: keras.Model) -> keras.Model:
    """Return the nested backbone of a saved network, or the network itself if it has none."""
    return model.get_layer(BACKBONE) if is_transfer(model) else model


def to_numpy(tensor: Any) -> NDArray[np.float32]:
    """Return a tensor as float32: NumPy knows no bfloat16, in which networks may compute."""
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))
