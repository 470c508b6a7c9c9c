"""The best model of a dataset, by its validation images: a copy that is complete on its own.

Test images take no part in the choice, so the accuracy on them stays an honest estimate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from convnet.evaluation.calibration import fit_temperature
from convnet.evaluation.metrics import accuracy, log_loss
from convnet.evaluation.schema import Evaluation
from convnet.jobs.model_files import BEST, JOB, check_model, find_model
from convnet.jobs.predictions import calibration_part, load_predictions, save_predictions
from convnet.system.files import link, read_json, write_json


@dataclass(frozen=True)
class Candidate:
    """A variant, judged on validation images.

    Attributes:
        variant: its name.
        accuracy: mean over seeds.
        parameters: of the saved model.
        seed: its best run: highest accuracy, then lowest loss, then lowest seed.
    """

    variant: str
    accuracy: float
    parameters: int
    seed: int


def choose_best(models: Path, variants: Sequence[str], kind: str, destination: Path) -> Candidate:
    """Copy the best seed of the best variant to `destination`: model.keras, job.json, predictions.npz, labels.json.

    The best variant has the highest mean validation accuracy over its seeds; among equals, the fewest parameters.

    Args:
        models: the dataset's folder, with one folder per variant.
        variants: their names.
        kind: "rendered" or "photographs", to be kept with the model.
        destination: the folder to fill.

    Raises:
        UserError: a model or its predictions are missing or damaged.
    """
    best = best_of([_judge(models / variant, variant) for variant in variants])
    source = models / best.variant
    job = read_json(source / JOB)
    destination.mkdir(parents=True, exist_ok=True)
    link(find_model(source, best.seed), destination / BEST)
    runs = [run for run in job["seeds"] if run["seed"] == best.seed]
    write_json(destination / JOB, job | {"seeds": runs, "kind": kind})
    predictions = load_predictions(source / "predictions.npz")[best.seed]
    save_predictions(destination / "predictions.npz", {best.seed: predictions})
    unused = calibration_part(predictions)
    labels: dict[str, Any] = check_model(destination / BEST).describe(
        fit_temperature(unused.probabilities, unused.labels)
    )
    write_json(destination / "labels.json", labels | {"validation_accuracy": best.accuracy})
    return best


def best_of(candidates: Sequence[Candidate]) -> Candidate:
    """Return the candidate with the highest mean validation accuracy; among equals, with the fewest parameters."""
    return min(candidates, key=lambda c: (-c.accuracy, c.parameters, c.variant))


def candidate(evaluation: Evaluation) -> Candidate:
    """Return the candidate of an evaluated variant; `choose_best` chooses by the same rule and the same numbers."""
    validation = {run.seed: run.splits["validation"] for run in evaluation.seeds}
    seed = min(validation, key=lambda seed: (-validation[seed].accuracy, validation[seed].loss, seed))
    reached = mean(split.accuracy for split in validation.values())
    return Candidate(evaluation.variant, reached, evaluation.parameters, seed)


def _judge(folder: Path, variant: str) -> Candidate:
    runs = {run["seed"]: run for run in read_json(folder / JOB)["seeds"]}
    validation = {seed: splits["validation"] for seed, splits in load_predictions(folder / "predictions.npz").items()}
    reached = {seed: accuracy(v.probabilities, v.labels) for seed, v in validation.items()}
    losses = {seed: log_loss(v.probabilities, v.labels) for seed, v in validation.items()}
    seed = min(runs, key=lambda seed: (-reached[seed], losses[seed], seed))
    return Candidate(variant, mean(reached[seed] for seed in runs), runs[seed]["parameters"], seed)
