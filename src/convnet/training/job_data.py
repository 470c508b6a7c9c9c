"""The rows a job trains, validates and tests on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convnet.data.arrays import Arrays, load_arrays
from convnet.data.division import divide, second_half
from convnet.data.splits import SPLITS, nested_subset
from convnet.jobs.job import Job
from convnet.jobs.predictions import CALIBRATION
from convnet.params.recipe import HeadRecipe
from convnet.training.batches import Rows, load_features
from convnet.training.hooks import Hooks
from convnet.training.schedules import keeps_best


@dataclass(frozen=True)
class JobData:
    """What a job sees: rows, labels and places of every split, and the rows it trains on.

    Attributes:
        rows: by split, pixels uint8 (n, height, width, 3) or features (n, count). Where the validation images choose
            the epoch, half of them are a split of their own, `calibration`.
        labels: by split, int64 (n,).
        index: by split, rows in the split's array, or in all arrays joined where a seed has its own split.
        training: the training rows; with cached augmented views, `views` times as many, image by image.
        views: how many rows of `training` belong to one image.
    """

    rows: dict[str, Rows]
    labels: dict[str, NDArray[np.int64]]
    index: dict[str, NDArray[np.int64]]
    training: Rows
    views: int


def load_job_data(job: Job) -> JobData:
    """Open the memory-mapped arrays of a job and divide their rows among the splits."""
    arrays = {split: load_arrays(job.arrays, split) for split in SPLITS}
    index = _divide(job, arrays)
    rows: dict[str, Rows] = {}
    labels: dict[str, NDArray[np.int64]] = {}
    for split in index:
        own = "validation" if split == CALIBRATION else split
        names = SPLITS if job.division.pooled else (own,)
        parts = tuple(_features(job, name) if job.recipe.kind == "features" else arrays[name].images for name in names)
        rows[split] = Rows(parts, index[split])
        labels[split] = np.concatenate([arrays[name].labels for name in names])[index[split]]
    training, views = rows["train"], 1
    if isinstance(job.recipe, HeadRecipe) and job.recipe.augmented_views is not None:
        views = job.recipe.augmented_views
        parts = tuple(_features(job, f"{name}_views") for name in (SPLITS if job.division.pooled else ("train",)))
        training = Rows(parts, (index["train"][:, np.newaxis] * views + np.arange(views)).reshape(-1))
    return JobData(rows, labels, index, training, views)


def _features(job: Job, name: str) -> NDArray[Any]:
    assert job.features is not None  # plan_jobs gives them to every job of this kind
    assert isinstance(job.recipe, HeadRecipe)
    return load_features(job.features, name, job.recipe.pooling)


def _divide(job: Job, arrays: dict[str, Arrays]) -> dict[str, NDArray[np.int64]]:
    """Return the rows of each split, and of the part of the validation images that does not choose the epoch."""
    labels, groups = ({split: getattr(arrays[split], name) for split in SPLITS} for name in ("labels", "groups"))
    index = divide(job.division, labels, groups, job.seed)
    joined = SPLITS if job.division.pooled else ("train",)
    if job.share < 1.0:
        of_train = np.concatenate([labels[split] for split in joined])[index["train"]]
        index["train"] = index["train"][nested_subset(of_train, job.share, job.seed)]
    if keeps_best(job.recipe.fit) or Hooks(job.recipe).solver:  # the validation images choose an epoch or a penalty
        joined = SPLITS if job.division.pooled else ("validation",)
        rows = index["validation"]
        of_rows = (np.concatenate([parts[split] for split in joined])[rows] for parts in (labels, groups))
        second = second_half(*of_rows)
        if second.any():  # not with a single group
            index |= {"validation": rows[~second], CALIBRATION: rows[second]}
    return index
