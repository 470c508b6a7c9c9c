"""Make the result of a derived job from finished jobs, without training."""

import time
import zlib
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import keras
import numpy as np

from convnet.backend.machine import machine_facts
from convnet.jobs.job import Job
from convnet.jobs.predictions import Predictions, load_predictions, save_predictions
from convnet.jobs.store import facts, result_folder, timing
from convnet.models.heads import as_probabilities
from convnet.params.recipe import Recipe
from convnet.params.remedies import Derived, Remedy, find_remedies
from convnet.params.section import Section
from convnet.system.errors import UserError
from convnet.system.files import read_json, write_json
from convnet.training.batches import predict
from convnet.training.job_data import load_job_data
from convnet.training.networks import Networks
from convnet.training.results import save_model
from convnet.training.schedules import best_epoch

History = list[dict[str, float]]


def derive_job(job: Job) -> None:
    """Put the result of a derived job into the store: the same files as those of training.

    Raises:
        UserError: a job that it is made from has no result.
    """
    for member in job.members:
        if not member.done:
            raise UserError(f"{member.label} has no result to go on with; run the same command again")
    start = time.monotonic()
    predictions = [load_predictions(member.result / "predictions.npz")[member.seed] for member in job.members]
    derived = _derive(job, predictions)
    probabilities = derived.probabilities or _predict(job, derived.model)
    made: Predictions = {
        split: replace(of_member, probabilities=np.asarray(probabilities[split], np.float32))
        for split, of_member in predictions[0].items()
    }
    history = mean_history([read_json(member.result / "history.json") for member in job.members])
    of_members = [facts(member) for member in job.members]
    with result_folder(job) as folder:
        saved = save_model(folder / "model.keras", Networks(derived.model, derived.model))
        save_predictions(folder / "predictions.npz", {job.seed: made})
        write_json(folder / "history.json", history)
        write_json(folder / "facts.json", _facts(job, history, of_members, derived) | saved)
        write_json(folder / "timing.json", _timing(job, time.monotonic() - start))


def mean_history(histories: Sequence[History]) -> History:
    """Return the mean of several histories, over the epochs that all of them have."""
    return [
        {name: value if name == "epoch" else fmean(row[name] for row in rows) for name, value in rows[0].items()}
        for rows in zip(*histories, strict=False)
    ]


def _derive(job: Job, predictions: Sequence[Predictions]) -> Derived:
    name, remedy, settings = _remedy(job.recipe)
    assert remedy.derived is not None
    models = [
        keras.saving.load_model(member.result / "model.keras", safe_mode=True, compile=False) for member in job.members
    ]
    generator = np.random.default_rng([job.seed, zlib.crc32(name.encode())])
    derived: Derived = remedy.derived(settings, models, predictions, generator)
    return derived


def _remedy(recipe: Recipe) -> tuple[str, Remedy, Section]:
    known = find_remedies()
    name = next(name for name in recipe.remedies if known[name].derived)
    section = known[name].settings
    assert section is not None  # a recipe names no other remedies
    return name, known[name], section(**recipe.remedies[name])


def _predict(job: Job, model: keras.Model) -> dict[str, Any]:
    rows = load_job_data(job.members[0]).rows
    return {split: as_probabilities(predict(model, of_split)) for split, of_split in rows.items()}


def _facts(job: Job, history: History, of_members: Sequence[dict[str, Any]], derived: Derived) -> dict[str, Any]:
    return {
        "seed": job.seed,
        "epochs": len(history),
        "best_epoch": best_epoch([row["validation_loss"] for row in history]),
        "saved_epoch": min(len(history), *(found["saved_epoch"] for found in of_members)),
        "at_cap": any(found["at_cap"] for found in of_members),
        "members": [member.seed for member in job.members],
        "forwards_per_image": derived.forwards,
    }


def _timing(job: Job, seconds: float) -> dict[str, Any]:
    """Return the seconds; those of training include the networks that the result is made from."""
    of_members = [timing(member) for member in job.members]
    return {
        "seconds_training": round(seconds + sum(found["seconds_training"] for found in of_members), 3),
        "seconds_predicting": 0.0,
        "seconds_deriving": round(seconds, 3),
        "images_per_second": of_members[0]["images_per_second"],
        "machine": machine_facts(),
    }
