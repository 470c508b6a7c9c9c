"""The networks of a run to look into, and access to their parts."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from convnet.inference.loading import load_model_checked
from convnet.jobs.feature_sets import FeatureSet, set_of
from convnet.models.backbones import BACKBONE
from convnet.params.recipe import FineTuneRecipe, HeadRecipe, PixelRecipe, resolve
from convnet.params.schema import Params
from convnet.system.language import mark

FROZEN = mark("the frozen backbone")


@dataclass(frozen=True)
class Network:
    """A trained network to look into.

    Attributes:
        variant: its variant.
        name: its name in titles.
        shared_by: the variants with the same feature maps and filters.
        backbone: the name of its backbone; empty without one.
        layers: of its backbone, to be shown; empty without a backbone.
        image_size: (height, width) of the images that it sees.
        example: the first of its kind, with or without a backbone: its filters and Grad-CAM are shown too.
    """

    variant: str
    name: str
    shared_by: tuple[str, ...]
    backbone: str
    layers: tuple[str, ...]
    image_size: tuple[int, int]
    example: bool


def plan_networks(params: Params, dataset: str) -> list[Network]:
    """Return the networks to look into: those without a backbone, each frozen backbone once, and fine-tuned ones."""
    trained = [variant for variant in params.run.variants if not params.base_of(variant)]
    recipes = {variant: resolve(params, dataset, variant) for variant in trained}
    plain = [variant for variant, recipe in recipes.items() if isinstance(recipe, PixelRecipe)]
    tuned = {variant: recipe for variant, recipe in recipes.items() if isinstance(recipe, FineTuneRecipe)}
    frozen: dict[FeatureSet, list[str]] = {}
    for variant, recipe in recipes.items():
        if isinstance(recipe, HeadRecipe) and params.backbones[recipe.backbone].is_preset:
            print(f"{variant}: {recipe.backbone} is a KerasHub preset without feature maps to draw", file=sys.stderr)
        elif isinstance(recipe, HeadRecipe):
            frozen.setdefault(set_of(recipe), []).append(variant)
    networks = [
        Network(variant, variant, (variant,), "", (), recipes[variant].image_size, variant == plain[0])
        for variant in plain
    ]
    for number, (used, variants) in enumerate(frozen.items()):
        name = FROZEN if len(frozen) == 1 else f"{FROZEN} of {variants[0]}"
        layers = params.backbones[used.backbone].explain_layers
        shared = tuple(variants)
        networks.append(Network(shared[0], name, shared, used.backbone, layers, used.image_size, number == 0))
    for variant, recipe in tuned.items():
        layers = params.backbones[recipe.backbone].explain_layers
        example = not frozen and variant == next(iter(tuned))
        networks.append(Network(variant, variant, (variant,), recipe.backbone, layers, recipe.image_size, example))
    return networks


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
