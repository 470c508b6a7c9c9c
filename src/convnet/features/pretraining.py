"""Pretrain a compact backbone on rendered source classes."""

import tempfile
from pathlib import Path
from typing import Any

from convnet.data.arrays import prepare_arrays
from convnet.data.manifest import build_manifest
from convnet.engine.run import run_jobs
from convnet.evaluation.metrics import accuracy
from convnet.jobs.job import STORE, Job, source_digest
from convnet.jobs.predictions import load_predictions
from convnet.jobs.store import keep, timing
from convnet.params.backbone import Pretrain
from convnet.params.recipe import PretrainRecipe
from convnet.params.schema import Params
from convnet.rendering.datasets import render_archive
from convnet.system.files import file_digest, json_digest, link, read_json, write_json


def pretrain_backbone(params: Params, name: str, pretrain: Pretrain, destination: Path) -> dict[str, Any]:
    """Train on the source classes as one job, and store the model and its accuracy on unseen drawings."""
    arrays = _source_arrays(params, pretrain)
    described = read_json(arrays / "dataset.json")
    job = Job(
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
    run_jobs([job], params)
    link(job.result / "model.keras", destination / "source.keras")
    write_json(destination / "timing.json", timing(job))
    test = load_predictions(job.result / "predictions.npz")[job.seed]["test"]
    return {
        "file": "source.keras",
        "sha256": file_digest(destination / "source.keras"),
        "origin": "trained here",
        "source_classes": described["classes"],
        "source_images": described["counts"],
        "source_test_accuracy": accuracy(test.probabilities, test.labels),
    }


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
