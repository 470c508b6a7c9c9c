"""The images that are shown for all networks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convnet.data.arrays import load_arrays
from convnet.data.splits import SPLITS
from convnet.jobs.predictions import Prediction
from convnet.training.batches import Rows


@dataclass(frozen=True)
class Examples:
    """Some images of a split.

    Attributes:
        images: uint8 (n, height, width, 3).
        members: n names in the archives, untrusted text.
        rows: int64 (n,), their rows in the predictions of the split.
    """

    images: NDArray[np.uint8]
    members: list[str]
    rows: NDArray[np.int64]


def choose_evenly(kinds: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Draw up to `count` rows, equally many of every kind as far as the kinds have enough rows.

    Args:
        kinds: int64 (n,), for example the class of each image.
        count: how many rows are wanted.
        seed: decides the draw.

    Returns:
        int64, `count` rows or all; the kinds take turns in ascending order.
    """
    order = np.random.default_rng([seed]).permutation(len(kinds))
    turn = np.empty(len(kinds), dtype=np.int64)  # how many rows of its kind come before
    for kind in np.unique(kinds):
        of_kind = order[kinds[order] == kind]
        turn[of_kind] = np.arange(len(of_kind))
    return np.lexsort((kinds, turn))[:count]


def choose_cases(predictions: Mapping[str, Prediction], count: int, seed: int) -> NDArray[np.int64]:
    """Draw up to `count` rows, by turns from every combination of right and wrong variants.

    Args:
        predictions: of one split, by variant.
        count: how many rows are wanted.
        seed: decides the draw.
    """
    kinds = np.zeros(len(next(iter(predictions.values())).labels), dtype=np.int64)
    for prediction in predictions.values():
        kinds = 2 * kinds + (prediction.predicted != prediction.labels)
    return choose_evenly(kinds, count, seed)


def read_examples(
    arrays: Path, split: str, prediction: Prediction, rows: NDArray[np.int64], own_splits: bool
) -> Examples:
    """Read the images that belong to rows of a prediction; with `own_splits` they come from any split's arrays."""
    parts = [load_arrays(arrays, name) for name in (SPLITS if own_splits else (split,))]
    index = prediction.index[rows]
    images = Rows(tuple(part.images for part in parts), index)[np.arange(len(rows))]
    names = [name for part in parts for name in part.members]
    return Examples(images, [names[i] for i in index], rows)
