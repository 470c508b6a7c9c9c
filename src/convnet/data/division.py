"""Divide the images of one job: by the split of the arrays, by a split of the job's own, or by folds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from convnet.data.splits import SPLITS, divide_groups
from convnet.params.section import SplitKind

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Division:
    """How the images of a job are divided among the splits.

    Attributes:
        kind: `fixed` keeps the split of the arrays; `resplit` draws one by the job's seed; `folds` tests on one fold.
        fold: the number of the test fold, from 0.
        folds: their number.
        seed: decides the folds; the same for all jobs of a dataset.
    """

    kind: SplitKind = "fixed"
    fold: int = 0
    folds: int = 0
    seed: int = 0

    @property
    def pooled(self) -> bool:
        """Whether the images of all arrays are joined and divided again."""
        return self.kind != "fixed"


FIXED = Division()


def divide(
    division: Division, labels: Mapping[str, Integers], groups: Mapping[str, Integers], seed: int
) -> dict[str, Integers]:
    """Return the ascending rows of each split: of its own array, or of the arrays of all splits joined.

    Args:
        division: how to divide.
        labels: class index of each image, by split of the arrays.
        groups: duplicate group of each image, likewise; a split keeps it whole.
        seed: of the job.

    Raises:
        UserError: a class is too small to be in every split or fold.
    """
    counts = {split: len(labels[split]) for split in SPLITS}
    if not division.pooled:
        return {split: np.arange(count, dtype=np.int64) for split, count in counts.items()}
    joined, group = (np.concatenate([parts[split] for split in SPLITS]) for parts in (labels, groups))
    if division.kind == "resplit":
        return resplit(joined, group, counts, seed)
    fold = draw_folds(joined, group, division.folds, division.seed)
    rest = np.flatnonzero(fold != division.fold)
    shares = {split: counts[split] for split in ("train", "validation")}
    parts = {split: rest[part] for split, part in resplit(joined[rest], group[rest], shares, seed).items()}
    return parts | {"test": np.flatnonzero(fold == division.fold).astype(np.int64)}


def training_images(counts: Mapping[str, int], kind: SplitKind, folds: int) -> int:
    """Return how many images a job trains on at least; large groups may move a few more.

    Args:
        counts: images by split of the arrays.
        kind: how jobs divide them.
        folds: their number, where jobs are tested on folds.
    """
    if kind != "folds":
        return counts["train"]
    images = sum(counts.values())
    rest = images - math.ceil(images / folds)
    return rest * counts["train"] // (counts["train"] + counts["validation"])


def resplit(
    labels: npt.ArrayLike, groups: npt.ArrayLike, shares: Mapping[str, float], seed: int
) -> dict[str, Integers]:
    """Divide pooled images for one seed, by class shares, and keep each duplicate group whole.

    Args:
        labels: class index of each of the n pooled images.
        groups: duplicate group of each image.
        shares: split name to its share of the images, or its number of images; only their ratio counts.
        seed: decides which images go where.

    Returns:
        For each split the ascending positions of its images; together a partition of 0..n-1.

    Raises:
        UserError: a class is too small to be in every split.
    """
    parts = _divided(labels, groups, shares, np.random.default_rng([seed, 2]))
    return {split: np.flatnonzero(parts == index).astype(np.int64) for index, split in enumerate(shares)}


def draw_folds(labels: npt.ArrayLike, groups: npt.ArrayLike, folds: int, seed: int) -> Integers:
    """Return the fold, 0 to folds - 1, of each pooled image: equal shares of each class, duplicate groups whole.

    Args:
        labels: class index of each of the n pooled images.
        groups: duplicate group of each image.
        folds: their number.
        seed: decides which images go where.

    Raises:
        UserError: a class is too small to be in every fold.
    """
    shares = {f"fold {number}": 1.0 for number in range(1, folds + 1)}
    return _divided(labels, groups, shares, np.random.default_rng([seed, 4]))


def second_half(labels: npt.ArrayLike, groups: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return which images are in the second half: every other group, class by class. No draw decides it.

    Args:
        labels: class index of each image.
        groups: duplicate group of each image; a half keeps it whole.
    """
    _, first, group = np.unique(np.asarray(groups, dtype=np.int64), return_index=True, return_inverse=True)
    order = np.argsort(np.asarray(labels, dtype=np.int64)[first], kind="stable")
    second = np.zeros(len(first), dtype=np.bool_)
    second[order[1::2]] = True
    return np.asarray(second[group])


def _divided(
    labels: npt.ArrayLike, groups: npt.ArrayLike, shares: Mapping[str, float], rng: np.random.Generator
) -> Integers:
    classes = np.asarray(labels, dtype=np.int64)
    names = [str(label) for label in range(int(classes.max()) + 1)]
    return divide_groups(classes, np.asarray(groups, dtype=np.int64), shares, rng, names)
