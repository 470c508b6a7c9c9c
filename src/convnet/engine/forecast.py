"""Forecast how long jobs take: by earlier jobs of their kind on this machine, or roughly by their multiplications."""

import heapq
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from convnet.backend.device import BFLOAT16_INSTRUCTIONS
from convnet.backend.machine import _processor_field, machine_facts
from convnet.data.splits import images_at
from convnet.engine.backbone_work import backbone_multiplications
from convnet.jobs.job import BUILDS_A_BACKBONE, STORE, Job
from convnet.jobs.store import facts, timing
from convnet.params.backbone import Backbone
from convnet.params.recipe import BackboneRecipe, FineTuneRecipe, PixelRecipe, PretrainRecipe, Recipe
from convnet.params.training import Fit
from convnet.system.errors import UserError
from convnet.system.files import json_digest, read_json, write_json
from convnet.system.formats import plural
from convnet.system.language import mark, tr

# Of a recipe, what changes no rate. A head with dropout takes as long as one without.
WITHOUT_EFFECT = {"dataset", "variant", "start", "backbone", "dropout", "fit", "augmentation"}
# The rest are the constants of the rough forecast. They fit jobs of a 2-core AMD EPYC within a factor of 2.
LIBRARIES_START = 6.0  # seconds that a process takes to load the libraries
JOB_STARTS = 2.0  # seconds to build, compile and save a network
SHARE_OF_PEAK = {True: 1.5, False: 0.6}  # of NumPy's float32 speed, with and without bfloat16
SECONDS_PER_UPDATE = 1e-9  # of one parameter in one step


@dataclass(frozen=True)
class Work:
    """All that decides how long a job takes.

    Attributes:
        recipe: the resolved settings.
        train: training images.
        validation: validation images.
        test: test images.
        threads: processor threads.
        backbone: its entry in params.yaml, for a recipe with a backbone.
    """

    recipe: Recipe
    train: int
    validation: int
    test: int
    threads: int
    backbone: Backbone | None = None

    @property
    def predicted(self) -> int:
        """Images that the finished network predicts."""
        return self.train + self.validation + self.test

    @property
    def of_epoch(self) -> float:
        """Images of an epoch, in the time of a training image: a prediction takes a third of it."""
        return self.train + self.validation / 3


@dataclass(frozen=True)
class Rate:
    """What an earlier job took."""

    around: float  # seconds to build, compile and save
    per_image: float  # seconds per training image and epoch
    per_prediction: float
    rule: dict[str, Any]  # how long the job was to train
    epochs: int  # how long it trained


@dataclass(frozen=True)
class Forecast:
    """How long jobs take.

    Attributes:
        seconds: of each job in its process, in the order given; None where nothing is known.
        total: of all jobs in parallel processes; None where nothing is known of one.
        rough: whether a job is of a kind that did not run on this machine before.
    """

    seconds: tuple[float | None, ...]
    total: float | None
    rough: bool

    def by_label(self, labels: Sequence[str]) -> dict[str, float] | None:
        """Return the seconds by label, or None where those of a job are unknown."""
        known = {label: each for label, each in zip(labels, self.seconds, strict=True) if each is not None}
        return known if len(known) == len(set(labels)) else None


def work_of(job: Job) -> Work:
    """Return the work of a planned job.

    Raises:
        UserError: the arrays are missing.
    """
    counts = read_json(job.arrays / "dataset.json")["counts"]
    images = images_at(job.share, counts["train"], len(job.classes))
    settings, recipe = job.backbone.settings if job.backbone else None, job.recipe
    if job.members:  # it trains nothing
        recipe = recipe.model_copy(update={"fit": recipe.fit.model_copy(update={"epochs": 0})})
    return Work(recipe, images, counts["validation"], counts["test"], job.threads, settings)


def forecast(works: Sequence[Work], processes: int) -> Forecast:
    """Return the seconds of each job, and of all in `processes` processes, each taking the longest job left."""
    seconds, rough = [], False
    for work in works:
        rate = _known_rate(work)
        rough |= rate is None
        seconds.append(_by_rate(work, rate) if rate else _by_multiplications(work))
    if not works:
        return Forecast((), 0.0, False)
    if None in seconds:
        return Forecast(tuple(seconds), None, rough)
    busy = [LIBRARIES_START] * max(1, min(processes, len(works)))
    for needed in sorted((each for each in seconds if each is not None), reverse=True):
        heapq.heapreplace(busy, busy[0] + needed)
    return Forecast(tuple(seconds), max(busy), rough)


def sentence(jobs: int, stored: int, expected: Forecast | None) -> str:
    """Return "36 jobs, 9 stored, about 6 min on this machine"; None is a run on other machines."""
    counts = tr("{jobs}, {stored} stored", jobs=plural(jobs, "job"), stored=stored)
    if stored == jobs or expected is None:
        return counts
    if expected.total is None:
        return tr("{counts}; the time is unknown until jobs of each kind have run on this machine", counts=counts)
    rough, exact = mark("{counts}, roughly {time} on this machine"), mark("{counts}, about {time} on this machine")
    return tr(rough if expected.rough else exact, counts=counts, time=duration(expected.total))


def duration(seconds: float) -> str:
    """Return "40 s", "6 min" or "2.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def remember(job: Job, seconds: float) -> None:
    """Store the rate of a job that was trained from its start in `seconds`; the newest of its kind counts."""
    if job.members:
        return
    with suppress(OSError, UserError, KeyError):  # a forecast is not worth a failure
        work, measured, epochs = work_of(job), timing(job), facts(job)["epochs"]
        around = seconds - measured["seconds_training"] - measured["seconds_predicting"]
        if around < 0:  # it was resumed, and a part of its time passed before
            return
        rate = Rate(
            around=round(around, 3),
            per_image=measured["seconds_training"] / (epochs * work.of_epoch),
            per_prediction=measured["seconds_predicting"] / work.predicted,
            rule=_rule(job.recipe.fit),
            epochs=epochs,
        )
        write_json(_place(work), asdict(rate))


def _known_rate(work: Work) -> Rate | None:
    try:
        return Rate(**read_json(_place(work)))
    except (UserError, OSError, TypeError):  # none yet, or damaged
        return None


def _place(work: Work) -> Path:
    """Return the file with the rate of jobs that take as long per image, however long they train."""
    settings = work.backbone and work.backbone.model_dump(mode="json", include=BUILDS_A_BACKBONE)
    kind = {
        "recipe": work.recipe.model_dump(mode="json", exclude=WITHOUT_EFFECT),
        "fit": work.recipe.fit.model_dump(mode="json", include={"optimizer", "batch_size", "precision", "labels"}),
        "augmented": work.recipe.augmentation is not None,
        "backbone": settings,
        "threads": work.threads,
        "machine": _machine(),
    }
    return STORE / f"rate-{json_digest(kind)}.json"


def _rule(fit: Fit) -> dict[str, Any]:
    return fit.model_dump(mode="json", include={"length", "epochs", "patience", "early_stopping"})


def _by_rate(work: Work, rate: Rate) -> float:
    """Return seconds. A job that ends by itself takes its cap of epochs, unless one of the same rule ended before."""
    epochs = rate.epochs if rate.rule == _rule(work.recipe.fit) else work.recipe.fit.epochs
    return rate.around + epochs * work.of_epoch * rate.per_image + work.predicted * rate.per_prediction


def _by_multiplications(work: Work) -> float | None:
    """Return seconds, or None on a GPU, whose speed NumPy does not show."""
    fit, (once, trained, parameters) = work.recipe.fit, _multiplications(work)
    speed = multiplications_per_second(fit.precision, work.threads)
    if speed is None:
        return None
    of_image = (once + 3 * trained) / speed  # forward, and twice as much backward
    of_updates = math.ceil(work.train / fit.batch_size) * parameters * SECONDS_PER_UPDATE
    of_predictions = work.predicted * (once + trained) / speed
    return JOB_STARTS + fit.epochs * (work.of_epoch * of_image + of_updates) + of_predictions


def multiplications_per_second(precision: str, threads: int) -> float | None:
    """Return the speed of training on this machine, or None on a GPU, whose speed NumPy does not show."""
    if _machine()["gpu"] is not None:
        return None
    has_bfloat16 = not BFLOAT16_INSTRUCTIONS.isdisjoint(_processor_field("flags").split())
    narrow = has_bfloat16 if precision == "auto" else precision == "mixed_bfloat16"
    return SHARE_OF_PEAK[narrow] * _peak() * threads


@cache
def _machine() -> dict[str, Any]:
    return machine_facts()


@cache
def _peak() -> float:
    """Return the multiplications per second of one core, measured for a moment while all cores work."""
    square = np.ones((512, 512), np.float32)
    best = math.inf
    for _ in range(8):
        start = time.perf_counter()
        square @ square
        best = min(best, time.perf_counter() - start)
    return float(512**3 / best / _machine()["cores"])


def _multiplications(work: Work) -> tuple[float, float, float]:
    """Return multiplications per image in frozen and in trained layers, and the trained parameters, roughly."""
    recipe = work.recipe
    if isinstance(recipe, PixelRecipe):
        convolved, cells = _convolutions(recipe.image_size, recipe.network.filters)
        return 0.0, convolved + cells * recipe.network.dense, cells * recipe.network.dense
    if isinstance(recipe, PretrainRecipe):
        return 0.0, _convolutions(recipe.image_size, recipe.filters)[0], 0.0
    assert isinstance(recipe, BackboneRecipe)
    pixels, pretrain = math.prod(recipe.image_size), work.backbone and work.backbone.pretrain
    frozen = 0.0
    if pretrain:
        of_backbone, cells = _convolutions(recipe.image_size, pretrain.filters)
        channels = pretrain.filters[-1]
    else:
        frozen, of_backbone = backbone_multiplications(work.backbone, recipe.image_size)
        cells, channels = pixels / 16**2 * 768, 768
    head = (cells if recipe.pooling == "flatten" else channels) * recipe.dense
    if recipe.kind == "features":
        return 0.0, head, head
    if isinstance(recipe, FineTuneRecipe):
        return frozen, of_backbone + head, head
    return frozen + of_backbone, head, head


def _convolutions(image_size: tuple[int, int], filters: Sequence[int]) -> tuple[float, float]:
    """Return the multiplications of 3x3 convolutions, each halving the sides, and the cells that the last leaves."""
    pixels, channels, total = float(math.prod(image_size)), 3, 0.0
    for count in filters:
        total += pixels * 9 * channels * count
        pixels, channels = pixels / 4, count
    return total, pixels * channels
