"""Pretrain a compact backbone on rendered source classes."""

from pathlib import Path
from typing import Any

from convnet.engine.run import run_jobs
from convnet.evaluation.metrics import accuracy
from convnet.jobs.predictions import load_predictions
from convnet.jobs.pretraining import pretraining_job
from convnet.jobs.store import timing
from convnet.params.schema import Params
from convnet.system.files import file_digest, link, read_json, write_json


def pretrain_backbone(params: Params, name: str, destination: Path) -> dict[str, Any]:
    """Train on the source classes as one job, and store the model and its accuracy on unseen drawings."""
    job = pretraining_job(params, name)
    run_jobs([job], params)
    link(job.result / "model.keras", destination / "source.keras")
    write_json(destination / "timing.json", timing(job))
    test = load_predictions(job.result / "predictions.npz")[job.seed]["test"]
    return {
        "file": "source.keras",
        "sha256": file_digest(destination / "source.keras"),
        "origin": "trained here",
        "source_classes": list(job.classes),
        "source_images": read_json(job.arrays / "dataset.json")["counts"],
        "source_test_accuracy": accuracy(test.probabilities, test.labels),
    }
