"""Jobs that train a compact backbone on rendered source classes."""

import tempfile
from pathlib import Path

from convnet.data.arrays import prepare_arrays
from convnet.data.manifest import build_manifest
from convnet.jobs.feature_sets import recipes_by_set
from convnet.jobs.job import STORE, Job, source_digest
from convnet.jobs.store import keep
from convnet.params.backbone import Pretrain
from convnet.params.recipe import PretrainRecipe
from convnet.params.schema import Params
from convnet.rendering.datasets import render_archive
from convnet.system.files import file_digest, json_digest, read_json, write_json


def pretraining_jobs(params: Params) -> list[Job]:
    """Return the jobs of all backbones of the run that are trained here."""
    used = {features.backbone for dataset in params.run.datasets for features in recipes_by_set(params, dataset)}
    return [pretraining_job(params, name) for name in sorted(used) if params.backbones[name].pretrain]


def pretraining_job(params: Params, name: str) -> Job:
    """Return the job of a backbone that is trained here; its source classes are drawn first."""
    pretrain = params.backbones[name].pretrain
    assert pretrain is not None
    arrays = _source_arrays(params, pretrain)
    described = read_json(arrays / "dataset.json")
    return Job(
        recipe=PretrainRecipe(
            dataset=pretrain.rendered,
            variant=f"backbone {name}",
            image_size=pretrain.image_size,
            filters=pretrain.filters,
            fit=pretrain.fit,
            augmentation=pretrain.augmented_by(params.augmentation),
        ),
        seed=pretrain.seed,
        classes=tuple(described["classes"]),
        arrays=arrays,
        data_digest=described["digest"],
        threads=params.engine.threads_per_job,
        seconds_between_checkpoints=params.checkpoints.seconds_between,
    )


def _source_arrays(params: Params, pretrain: Pretrain) -> Path:
    """Draw and pack the source classes, or find them in the job store: several datasets share one backbone."""
    key = json_digest(
        {
            "source": pretrain.model_dump(mode="json", include={"rendered", "images_per_class", "image_size", "seed"}),
            "images": params.images.model_dump(),
            "split": params.split.model_dump(),
            "code": source_digest(["rendering"]),
        }
    )
    kept = STORE / f"source-{key}"
    if kept.is_dir():
        return kept
    STORE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="source-", suffix=".partial", dir=STORE) as folder:
        archives, arrays = Path(folder) / "archives", Path(folder) / "arrays"
        archive = archives / f"{pretrain.rendered}.zip"
        render_archive(pretrain.rendered, pretrain.images_per_class, pretrain.seed, pretrain.image_size, archive)
        source = {"file": archive.name, "split": None, "sha256": file_digest(archive)}
        listed = {"dataset": pretrain.rendered, "kind": "rendered", "sources": [source]}
        write_json(archives / "sources.json", listed)
        manifest, _ = build_manifest(archives, limits=params.images, split=params.split)
        prepare_arrays(manifest, archives, pretrain.image_size, params.images, arrays)
        keep(arrays, kept)
    return kept
