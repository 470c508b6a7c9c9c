"""Which jobs a variant on a dataset consists of."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from convnet.arrays import check_batch_size
from convnet.errors import UserError
from convnet.jobs import Job, UsedBackbone
from convnet.model_files import check_model
from convnet.params import Augmentation, Params
from convnet.predictions import SPLITS
from convnet.splits import images_at
from convnet.storage import file_digest, json_digest, read_json


def plan_jobs(
    params: Params,
    dataset: str,
    variant: str,
    arrays: Path,
    *,
    features: Path | None = None,
    backbone: Path | None = None,
    start: Path | None = None,
    share: float = 1.0,
) -> list[Job]:
    """Return one job per seed.

    Args:
        params: the whole of params.yaml.
        dataset: its name.
        variant: its name.
        arrays: folder of the prepare stage.
        features: folder of the features stage, for feature variants.
        backbone: folder of the backbone stage, for feature and fine-tune variants.
        start: folder of the variant that fine-tuning starts from.
        share: share of the training images, for the size sweep.

    Raises:
        UserError: a file of an earlier stage is missing, a model or weight file to start from is not the one that was
            made, or there are too few images for one batch.
    """
    recipe = params.recipe(dataset, variant)
    described = read_json(arrays / "dataset.json")
    images = images_at(share, described["counts"]["train"], len(described["classes"]))
    check_batch_size(f"{dataset}/{variant}", recipe.fit.batch_size, images, share)
    digests = [described["digest"]]
    used = None
    if backbone is not None and recipe.backbone and recipe.last_layer and recipe.pooling:
        weights, digest = _checked_weights(backbone)
        digests.append(digest)
        settings = params.backbones[recipe.backbone]
        used = UsedBackbone(recipe.backbone, settings, weights, recipe.last_layer, recipe.pooling)
    if features is not None and recipe.kind == "features":
        digests.append(read_json(features / "features.json")["digest"])
        if recipe.augmented_views is not None:
            digests.append(read_json(features / "views.json")["digest"])
    started = {seed["seed"]: seed for seed in read_json(start / "job.json")["seeds"]} if start else {}
    return [
        Job(
            recipe=recipe,
            seed=seed,
            classes=tuple(described["classes"]),
            arrays=arrays,
            data_digest=json_digest(digests),
            threads=params.engine.threads_per_job,
            resplit=params.run.resplit,
            share=share,
            features=features,
            backbone=used,
            start_model=check_model(start / f"seed-{seed}.keras").path if start else None,
            start_digest=started[seed]["weights_digest"] if start else None,
        )
        for seed in params.run.seeds
    ]


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
    recipes = [params.recipe(dataset, variant) for variant in params.run.feature_variants]
    first = next((recipe for recipe in recipes if recipe.kind == "features"), None)
    if first is None or first.backbone is None:
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
    recipes = [params.recipe(dataset, variant) for variant in params.run.feature_variants]
    # With resplit any image may become a training image.
    splits = SPLITS if params.run.resplit else ("train",)
    asked = {
        recipe.variant: Views(recipe.augmentation, recipe.augmented_views, splits, params.split.seed)
        for recipe in recipes
        if recipe.augmentation and recipe.augmented_views
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


def weights_file(backbone: Path) -> Path:
    """Return the weight file in the folder of the backbone stage.

    Raises:
        UserError: it is not there, or not the one that the stage described.
    """
    return _checked_weights(backbone)[0]


def _checked_weights(backbone: Path) -> tuple[Path, str]:
    """Return the weight file and its SHA-256, which is the one that backbone.json gives."""
    described = read_json(backbone / "backbone.json")
    path = backbone / str(described["file"])
    if not path.is_file():
        raise UserError(f"{path} is missing; run `dvc repro` to make it")
    digest = file_digest(path)
    if digest != described["sha256"]:
        raise UserError(
            f"{path} is refused: it is not the file that the backbone.json beside it describes (another SHA-256), so "
            "it was cut off or changed; run `dvc repro` to make it again"
        )
    return path, digest
