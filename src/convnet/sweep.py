"""The size sweep: the same training on nested subsets of the images, to see what more images would bring."""

from collections.abc import Mapping, Sequence
from typing import Any

from convnet.jobs import Job
from convnet.learning_curve import learning_curve
from convnet.metrics import accuracy
from convnet.predictions import load_predictions


def summarise_sweep(jobs: Mapping[str, Sequence[Job]], rendered: bool) -> dict[str, Any]:
    """Return the curve of every variant over the number of training images.

    Args:
        jobs: finished jobs by variant, every share and seed.
        rendered: the pictures are rendered, and the sentences say so.

    Returns:
        By variant: points (training images, seed, test accuracy, generalisation gap) and curve, the fitted power law.
    """
    variants = {}
    for variant, of_variant in jobs.items():
        points = [_point(job) for job in of_variant]
        errors: dict[int, list[float]] = {}
        for point in points:
            errors.setdefault(point["training_images"], []).append(1.0 - point["test_accuracy"])
        variants[variant] = {"points": points, "curve": learning_curve(errors, rendered)}
    return variants


def _point(job: Job) -> dict[str, Any]:
    predictions = load_predictions(job.result / "predictions.npz")[job.seed]
    measured = {split: accuracy(seen.probabilities, seen.labels) for split, seen in predictions.items()}
    return {
        "training_images": len(predictions["train"].labels),
        "seed": job.seed,
        "test_accuracy": measured["test"],
        "generalisation_gap": measured["train"] - measured["validation"],
    }
