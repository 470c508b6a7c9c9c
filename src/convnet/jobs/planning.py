"""Which jobs a variant on a dataset consists of."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from convnet.data.arrays import arrays_of_size, check_batch_size
from convnet.data.division import Division, training_images
from convnet.data.splits import images_at
from convnet.jobs.feature_sets import backbone_folder, features_folder, set_of
from convnet.jobs.job import Job, UsedBackbone
from convnet.jobs.model_files import check_model
from convnet.params.recipe import PixelRecipe, VariantRecipe, resolve
from convnet.params.schema import Params
from convnet.system.errors import UserError
from convnet.system.files import file_digest, json_digest, read_json


def plan_jobs(
    params: Params,
    variant: str,
    arrays: Path,
    *,
    features: Path | None = None,
    backbone: Path | None = None,
    start: Path | None = None,
    share: float = 1.0,
) -> list[Job]:
    """Return one job per seed; those of a derived variant have the jobs that they are made from.

    Args:
        params: the whole of params.yaml.
        variant: its name.
        arrays: folder of the prepare stage, whose dataset.json names the dataset.
        features: folder of the features stage, for feature variants.
        backbone: folder of the backbone stage, for feature and fine-tune variants.
        start: folder of the variant that fine-tuning starts from; seeds that it does not have are left out.
        share: share of the training images, for the size sweep.

    Raises:
        UserError: a file of an earlier stage is missing or changed, or there are too few images for one batch.
    """
    dataset = read_json(arrays / "dataset.json")["dataset"]
    recipe = resolve(params, dataset, variant)
    if base := params.base_of(variant):
        jobs = {
            job.seed: job for job in plan_jobs(params, base, arrays, features=features, backbone=backbone, start=start)
        }
        seeds, of_base = params.seeds_of(dataset, variant), params.seeds_of(dataset, base)
        _, size = params.trained_for(variant, 1)
        groups = {seed: of_base[place * size : (place + 1) * size] for place, seed in enumerate(seeds)}
        return [
            replace(jobs[group[0]], recipe=recipe, seed=seed, members=tuple(jobs[member] for member in group))
            for seed, group in groups.items()
            if jobs.keys() >= set(group)
        ]
    arrays = arrays_of_size(arrays, recipe.image_size)
    described = read_json(arrays / "dataset.json")
    _check_arrays(params, recipe, arrays, described, share)
    used, features, digests = _inputs(params, recipe, features, backbone)
    started = {seed["seed"]: seed for seed in read_json(start / "job.json")["seeds"]} if start else {}
    return [
        Job(
            recipe=recipe,
            seed=seed,
            classes=tuple(described["classes"]),
            arrays=arrays,
            data_digest=json_digest([described["digest"], *digests]),
            threads=params.engine.threads_per_job,
            seconds_between_checkpoints=params.checkpoints.seconds_between,
            division=_division(params, dataset, seed),
            share=share,
            features=features,
            backbone=used,
            start_model=check_model(start / f"seed-{seed}.keras").path if start else None,
            start_digest=started[seed]["weights_digest"] if start else None,
        )
        for seed in params.seeds_of(dataset, variant)
        if start is None or seed in started
    ]


def _inputs(
    params: Params, recipe: VariantRecipe, features: Path | None, backbone: Path | None
) -> tuple[UsedBackbone | None, Path | None, list[str]]:
    """Return the backbone and the folder of features of a variant, and the digests of both."""
    used, digests = None, []
    if backbone is not None and not isinstance(recipe, PixelRecipe):
        weights, digest = _checked_weights(backbone_folder(backbone, recipe.backbone))
        digests.append(digest)
        used = UsedBackbone(recipe.backbone, params.backbones[recipe.backbone], weights, recipe.last_layer)
    if features is not None and recipe.kind == "features":
        features = features_folder(features, set_of(recipe))
        digests.append(read_json(features / "features.json")["digest"])
        if recipe.augmented_views is not None:
            digests.append(read_json(features / "views.json")["digest"])
    return used, features, digests


def _check_arrays(
    params: Params, recipe: VariantRecipe, arrays: Path, described: Mapping[str, Any], share: float
) -> None:
    """Reject arrays of another image size, and fewer images than a batch."""
    if tuple(described["image_size"]) != recipe.image_size:
        raise UserError(f"{arrays} has no images of {list(recipe.image_size)} pixels; run `dvc repro` to pack them")
    images = training_images(described["counts"], params.run.split, len(params.run.seeds))
    images = images_at(share, images, len(described["classes"]))
    check_batch_size(f"{recipe.dataset}/{recipe.variant}", recipe.fit.batch_size, images, share)


def _division(params: Params, dataset: str, seed: int) -> Division:
    if params.run.split != "folds":
        return Division(params.run.split)
    seeds = params.run.seeds
    return Division("folds", seeds.index(seed), len(seeds), params.split_rules(dataset).seed)


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
