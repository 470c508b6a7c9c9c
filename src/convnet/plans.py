"""Which jobs a variant on a dataset consists of."""

from pathlib import Path

from convnet.jobs import Job, UsedBackbone
from convnet.params import Params
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
        UserError: a file of an earlier stage is missing.
    """
    recipe = params.recipe(dataset, variant)
    described = read_json(arrays / "dataset.json")
    digests = [described["digest"]]
    used = None
    if backbone is not None and recipe.backbone and recipe.last_layer and recipe.pooling:
        weights = weights_file(backbone)
        digests.append(file_digest(weights))
        settings = params.backbones[recipe.backbone]
        used = UsedBackbone(recipe.backbone, settings, weights, recipe.last_layer, recipe.pooling)
    if features is not None and recipe.kind == "features":
        digests.append(read_json(features / "features.json")["digest"])
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
            start_model=start / f"seed-{seed}.keras" if start else None,
            start_digest=started[seed]["weights_digest"] if start else None,
        )
        for seed in params.run.seeds
    ]


def weights_file(backbone: Path) -> Path:
    """Return the weight file in the folder of the backbone stage."""
    return backbone / str(read_json(backbone / "backbone.json")["file"])
