"""Train one job: everything in, one result folder out, the same bits with or without an interruption."""

import gc
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
from numpy.typing import NDArray

from convnet.backend.machine import machine_facts
from convnet.backend.memory import memory_advice, ran_out_of_memory
from convnet.data.arrays import check_batch_size
from convnet.jobs.checkpoints import Checkpoint, clear_checkpoints, load_checkpoint, save_checkpoint
from convnet.jobs.job import Job
from convnet.jobs.predictions import Prediction, Predictions, save_predictions
from convnet.jobs.store import result_folder
from convnet.models.augmentation import reset_seed_generators
from convnet.models.heads import Head, as_probabilities, choose_head, encode_labels
from convnet.system.errors import UserError
from convnet.system.files import write_json
from convnet.system.progress import progress
from convnet.training.batches import Batches, Rows, class_weights, epoch_order, epoch_views, measure, predict
from convnet.training.derived import derive_job
from convnet.training.hooks import Hooks
from convnet.training.job_data import JobData, load_job_data
from convnet.training.networks import Networks, build_networks, draw_from
from convnet.training.prepared import Prepared, assign, prepare, values
from convnet.training.probe import solve_head
from convnet.training.results import save_model
from convnet.training.schedules import at_cap, best_epoch, keeps_best, next_epoch

SAVING_AT_MOST = 0.05  # share of the time: a checkpoint of a head on flattened features has 300 MB


class TrainingFailedError(Exception):
    """The loss became NaN or infinite."""


def train_job(job: Job) -> None:
    """Train `job` and put model, history and predictions into the store; resume from its last checkpoint.

    A derived job is made from finished ones instead.

    Checkpoints are at least `job.seconds_between_checkpoints` apart, and take at most a twentieth of the time.

    Raises:
        TrainingFailedError: the loss became NaN or infinite; the message names the epoch.
        UserError: memory ran out (the sentence names a batch size), or the disk is full.
    """
    gc.collect()  # the networks of earlier jobs
    draw_from(job.seed)
    if job.members:
        with _memory_errors(job.label, None):
            return derive_job(job)
    hooks = Hooks(job.recipe)
    head = choose_head(len(job.classes), hooks.labels(job.recipe.fit.labels))
    data = load_job_data(job)
    check_batch_size(job.label, job.recipe.fit.batch_size, len(data.labels["train"]))
    with _memory_errors(job.label, job.recipe.fit.batch_size):
        networks = build_networks(job, head, hooks)
        prepared = prepare(job, head, hooks, networks, job.recipe.fit.epochs * _steps_per_epoch(job, data))
        if hooks.solver:
            checkpoint = solve_head(job, head, data, prepared.trainee, hooks)
        else:
            checkpoint = _fit(job, head, data, prepared, hooks)
        _save_result(job, data, networks, prepared, checkpoint, in_epochs=hooks.solver is None)
    clear_checkpoints(job.folder)


@contextmanager
def _memory_errors(label: str, batch_size: int | None) -> Iterator[None]:
    """Raise a UserError where memory runs out, in training with `batch_size` or in a prediction (None)."""
    try:
        yield
    except Exception as error:
        if not ran_out_of_memory(error):
            raise
        where = "while predicting" if batch_size is None else f"with batch_size {batch_size}"
        raise UserError(f"{label}: memory ran out {where}: {memory_advice(batch_size)}") from error


def _fit(job: Job, head: Head, data: JobData, prepared: Prepared, hooks: Hooks) -> Checkpoint:
    """Train as long as the recipe asks; leave the weights to be saved in the trainee."""
    fit, trainee, steps_per_epoch = job.recipe.fit, prepared.trainee, _steps_per_epoch(job, data)
    checkpoint = load_checkpoint(job.folder) or Checkpoint(0, [], [], [], 0.0)
    if checkpoint.epoch:
        assign(trainee.variables, checkpoint.variables)
        assign(trainee.optimizer.variables, checkpoint.optimizer)
    steps = (fit.epochs - checkpoint.epoch) * steps_per_epoch
    ticks = progress(range(steps), total=steps, label=f"train {job.label}", unit="steps")
    epochs = _Epochs(job, head, data, prepared, hooks)
    while (coming := next_epoch(fit, checkpoint.losses)) is not None:
        epoch = checkpoint.epoch + 1
        start = time.monotonic()
        if coming.from_best:
            assign(trainee.variables, checkpoint.best_variables)
            assign(trainee.optimizer.variables, checkpoint.best_optimizer)
        trained = epochs.train(epoch, coming.rate, ticks)
        with hooks.evaluated(trainee):
            trained, measured = epochs.measure(trained)
            checkpoint.seconds += time.monotonic() - start
            epochs.record(checkpoint, epoch, coming.rate, trained, measured)
        if epoch < fit.epochs:
            epochs.save(checkpoint)
    ticks.close()  # type: ignore[attr-defined]  # progress is a generator
    if keeps_best(fit):
        assign(trainee.variables, checkpoint.best_variables)
    else:
        with hooks.evaluated(trainee):
            saved = values(trainee.variables)
        assign(trainee.variables, saved)
    return checkpoint


def _steps_per_epoch(job: Job, data: JobData) -> int:
    return math.ceil(len(data.labels["train"]) / job.recipe.fit.batch_size)


class _Epochs:
    """The parts of an epoch of one job."""

    def __init__(self, job: Job, head: Head, data: JobData, prepared: Prepared, hooks: Hooks) -> None:
        labels = data.labels["train"]
        self._job, self._data, self._hooks = job, data, hooks
        self._trainee, self._trainer = prepared.trainee, prepared.trainer
        self._targets = encode_labels(np.repeat(labels, data.views), head)
        self._weights = np.repeat(class_weights(labels), data.views) if job.recipe.fit.class_weights else None
        self._validation_targets = encode_labels(data.labels["validation"], head)
        self._training_rows, self._training_targets = _measured_rows(job, head, data)
        self._saved, self._pause = time.monotonic(), job.seconds_between_checkpoints

    def train(self, epoch: int, rate: float, ticks: Iterator[int]) -> dict[str, float]:
        """Train one epoch at a learning rate; return loss and accuracy on the training images."""
        images, views, seed = len(self._data.labels["train"]), self._data.views, self._job.seed
        reset_seed_generators(self._trainee, seed, epoch, self._hooks.layers)
        self._trainee.optimizer.learning_rate = rate
        order = epoch_order(images, seed, epoch)
        if views > 1:
            order = order * views + epoch_views(images, views, seed, epoch)
        batch_size = self._job.recipe.fit.batch_size
        draws = self._hooks.draws(seed, epoch, images)
        batches = Batches(self._data.training, order, batch_size, self._targets, self._weights, draws)
        return self._trainer.epoch(batches, lambda: next(ticks, None))

    def measure(self, trained: dict[str, float]) -> tuple[dict[str, float], dict[str, float]]:
        """Return loss and accuracy on training and on validation images, both of the plain task.

        Mixed images have no plain loss. In place of `trained`, the values then are those of unmixed training images.
        """
        with _memory_errors(self._job.label, None):
            if self._hooks.mixes:
                trained = measure(self._trainee, self._training_rows, self._training_targets)
            return trained, measure(self._trainee, self._data.rows["validation"], self._validation_targets)

    def record(
        self,
        checkpoint: Checkpoint,
        epoch: int,
        rate: float,
        trained: dict[str, float],
        measured: dict[str, float],
    ) -> None:
        """Add the epoch to the history; keep the weights of the epoch with the lowest validation loss so far."""
        fit = self._job.recipe.fit
        row = {
            "epoch": epoch,
            "accuracy": trained["accuracy"],
            "loss": trained["loss"],
            "validation_accuracy": measured["accuracy"],
            "validation_loss": measured["loss"],
            "learning_rate": rate,
        }
        checkpoint.epoch = epoch
        checkpoint.history.append(row)
        for name in ("loss", "validation_loss"):
            if not math.isfinite(row[name]):
                fault = f"the {name.replace('_', ' ')} is {row[name]} in epoch {epoch}"
                raise TrainingFailedError(f"{self._job.label}: {fault}; try a smaller learning_rate")
        if keeps_best(fit) and best_epoch(checkpoint.losses) == epoch:
            checkpoint.best_variables = values(self._trainee.variables)
            if fit.length == "plateau":
                checkpoint.best_optimizer = values(self._trainee.optimizer.variables)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint, unless the last one is too recent."""
        began, least = time.monotonic(), self._job.seconds_between_checkpoints
        if began - self._saved < self._pause:
            return
        checkpoint.variables = values(self._trainee.variables)
        checkpoint.optimizer = values(self._trainee.optimizer.variables)
        save_checkpoint(self._job.folder, checkpoint)
        self._saved = time.monotonic()
        if least:
            self._pause = max(least, (self._saved - began) / SAVING_AT_MOST)


def _measured_rows(job: Job, head: Head, data: JobData) -> tuple[Rows, NDArray[np.float32]]:
    """Return the training images measured after an epoch of mixed ones: as many as validation has, always the same."""
    chosen = epoch_order(len(data.labels["train"]), job.seed, 0)[: len(data.labels["validation"])]
    rows = data.rows["train"]
    return Rows(rows.parts, rows.index[chosen]), encode_labels(data.labels["train"][chosen], head)


def _predict(job: Job, data: JobData, predictor: keras.Model) -> Predictions:
    predictions: Predictions = {}
    for split, rows in data.rows.items():
        with _memory_errors(job.label, None):
            outputs = predict(predictor, rows)
        predictions[split] = Prediction(as_probabilities(outputs), data.labels[split], data.index[split])
    return predictions


def _save_result(
    job: Job, data: JobData, networks: Networks, prepared: Prepared, checkpoint: Checkpoint, in_epochs: bool
) -> None:
    """Predict every split, then write model, history, predictions, facts and timing as one result."""
    start = time.monotonic()
    predictions = _predict(job, data, prepared.predictor)
    seconds_predicting = time.monotonic() - start
    prepared.end(networks)
    with result_folder(job) as folder:
        facts = save_model(folder / "model.keras", networks)
        save_predictions(folder / "predictions.npz", {job.seed: predictions})
        write_json(folder / "history.json", checkpoint.history)
        seen = checkpoint.epoch * len(data.labels["train"])
        timing = {
            "seconds_training": round(checkpoint.seconds, 3),
            "seconds_predicting": round(seconds_predicting, 3),
            "images_per_second": round(seen / max(checkpoint.seconds, 1e-9), 1),
            "machine": machine_facts(),
        }
        write_json(folder / "timing.json", timing)
        fit, losses = job.recipe.fit, checkpoint.losses
        run = {
            "seed": job.seed,
            "epochs": checkpoint.epoch,
            "best_epoch": best_epoch(losses),  # lowest validation loss
            "saved_epoch": best_epoch(losses) if keeps_best(fit) else checkpoint.epoch,
            "at_cap": in_epochs and at_cap(fit, losses),
        }
        write_json(folder / "facts.json", run | facts)
