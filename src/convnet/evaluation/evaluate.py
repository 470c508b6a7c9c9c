"""All numbers of one variant on one dataset, from saved predictions."""

import csv
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convnet.data.splits import SPLITS
from convnet.evaluation.calibration import calibrate
from convnet.evaluation.metrics import evaluate_split, overfitting
from convnet.evaluation.schema import Evaluation, HistoryRow, Seconds, SeedEvaluation
from convnet.jobs.feature_sets import FeatureSet, features_folder
from convnet.jobs.predictions import CALIBRATION, Predictions, calibration_part, load_predictions
from convnet.system.files import read_json


def evaluate(arrays: Path, model: Path, features: Path | None = None) -> Evaluation:
    """Return every number that the comparison and the report need.

    Args:
        arrays: folder of the prepare stage.
        model: folder of the train, transfer or fine_tune stage.
        features: folder of the features stage, where the variant uses it.
    """
    described, job = read_json(arrays / "dataset.json"), read_json(model / "job.json")
    timing, predictions = read_json(model / "timing.json"), load_predictions(model / "predictions.npz")
    history, recipe, first = _read_history(model / "history.csv"), job["recipe"], job["seeds"][0]
    seeds = []
    for trained in job["seeds"]:
        seed = trained["seed"]
        images = _test_images(arrays, predictions[seed]["test"].index, job["split"] != "fixed")
        found = _of_seed(seed, predictions[seed], images, described["classes"], history, timing[str(seed)])
        members = trained.get("members", [])  # one alone is the seed itself
        more = {"at_cap": trained["at_cap"], "members": members if len(members) > 1 else []}
        seeds.append(found.model_copy(update=more))
    training = sum(run.seconds_training for run in seeds)
    return Evaluation(
        dataset=job["dataset"],
        variant=job["variant"],
        kind=described["kind"],
        classes=described["classes"],
        image_size=described["image_size"],
        counts=described["counts"],
        backbone=recipe.get("backbone"),
        split=job["split"],
        gap_split=_gap_split(predictions[first["seed"]]),
        recipe=recipe,
        parameters=first["parameters"],
        trainable_parameters=first["trainable_parameters"],
        model_bytes=first["model_bytes"],
        seeds=seeds,
        history=history,
        seconds=Seconds(training=training, features=_seconds_of_features(features, recipe)),
        machine=timing[str(first["seed"])]["machine"],
        versions=job["versions"],
    )


def _of_seed(
    seed: int,
    predictions: Predictions,
    images: dict[str, Any],
    classes: list[str],
    history: list[HistoryRow],
    timing: dict[str, Any],
) -> SeedEvaluation:
    splits = {
        split: evaluate_split(predictions[split].probabilities, predictions[split].labels, classes) for split in SPLITS
    }
    unused, test = calibration_part(predictions), predictions["test"]
    return SeedEvaluation(
        seed=seed,
        splits=splits,
        generalisation_gap=splits["train"].accuracy - splits[_gap_split(predictions)].accuracy,
        temperature=calibrate(unused.probabilities, unused.labels, test.probabilities, test.labels),
        **images,
        test_labels=test.labels.tolist(),
        test_predicted=test.probabilities.argmax(axis=1).tolist(),
        test_probabilities=np.round(test.probabilities.astype(np.float64), 6).tolist(),
        seconds_training=timing["seconds_training"],
        images_per_second=timing["images_per_second"],
        **overfitting([row for row in history if row.seed == seed]).model_dump(),
    )


def _gap_split(predictions: Predictions) -> Literal["validation", "test"]:
    """Return the images that the gap is measured on: none that chose an epoch."""
    return "test" if CALIBRATION in predictions else "validation"


def _test_images(arrays: Path, index: NDArray[np.int64], own_splits: bool) -> dict[str, Any]:
    """Return the archive members and the groups of the test images, in prediction order."""
    splits = SPLITS if own_splits else ("test",)
    names = [name for split in splits for name in read_json(arrays / split / "members.json")]
    groups = np.concatenate([np.load(arrays / split / "groups.npy", allow_pickle=False) for split in splits])
    return {"test_members": [names[row] for row in index], "test_groups": groups[index].tolist()}


def _seconds_of_features(features: Path | None, recipe: dict[str, Any]) -> float | None:
    if features is None or recipe["kind"] != "features":
        return None
    used = FeatureSet(recipe["backbone"], recipe["last_layer"], tuple(recipe["image_size"]))
    features = features_folder(features, used)
    seconds = float(read_json(features / "timing.json")["seconds"])
    if recipe["augmented_views"] is not None:
        seconds += read_json(features / "views_timing.json")["seconds"]
    return seconds


def _read_history(path: Path) -> list[HistoryRow]:
    with path.open(newline="", encoding="utf-8") as file:
        return [HistoryRow.model_validate(row) for row in csv.DictReader(file)]
