"""Networks prepared for training, once for all seeds of a recipe.

Tracing a network takes a second or two, as long as a small one trains. So a process keeps the prepared networks of its
last recipes, and a job of another seed gives them its own weights. No bit of a result shows it.
"""

import math
from dataclasses import dataclass
from typing import Any

import keras
from numpy.typing import NDArray

from convnet.jobs.job import Job
from convnet.models.heads import Head
from convnet.system.files import json_digest
from convnet.training.epoch import EpochTrainer
from convnet.training.hooks import Hooks
from convnet.training.networks import Networks, load_whole
from convnet.training.optimizers import compile_model

MOST_BYTES = 2**28  # of all kept weights


@dataclass(frozen=True)
class Prepared:
    """What trains, measures and predicts; the networks that are saved may be others.

    Attributes:
        trainee: the compiled model that trains.
        predictor: the model that predicts, of the same weights.
        trainer: trains the trainee.
        optimizer: the optimizer's variables with their values before training; None where they are zeros.
    """

    trainee: keras.Model
    predictor: keras.Model
    trainer: EpochTrainer
    optimizer: list[tuple[keras.Variable, NDArray[Any] | None]]

    @property
    def bytes(self) -> int:
        """Bytes of weights and optimizer."""
        of_optimizer = [variable for variable, _ in self.optimizer]
        return sum(4 * math.prod(variable.shape) for variable in [*self.trainee.variables, *of_optimizer])

    def begin(self, networks: Networks) -> None:
        """Take the weights of new networks; the optimizer starts from nothing."""
        assign(self.trainee.variables, values(networks.trainee.variables))
        for variable, start in self.optimizer:
            variable.assign(keras.ops.zeros(variable.shape, variable.dtype) if start is None else start)

    def end(self, networks: Networks) -> None:
        """Give the trained weights to the networks that are saved."""
        if networks.trainee is not self.trainee:
            assign(networks.trainee.variables, values(self.trainee.variables))


_kept: dict[str, Prepared] = {}  # the last used comes last


def prepare(job: Job, head: Head, hooks: Hooks, networks: Networks, steps: int) -> Prepared:
    """Return prepared networks with the weights of `networks`, which trains for `steps`."""
    decides = [
        job.recipe.model_dump(mode="json"),
        repr(job.backbone),
        len(job.classes),
        keras.config.dtype_policy().name,
        [(variable.name, tuple(variable.shape), variable.trainable) for variable in networks.trainee.variables],
        steps if hooks.changes_optimizer else None,
    ]
    key = json_digest(decides)
    prepared = _kept.pop(key, None)
    if prepared is None:
        prepared = _prepare(job, head, hooks, networks, steps)
    else:
        prepared.begin(networks)
    _kept[key] = prepared
    while len(_kept) > 1 and sum(one.bytes for one in _kept.values()) > MOST_BYTES:
        del _kept[next(iter(_kept))]
    return prepared


def _prepare(job: Job, head: Head, hooks: Hooks, networks: Networks, steps: int) -> Prepared:
    trainee = networks.trainee
    compile_model(trainee, job.recipe.fit, head, hooks.loss(head, trainee) if hooks.changes_loss else None)
    if hooks.solver is None:
        hooks.change_optimizer(trainee, steps)
    # A head on cached features predicts from them: the saved model gives the same within the features' precision.
    predictor = trainee if job.recipe.kind == "features" else networks.classifier
    started = zip(trainee.optimizer.variables, values(trainee.optimizer.variables), strict=True)
    optimizer = [(variable, value if value.any() else None) for variable, value in started]
    return Prepared(trainee, predictor, EpochTrainer(trainee, change=hooks.change()), optimizer)


def forget() -> None:
    """Drop what this process keeps, so that its next job makes all of it as a new process does."""
    _kept.clear()
    load_whole.cache_clear()


def values(variables: list[keras.Variable]) -> list[NDArray[Any]]:
    """Return copies of the values of variables."""
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


def assign(variables: list[keras.Variable], new: list[NDArray[Any]]) -> None:
    """Give variables new values."""
    for variable, value in zip(variables, new, strict=True):
        variable.assign(value)
