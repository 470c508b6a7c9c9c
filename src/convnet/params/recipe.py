"""Recipes: the settings of one variant on one dataset, resolved from params.yaml."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from convnet.params.messages import merge
from convnet.params.remedies import check_together, find_remedies, read_settings
from convnet.params.schema import Params
from convnet.params.section import Counts, ImageSize, Pooling, Positive, Section, Share
from convnet.params.training import Augmentation, FineTune, Fit, Network, Transfer
from convnet.system.errors import UserError


class CommonRecipe(Section):
    """The settings that every kind of training has. A recipe decides the result, besides the data and the seed."""

    dataset: str
    variant: str
    image_size: ImageSize  # (height, width)
    fit: Fit
    augmentation: Augmentation | None
    remedies: dict[str, dict[str, Any]] = Field(default_factory=dict)  # by name, with all settings of each

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not used, so that keys of jobs stay where a new setting is added."""
        content: dict[str, Any] = serialise(self)
        return {name: value for name, value in content.items() if name != "remedies" or value}


class PixelRecipe(CommonRecipe):
    """The course's CNN, trained on pixels."""

    kind: Literal["pixels"] = "pixels"
    network: Network
    dropout: Share


class BackboneRecipe(CommonRecipe):
    """A dense head on a backbone that is cut at `last_layer`."""

    backbone: str
    last_layer: str
    pooling: Pooling
    dense: Positive
    dropout: Share


class HeadRecipe(BackboneRecipe):
    """The head alone is trained: on cached features, or on pixels where every epoch draws new views."""

    kind: Literal["features", "pixels"] = "features"
    augmented_views: Positive | None = None  # cached augmented copies of each training image


class FineTuneRecipe(BackboneRecipe):
    """Training goes on from the variant `start`, with the backbone unfrozen from `trainable_from` up to the cut."""

    kind: Literal["fine_tune"] = "fine_tune"
    start: str
    trainable_from: str


class PretrainRecipe(CommonRecipe):
    """A compact backbone is trained on drawn images."""

    kind: Literal["pretrain"] = "pretrain"
    filters: Counts


VariantRecipe = PixelRecipe | HeadRecipe | FineTuneRecipe
Recipe = VariantRecipe | PretrainRecipe


def resolve(params: Params, dataset: str, variant: str) -> VariantRecipe:
    """Return the recipe of one variant on one dataset.

    Raises:
        UserError: the dataset or the variant is unknown, the images are too small for the network or the backbone, or
            a plateau has a second rule for the rate or the end.
    """
    recipe = _recipe(params, dataset, variant)
    check_length(recipe.fit, f"{dataset}/{variant}")
    _check_remedies(recipe)
    return recipe


def other_sizes(params: Params, dataset: str) -> list[tuple[int, int]]:
    """Return the image sizes that backbones of the run see, besides the dataset's own."""
    main = params.dataset(dataset).image_size
    sizes = {resolve(params, dataset, variant).image_size for variant in params.run.feature_variants}
    return sorted(sizes - {main})


def check_length(fit: Fit, where: str) -> None:
    """Reject a plateau with a rate schedule or with early stopping.

    Raises:
        UserError: it has one; the sentence starts with `where`.
    """
    if fit.length != "plateau":
        return
    if fit.learning_rate_schedule != "constant":
        raise UserError(
            f"params.yaml: {where} has length: plateau, which lowers the rate itself, and learning_rate_schedule: "
            f"{fit.learning_rate_schedule}; set this to constant"
        )
    if fit.early_stopping is not None:
        raise UserError(
            f"params.yaml: {where} has length: plateau, which ends by patience, and early_stopping: "
            f"{fit.early_stopping}; leave this blank"
        )


def _recipe(params: Params, dataset: str, variant: str) -> VariantRecipe:
    data, diff = params.dataset(dataset), params.variant(variant)
    common: dict[str, Any] = {
        "dataset": dataset,
        "variant": variant,
        "image_size": data.image_size,
        "augmentation": knobs(params, variant),
        "remedies": remedies_of(params, variant),
    }
    if diff.fine_tune:
        return _fine_tune_recipe(params, common)
    if diff.transfer:
        return _head_recipe(params, common)
    recipe = PixelRecipe(
        **common,
        network=of_variant(params, params.of_dataset("network", dataset), variant),
        fit=of_variant(params, params.of_dataset("training", dataset), variant),
        dropout=diff.dropout,
    )
    needs = f"{len(recipe.network.filters)} convolutions with pooling need"
    _check_image_size(recipe, smallest_image(recipe.network), needs, "give fewer filters")
    return recipe


def _head_recipe(params: Params, common: Mapping[str, Any]) -> HeadRecipe:
    dataset, variant = common["dataset"], common["variant"]
    data = params.datasets[dataset]
    transfer: Transfer = of_variant(params, params.of_dataset("transfer", dataset), variant)
    augmented = common["augmentation"] is not None
    name = transfer.backbone or data.backbone
    backbone = params.backbones[name]
    of_dataset = data.last_layer if name == data.backbone else None
    recipe = HeadRecipe(
        **{**common, "image_size": transfer.image_size or data.image_size},
        kind="pixels" if augmented and transfer.fresh_views else "features",
        fit=_fit(transfer),
        backbone=name,
        last_layer=transfer.last_layer or of_dataset or backbone.last_layer,
        pooling=transfer.pooling,
        dense=transfer.dense,
        dropout=params.variants[variant].dropout,
        augmented_views=transfer.augmented_views if augmented and not transfer.fresh_views else None,
    )
    needs = f"backbone {name} takes images of"
    key = "transfer.image_size" if transfer.image_size else "image_size"
    _check_image_size(recipe, backbone.smallest_image, needs, "choose another backbone", key)
    return recipe


def _fine_tune_recipe(params: Params, common: Mapping[str, Any]) -> FineTuneRecipe:
    dataset = common["dataset"]
    tune: FineTune = of_variant(params, params.of_dataset("fine_tune", dataset), common["variant"])
    start = resolve(params, dataset, tune.start)
    assert isinstance(start, HeadRecipe)  # `check_params` refuses every other start
    if params.backbones[start.backbone].is_preset:
        raise UserError(
            f"params.yaml: {common['variant']} fine-tunes {tune.start}, whose backbone {start.backbone} is a KerasHub "
            "preset and stays frozen; start from a variant with another backbone, or take it out of the run"
        )
    return FineTuneRecipe(
        **{**common, "image_size": start.image_size},
        fit=_fit(tune),
        **{name: getattr(start, name) for name in BackboneRecipe.__annotations__},
        start=tune.start,
        trainable_from=tune.trainable_from or params.backbones[start.backbone].trainable_from,
    )


def of_variant(params: Params, section: Any, variant: str) -> Any:
    """Return a section with the changes of a variant."""
    overrides = params.variants[variant].overrides
    of_section = {key: value for key, value in overrides.items() if key in type(section).model_fields}
    return merge(section, of_section, f"variants.{variant}")


def knobs(params: Params, variant: str) -> Augmentation | None:
    """Return the augmentation of a variant, or None where it has none."""
    augmentation = params.variants[variant].augmentation
    if augmentation is False:
        return None
    changed = {} if augmentation is True else augmentation
    merged: Augmentation = merge(params.augmentation, changed, f"variants.{variant}.augmentation")
    return merged


def remedies_of(params: Params, variant: str) -> dict[str, dict[str, Any]]:
    """Return the settings of each remedy of a variant, by its name.

    Raises:
        UserError: a setting is not valid, or two remedies do not go together.
    """
    where = f"variants.{variant}"
    given = params.variants[variant].remedies
    found = {name: read_settings(name, given[name], where) for name in sorted(given)}
    used = {name: settings.model_dump() for name, settings in found.items() if settings is not None}
    diff = params.variants[variant]
    flags = [name for name in ("augmentation", "dropout") if getattr(diff, name)]
    check_together([*used, *flags], where)
    return used


def _check_remedies(recipe: VariantRecipe) -> None:
    """Reject a remedy that cannot act on what the variant trains."""
    where = f"params.yaml: variants.{recipe.variant}"
    for name in recipe.remedies:
        remedy = find_remedies()[name]
        if recipe.kind == "features" and remedy.refuses_features:
            raise UserError(f"{where} has {name}, but trains on cached features. {remedy.on_features}")
        if remedy.needs_features and recipe.kind != "features":
            raise UserError(f"{where} has {name}, which needs cached features; set transfer: true and no fresh_views")
        if remedy.network and not isinstance(recipe, PixelRecipe):
            raise UserError(f"{where} has {name}, which changes the small CNN, but trains on a backbone; take it out")


def smallest_image(network: Network) -> int:
    """Return the shortest side in pixels that leaves one pixel after every 3x3 convolution and 2x2 pooling."""
    side = 1
    for _ in network.filters:
        side = side * 2 + 2
    return side


def _check_image_size(recipe: CommonRecipe, least: int, needs: str, remedy: str, key: str = "image_size") -> None:
    if min(recipe.image_size) < least:
        raise UserError(
            f"params.yaml: datasets.{recipe.dataset}.{key} is {list(recipe.image_size)}, but {needs} at least "
            f"{least} pixels a side; make it larger or {remedy}"
        )


def _fit(section: Fit) -> Fit:
    """Return the part of a section with the settings of the training."""
    return Fit(**{name: getattr(section, name) for name in Fit.model_fields})
