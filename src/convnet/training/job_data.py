"""The rows a job trains, validates and tests on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convnet.data.arrays import Arrays, load_arrays
from convnet.data.splits import SPLITS, nested_subset, resplit
from convnet.jobs.job import Job
from convnet.params.recipe import HeadRecipe
from convnet.training.batches import Rows, load_features


@dataclass(frozen=True)
class JobData:
    """What a job sees: rows, labels and places of every split, and the rows it trains on.

    Attributes:
        rows: by split, pixels uint8 (n, height, width, 3) or features (n, count).
        labels: by split, int64 (n,).
        index: by split, rows in the split's array, or in all arrays joined with resplit.
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
    for split in SPLITS:
        names = SPLITS if job.resplit else (split,)
        parts = tuple(_features(job, name) if job.recipe.kind == "features" else arrays[name].images for name in names)
        rows[split] = Rows(parts, index[split])
        labels[split] = np.concatenate([arrays[name].labels for name in names])[index[split]]
    training, views = rows["train"], 1
    if isinstance(job.recipe, HeadRecipe) and job.recipe.augmented_views is not None:
        views = job.recipe.augmented_views
        parts = tuple(_features(job, f"{name}_views") for name in (SPLITS if job.resplit else ("train",)))
        training = Rows(parts, (index["train"][:, np.newaxis] * views + np.arange(views)).reshape(-1))
    return JobData(rows, labels, index, training, views)


def _features(job: Job, name: str) -> NDArray[Any]:
    assert job.features is not None  # plan_jobs gives them to every job of this kind
    assert isinstance(job.recipe, HeadRecipe)
    return load_features(job.features, name, job.recipe.pooling)


def _divide(job: Job, arrays: dict[str, Arrays]) -> dict[str, NDArray[np.int64]]:
    """Return the rows of each split: those of its own array, or drawn again from all arrays joined."""
    if job.resplit:
        labels = np.concatenate([arrays[split].labels for split in SPLITS])
        groups = np.concatenate([arrays[split].groups for split in SPLITS])
        index = resplit(labels, groups, {split: len(arrays[split].labels) / len(labels) for split in SPLITS}, job.seed)
    else:
        labels = arrays["train"].labels
        index = {split: np.arange(len(arrays[split].labels), dtype=np.int64) for split in SPLITS}
    if job.share < 1.0:
        index["train"] = index["train"][nested_subset(labels[index["train"]], job.share, job.seed)]
    return index
