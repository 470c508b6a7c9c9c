"""What the variants ask of the features of a frozen backbone."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from convnet.data.splits import SPLITS
from convnet.jobs.feature_sets import FeatureSet, recipes_by_set
from convnet.params.recipe import HeadRecipe
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
        params.yaml), last_layer, image_size, and views (`Views` as a mapping, or None). That is the first set of
        features; `others`, if the run has several, is a list of the same, each with its `folder` and its `backbone`.

    Raises:
        UserError: two variants ask for different views of the same features.
    """
    sets = recipes_by_set(params, dataset)
    plans = [_plan_set(params, used, recipes) for used, recipes in sets.items()] or [{"needed": False}]
    others = [
        {"folder": used.folder, "backbone": used.backbone} | plan
        for used, plan in zip(list(sets)[1:], plans[1:], strict=True)
    ]
    return plans[0] | ({"others": others} if others else {})


def _plan_set(params: Params, used: FeatureSet, recipes: Sequence[HeadRecipe]) -> dict[str, Any]:
    if not any(recipe.kind == "features" for recipe in recipes):
        return {"needed": False}
    views = plan_views(params, recipes)
    return {
        "needed": True,
        "backbone": used.backbone,
        "settings": params.backbones[used.backbone].model_dump(mode="json"),
        "last_layer": used.last_layer,
        "image_size": used.image_size,
        "views": views and {**asdict(views), "knobs": views.knobs.model_dump()},
    }


def plan_views(params: Params, recipes: Sequence[HeadRecipe]) -> Views | None:
    """Return the augmented copies that variants with the same features ask for, or None.

    Raises:
        UserError: two variants ask for different ones; the features are shared by all.
    """
    # Where seeds have their own splits, any image may become a training image.
    splits = SPLITS if params.run.own_splits else ("train",)
    asked = {
        recipe.variant: Views(recipe.augmentation, recipe.augmented_views, splits, params.split.seed)
        for recipe in recipes
        if recipe.augmentation and recipe.augmented_views
    }
    first = next(iter(asked), None)
    for variant, views in asked.items():
        if first is not None and views != asked[first]:
            raise UserError(
                f"params.yaml: variants {first} and {variant} ask for different cached augmented views of "
                f"{recipes[0].dataset}; give them the same augmentation and augmented_views, or run them apart"
            )
    return asked[first] if first is not None else None


def views_of(plan: Mapping[str, Any]) -> Views:
    """Return the views of a plan that has some; see `plan_features`."""
    views = plan["views"]
    return Views(Augmentation(**views["knobs"]), views["count"], tuple(views["splits"]), views["seed"])
