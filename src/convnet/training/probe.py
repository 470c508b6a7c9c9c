"""A head that is computed in one go, not trained in epochs."""

import time

import keras
import numpy as np
from threadpoolctl import threadpool_limits

from convnet.jobs.checkpoints import Checkpoint
from convnet.jobs.job import Job
from convnet.models.heads import Head, encode_labels
from convnet.training.batches import class_weights, measure
from convnet.training.hooks import Hooks
from convnet.training.job_data import JobData


def solve_head(job: Job, head: Head, data: JobData, trainee: keras.Model, hooks: Hooks) -> Checkpoint:
    """Compute the output layer of `trainee`; the history has one epoch."""
    start = time.monotonic()
    labels = np.repeat(data.labels["train"], data.views)
    weights = class_weights(labels) if job.recipe.fit.class_weights else np.ones(len(labels), np.float32)
    training = data.training[np.arange(len(data.training))], labels, weights
    validation = data.rows["validation"][np.arange(len(data.rows["validation"]))], data.labels["validation"]
    with threadpool_limits(job.threads):  # their number changes bits
        kernel, bias = hooks.solver(training, validation)
    trainee.get_layer("output").set_weights([kernel, bias])
    measured = {
        split: measure(trainee, data.rows[split], encode_labels(data.labels[split], head))
        for split in ("train", "validation")
    }
    row = {"epoch": 1, "learning_rate": 0.0}
    row |= {name: measured["train"][name] for name in ("accuracy", "loss")}
    row |= {f"validation_{name}": measured["validation"][name] for name in ("accuracy", "loss")}
    return Checkpoint(1, [], [], [row], time.monotonic() - start)
