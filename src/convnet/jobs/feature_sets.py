"""Features of one backbone, cut at one layer, for images of one size: a run has one set or several."""

from dataclasses import dataclass
from pathlib import Path

from convnet.params.recipe import BackboneRecipe, HeadRecipe, resolve
from convnet.params.schema import Params


@dataclass(frozen=True)
class FeatureSet:
    """What decides features besides the images.

    Attributes:
        backbone: its name in params.yaml.
        last_layer: the layer whose output is used.
        image_size: (height, width) in pixels.
    """

    backbone: str
    last_layer: str
    image_size: tuple[int, int]

    @property
    def folder(self) -> str:
        """The folder of its features; the first set of a dataset has none of its own."""
        height, width = self.image_size
        return f"{self.backbone}-{self.last_layer}-{height}x{width}"


def set_of(recipe: BackboneRecipe) -> FeatureSet:
    """Return the features that a recipe uses."""
    return FeatureSet(recipe.backbone, recipe.last_layer, recipe.image_size)


def recipes_by_set(params: Params, dataset: str) -> dict[FeatureSet, list[HeadRecipe]]:
    """Return the recipes of the feature variants of the run by their features, in the order of the run."""
    found: dict[FeatureSet, list[HeadRecipe]] = {}
    for variant in params.run.feature_variants:
        recipe = resolve(params, dataset, variant)
        assert isinstance(recipe, HeadRecipe)  # `check_params` refuses every other one
        found.setdefault(set_of(recipe), []).append(recipe)
    return found


def features_folder(features: Path, used: FeatureSet) -> Path:
    """Return the folder of a set: one of its own, or `features` for the first set of a dataset."""
    own = features / used.folder
    return own if own.is_dir() else features


def backbone_folder(backbones: Path, name: str) -> Path:
    """Return the folder of a backbone's weights: one of its own, or `backbones` for the first backbone of a dataset."""
    own = backbones / name
    return own if own.is_dir() else backbones
