"""Gather the results of a variant's jobs, one per seed, into the folder that the pipeline keeps."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from convnet.jobs.job import Job, library_versions
from convnet.jobs.predictions import Predictions, load_predictions, save_predictions
from convnet.jobs.store import facts, timing
from convnet.system.errors import UserError
from convnet.system.files import file_digest, link, read_json, write_json, write_text

HISTORY = ("epoch", "accuracy", "loss", "validation_accuracy", "validation_loss", "learning_rate")


def gather(jobs: Sequence[Job], destination: Path) -> None:
    """Write `seed-<n>.keras`, history.csv, predictions.npz, job.json and timing.json of finished jobs.

    History and predictions are byte-identical for equal jobs; a saved model's archive holds dates, so its SHA-256 in
    job.json differs where its `weights_digest` does not.

    Args:
        jobs: the same recipe with different seeds, all finished.
        destination: an empty folder, or one that does not exist.
    """
    destination.mkdir(parents=True, exist_ok=True)
    by_seed: dict[int, Predictions] = {}
    history = io.StringIO()
    writer = csv.DictWriter(history, ("seed", *HISTORY), lineterminator="\n")
    writer.writeheader()
    for job in jobs:
        link(job.result / "model.keras", destination / f"seed-{job.seed}.keras")
        by_seed |= load_predictions(job.result / "predictions.npz")
        for row in read_json(job.result / "history.json"):
            writer.writerow({"seed": job.seed} | row)
    write_text(destination / "history.csv", history.getvalue())
    save_predictions(destination / "predictions.npz", by_seed)
    write_json(destination / "timing.json", {str(job.seed): timing(job) for job in jobs})
    files = {path.name: file_digest(path) for path in sorted(destination.iterdir())}
    first = jobs[0]
    described = read_json(first.arrays / "dataset.json")
    write_json(
        destination / "job.json",
        {
            "dataset": described["dataset"],
            "variant": first.recipe.variant,
            "kind": described["kind"],
            "images": described.get("images", {}),
            "classes": list(first.classes),
            "split": first.division.kind,
            "recipe": first.recipe.model_dump(mode="json"),
            "threads": first.threads,
            "versions": library_versions(),
            "seeds": [facts(job) for job in jobs],
            "keys": [job.key for job in jobs],
            "files": files,
        },
    )


def holds(folder: Path, jobs: Sequence[Job]) -> bool:
    """Return whether `folder` has the results of exactly these jobs, every file as it was written."""
    try:
        described = read_json(folder / "job.json")
        same = described["keys"] == [job.key for job in jobs]
        return same and all(file_digest(folder / name) == digest for name, digest in described["files"].items())
    except (UserError, OSError, KeyError, TypeError, AttributeError):  # missing, or of an earlier version
        return False
