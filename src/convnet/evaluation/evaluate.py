"""All numbers of one variant on one dataset, from saved predictions."""

import csv
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convnet.evaluation.calibration import calibrate
from convnet.evaluation.metrics import evaluate_split, overfitting
from convnet.jobs.predictions import SPLITS, Predictions, load_predictions
from convnet.system.files import read_json


def evaluate(arrays: Path, model: Path, features: Path | None = None) -> dict[str, Any]:
    """Return every number that the comparison and the report need.

    Args:
        arrays: folder of the prepare stage.
        model: folder of the train, transfer or fine_tune stage.
        features: folder of the features stage, where the variant uses it.
    """
    described, job = read_json(arrays / "dataset.json"), read_json(model / "job.json")
    timing, predictions = read_json(model / "timing.json"), load_predictions(model / "predictions.npz")
    history = _read_history(model / "history.csv")
    classes, recipe = described["classes"], job["recipe"]
    seeds = []
    for trained in job["seeds"]:
        seed = trained["seed"]
        rows = [row for row in history if row["seed"] == seed]
        numbers = _of_seed(predictions[seed], classes) | overfitting(rows)
        test = predictions[seed]["test"]
        numbers |= {
            "seed": seed,
            "test_members": _members(arrays, test.index, job["resplit"]),
            "test_labels": test.labels.tolist(),
            "test_probabilities": np.round(test.probabilities.astype(np.float64), 6).tolist(),
            "seconds_training": timing[str(seed)]["seconds_training"],
            "images_per_second": timing[str(seed)]["images_per_second"],
        }
        seeds.append(numbers)
    first = job["seeds"][0]
    seconds = {"training": sum(run["seconds_training"] for run in seeds), "features": None}
    if features is not None and recipe["kind"] == "features":
        seconds["features"] = read_json(features / "timing.json")["seconds"]
        if recipe["augmented_views"] is not None:
            seconds["features"] += read_json(features / "views_timing.json")["seconds"]
    return {
        "dataset": job["dataset"],
        "variant": job["variant"],
        "kind": described["kind"],
        "classes": classes,
        "image_size": described["image_size"],
        "counts": described["counts"],
        "backbone": recipe.get("backbone"),
        "resplit": job["resplit"],
        "recipe": recipe,
        "parameters": first["parameters"],
        "trainable_parameters": first["trainable_parameters"],
        "model_bytes": first["model_bytes"],
        "seeds": seeds,
        "history": history,
        "seconds": seconds,
        "machine": timing[str(first["seed"])]["machine"],
        "versions": job["versions"],
    }


def summarise(evaluation: dict[str, Any]) -> dict[str, Any]:
    """Return the few numbers that `dvc metrics show` lists: means over seeds, and the spread of test accuracy."""
    seeds = evaluation["seeds"]
    accuracies = [run["splits"]["test"]["accuracy"] for run in seeds]
    summary: dict[str, Any] = {
        split: {key: mean(run["splits"][split][key] for run in seeds) for key in ("accuracy", "loss")}
        for split in SPLITS
    }
    return summary | {
        "generalisation_gap": mean(run["generalisation_gap"] for run in seeds),
        "test_accuracy_sd": stdev(accuracies) if len(accuracies) > 1 else None,
        "seeds": len(seeds),
    }


def _of_seed(predictions: Predictions, classes: list[str]) -> dict[str, Any]:
    splits = {
        split: evaluate_split(predictions[split].probabilities, predictions[split].labels, classes) for split in SPLITS
    }
    validation, test = predictions["validation"], predictions["test"]
    return {
        "splits": splits,
        "generalisation_gap": splits["train"]["accuracy"] - splits["validation"]["accuracy"],
        "temperature": calibrate(validation.probabilities, validation.labels, test.probabilities, test.labels),
    }


def _members(arrays: Path, index: NDArray[np.int64], resplit: bool) -> list[str]:
    """Return the archive members of the test images, in prediction order."""
    splits = SPLITS if resplit else ("test",)
    names = [name for split in splits for name in read_json(arrays / split / "members.json")]
    return [names[row] for row in index]


def _read_history(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {key: int(value) if key in ("seed", "epoch") else float(value) for key, value in row.items()}
            for row in csv.DictReader(file)
        ]
