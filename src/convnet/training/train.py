"""Train one job: everything in, one result folder out, the same bits whether it was interrupted or not."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from convnet.backend.machine import machine_facts
from convnet.backend.memory import out_of_memory_advice
from convnet.data.arrays import check_batch_size
from convnet.data.splits import SPLITS
from convnet.jobs.checkpoints import Checkpoint, clear_checkpoints, load_checkpoint, save_checkpoint
from convnet.jobs.job import Job
from convnet.jobs.predictions import Prediction, Predictions, save_predictions
from convnet.jobs.store import result_folder
from convnet.models.augmentation import reset_seed_generators
from convnet.models.heads import Head, as_probabilities, choose_head, encode_labels
from convnet.models.transfer import weights_digest, without_training
from convnet.params.schema import Fit
from convnet.system.errors import UserError
from convnet.system.files import atomic_path, file_digest, write_json
from convnet.system.progress import progress
from convnet.training.batches import Batches, class_weights, epoch_order, epoch_views, measure, predict
from convnet.training.epoch import EpochTrainer
from convnet.training.job_data import JobData, load_job_data
from convnet.training.networks import Networks, build_networks
from convnet.training.optimizers import compile_model
from convnet.training.schedules import learning_rate

SAVING_AT_MOST = 0.05  # share of the time: a head on flattened features has states of 300 MB


class TrainingFailedError(Exception):
    """The loss became NaN or infinite."""


def train_job(job: Job) -> None:
    """Train `job` and put model, history and predictions into the store; resume from its last checkpoint.

    Checkpoints are at least `job.seconds_between_checkpoints` apart, and take at most a twentieth of the time.

    Raises:
        TrainingFailedError: the loss became NaN or infinite; the message names the epoch.
        UserError: memory ran out (the sentence names a batch size), or the disk is full.
    """
    policy = keras.config.dtype_policy()
    keras.backend.clear_session()
    keras.config.set_dtype_policy(policy)  # clearing forgets it
    keras.utils.set_random_seed(job.seed)
    head = choose_head(len(job.classes), job.recipe.fit.labels)
    data = load_job_data(job)
    check_batch_size(job.label, job.recipe.fit.batch_size, len(data.labels["train"]))
    with _memory_told(job.label, job.recipe.fit.batch_size):
        networks = build_networks(job, head)
        compile_model(networks.trainee, job.recipe.fit, head)
        state = _fit(job, head, data, networks.trainee)
        _save_result(job, data, networks, state)
    clear_checkpoints(job.folder)


@contextmanager
def _memory_told(label: str, batch_size: int | None) -> Iterator[None]:
    """Turn an error that means that memory ran out into a sentence; for `batch_size` see `out_of_memory_advice`."""
    try:
        yield
    except Exception as error:
        advice = out_of_memory_advice(error, batch_size)
        if advice is None:
            raise
        raise UserError(f"{label}: {advice}") from error


def _fit(job: Job, head: Head, data: JobData, trainee: keras.Model) -> Checkpoint:
    """Run the epochs that are still to run; leave the weights to be saved in `trainee`."""
    fit, images = job.recipe.fit, len(data.labels["train"])
    targets = encode_labels(np.repeat(data.labels["train"], data.views), head)
    weights = np.repeat(class_weights(data.labels["train"]), data.views) if fit.class_weights else None
    validation_targets = encode_labels(data.labels["validation"], head)
    trainee.optimizer.build(trainee.trainable_variables)
    state = load_checkpoint(job.folder) or Checkpoint(0, [], [], [], 0.0)
    if state.epoch:
        _restore(trainee, state)
    ticks = progress(
        range((fit.epochs - state.epoch) * -(-images // fit.batch_size)),
        total=(fit.epochs - state.epoch) * -(-images // fit.batch_size),
        label=f"train {job.label}",
        unit="steps",
    )
    trainer = EpochTrainer(trainee)
    saved, pause = time.monotonic(), job.seconds_between_checkpoints
    for epoch in range(state.epoch + 1, fit.epochs + 1):
        if _stops_early(fit, state):
            break
        start = time.monotonic()
        reset_seed_generators(trainee, job.seed, epoch)
        rate = learning_rate(fit, epoch)
        trainee.optimizer.learning_rate = rate
        order = epoch_order(images, job.seed, epoch)
        if data.views > 1:
            order = order * data.views + epoch_views(images, data.views, job.seed, epoch)
        batches = Batches(data.training, order, fit.batch_size, targets, weights)
        trained = trainer.epoch(batches, lambda: next(ticks, None))
        with _memory_told(job.label, None):
            measured = measure(trainee, data.rows["validation"], validation_targets)
        state.epoch = epoch
        state.seconds += time.monotonic() - start
        state.history.append(
            {
                "epoch": epoch,
                "accuracy": trained["accuracy"],
                "loss": trained["loss"],
                "validation_accuracy": measured["accuracy"],
                "validation_loss": measured["loss"],
                "learning_rate": rate,
            }
        )
        for name in ("loss", "validation_loss"):
            if not math.isfinite(value := state.history[-1][name]):
                what = f"the {name.replace('_', ' ')} is {value} in epoch {epoch}"
                raise TrainingFailedError(f"{job.label}: {what}; try a smaller learning_rate")
        if fit.early_stopping and state.history[-1]["validation_loss"] < state.best_loss:
            state.best_loss, state.best_epoch = state.history[-1]["validation_loss"], epoch
            state.best_variables = _values(trainee.variables)
        if time.monotonic() - saved >= pause and epoch < fit.epochs:
            began = time.monotonic()
            state.variables, state.optimizer = _values(trainee.variables), _values(trainee.optimizer.variables)
            save_checkpoint(job.folder, state)
            saved = time.monotonic()
            if job.seconds_between_checkpoints:
                pause = max(job.seconds_between_checkpoints, (saved - began) / SAVING_AT_MOST)
    ticks.close()  # type: ignore[attr-defined]  # progress is a generator
    if fit.early_stopping and state.best_variables:
        _assign(trainee.variables, state.best_variables)
    return state


def _stops_early(fit: Fit, state: Checkpoint) -> bool:
    return fit.early_stopping is not None and state.epoch - state.best_epoch >= fit.early_stopping


def _values(variables: list[keras.Variable]) -> list[NDArray[Any]]:
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


def _assign(variables: list[keras.Variable], values: list[NDArray[Any]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _restore(trainee: keras.Model, state: Checkpoint) -> None:
    _assign(trainee.variables, state.variables)
    _assign(trainee.optimizer.variables, state.optimizer)


def _save_result(job: Job, data: JobData, networks: Networks, state: Checkpoint) -> None:
    """Predict every split, then write model, history, predictions, facts and timing as one result."""
    start = time.monotonic()
    # A head on cached features predicts from them: the saved model gives the same within the features' precision.
    predictor = networks.trainee if job.recipe.kind == "features" else networks.classifier
    predictions: Predictions = {}
    for split in SPLITS:
        with _memory_told(job.label, None):
            outputs = predict(predictor, data.rows[split])
        predictions[split] = Prediction(as_probabilities(outputs), data.labels[split], data.index[split])
    seconds_predicting = time.monotonic() - start
    trainable = sum(math.prod(v.shape) for v in networks.trainee.trainable_variables)
    classifier = without_training(networks.classifier)
    with result_folder(job) as folder:
        model_path = folder / "model.keras"
        size = sum(value.nbytes for value in _values(classifier.variables))
        with atomic_path(model_path, size) as temporary:  # it tells of a full disk
            classifier.save(temporary)
        save_predictions(folder / "predictions.npz", {job.seed: predictions})
        write_json(folder / "history.json", state.history)
        seen = state.epoch * len(data.labels["train"])
        write_json(
            folder / "timing.json",
            {
                "seconds_training": round(state.seconds, 3),
                "seconds_predicting": round(seconds_predicting, 3),
                "images_per_second": round(seen / max(state.seconds, 1e-9), 1),
                "machine": machine_facts(),
            },
        )
        write_json(
            folder / "facts.json",
            {
                "seed": job.seed,
                "epochs": state.epoch,
                "restored_epoch": state.best_epoch or None,
                "parameters": int(classifier.count_params()),
                "trainable_parameters": int(trainable),
                "weights_digest": weights_digest(classifier),
                "model_bytes": model_path.stat().st_size,
                "model_sha256": file_digest(model_path),
            },
        )
