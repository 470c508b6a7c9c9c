"""What the variants ask of the features of a frozen backbone."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from convnet.data.splits import SPLITS
from convnet.params.recipe import HeadRecipe, resolve
from convnet.params.schema import Params
from convnet.params.training import Augmentation
from convnet.system.errors import UserError


@dataclass(frozen=True)
class Views:
    """Augmented copies of images whose features are cached beside those of the images.

    Attributes:
        knobs: the augmentation.
        count: copies per image.
        splits: which splits get them.
        seed: decides the draws.
    """

    knobs: Augmentation
    count: int
    splits: tuple[str, ...]
    seed: int


def plan_features(params: Params, dataset: str) -> dict[str, Any]:
    """Return all that decides a dataset's features besides its images and the weights.

    Returns:
        needed: whether any variant of the run trains on features; if so, also backbone, settings (its entry in
        params.yaml), last_layer, image_size, and views (`Views` as a mapping, or None).

    Raises:
        UserError: two variants ask for different views; the features are shared by all.
    """
    recipes = [resolve(params, dataset, variant) for variant in params.run.feature_variants]
    first = next((recipe for recipe in recipes if recipe.kind == "features"), None)
    if first is None:
        return {"needed": False}
    views = plan_views(params, dataset)
    return {
        "needed": True,
        "backbone": first.backbone,
        "settings": params.backbones[first.backbone].model_dump(mode="json"),
        "last_layer": first.last_layer,
        "image_size": first.image_size,
        "views": views and {**asdict(views), "knobs": views.knobs.model_dump()},
    }


def plan_views(params: Params, dataset: str) -> Views | None:
    """Return the augmented copies that the run's variants ask for, or None.

    Raises:
        UserError: two variants ask for different ones; the features are shared by all.
    """
    recipes = [resolve(params, dataset, variant) for variant in params.run.feature_variants]
    # Where seeds have their own splits, any image may become a training image.
    splits = SPLITS if params.run.own_splits else ("train",)
    asked = {
        recipe.variant: Views(recipe.augmentation, recipe.augmented_views, splits, params.split.seed)
        for recipe in recipes
        if isinstance(recipe, HeadRecipe) and recipe.augmentation and recipe.augmented_views
    }
    first = next(iter(asked), None)
    for variant, views in asked.items():
        if first is not None and views != asked[first]:
            raise UserError(
                f"params.yaml: variants {first} and {variant} ask for different cached augmented views of {dataset}; "
                "give them the same augmentation and augmented_views, or run them apart"
            )
    return asked[first] if first is not None else None


def views_of(plan: Mapping[str, Any]) -> Views:
    """Return the views of a plan that has some; see `plan_features`."""
    views = plan["views"]
    return Views(Augmentation(**views["knobs"]), views["count"], tuple(views["splits"]), views["seed"])
