"""Rows of memory-mapped arrays, and the batches an epoch is made of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from convnet.backend.steps import plain_logs
from convnet.data import splits
from convnet.system.errors import UserError

# Rows predicted at once. Independent of the recipe, because the number changes bits of equal models. Fewer of large
# rows, so that predicting takes no more memory than training.
MOST_PREDICTED_AT_ONCE = 100
NUMBERS_PREDICTED_AT_ONCE = MOST_PREDICTED_AT_ONCE * 224 * 224 * 3


@dataclass(frozen=True)
class Rows:
    """Rows of one or more arrays seen as one, read only when asked for.

    Attributes:
        parts: arrays with equal shape after the first axis, usually memory-mapped.
        index: which rows of the concatenated parts these are, shape (n,).
    """

    parts: tuple[NDArray[Any], ...]
    index: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.index)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row."""
        return self.parts[0].shape[1:]

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the given rows as one array in memory."""
        wanted = self.index[rows]
        if len(self.parts) == 1:
            return np.asarray(self.parts[0][wanted])
        taken = np.empty((len(wanted), *self.parts[0].shape[1:]), self.parts[0].dtype)
        start = 0
        for part in self.parts:
            inside = (wanted >= start) & (wanted < start + len(part))
            taken[inside] = part[wanted[inside] - start]
            start += len(part)
        return taken


def all_rows(*parts: NDArray[Any]) -> Rows:
    """Return every row of `parts`, in order."""
    return Rows(parts, np.arange(sum(len(part) for part in parts), dtype=np.int64))


def load_features(folder: Path, name: str, pooling: str) -> NDArray[Any]:
    """Open cached features as one row per image, or per augmented view of an image.

    Args:
        folder: what the features stage wrote.
        name: a split, or `<split>_views`.
        pooling: `flatten` keeps every number; `average` takes the mean over height and width.

    Returns:
        `flatten`: float16 (n, height * width * channels), memory-mapped; `average`: float32 (n, channels).

    Raises:
        UserError: the file is missing or damaged.
    """
    path = folder / f"{name}.npy"
    try:
        maps = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} is missing or damaged ({error}); delete {folder} and run `dvc repro`") from error
    if pooling == "flatten" or maps.ndim == 2:
        flat: NDArray[Any] = maps.reshape(len(maps), -1)
        return flat
    means = [maps[start : start + 256].mean(axis=(1, 2), dtype=np.float32) for start in range(0, len(maps), 256)]
    return np.concatenate(means)


def epoch_order(images: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order in which an epoch sees the images: a permutation that depends on (seed, epoch) alone."""
    return np.random.default_rng([seed, epoch]).permutation(images)


def epoch_views(images: int, views: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return which cached augmented view of each image an epoch sees, 0..views-1, by (seed, epoch) alone."""
    return np.random.default_rng([seed, epoch, views]).integers(views, size=images)


class Batches:
    """Batches of rows in a given order, with targets to train on or without."""

    def __init__(
        self,
        rows: Rows,
        order: NDArray[np.int64],
        batch_size: int,
        targets: NDArray[np.float32] | None = None,
        weights: NDArray[np.float32] | None = None,
        draws: Sequence[NDArray[np.float32]] = (),
    ) -> None:
        """Make batches of `rows[order]`.

        `targets` and sample `weights` are indexed as the rows are. `draws` are the random numbers of remedies, each
        (len(order), count), in the order of the batches.
        """
        self._rows, self._order, self._batch_size = rows, order, batch_size
        self._targets, self._weights, self._draws = targets, weights, draws

    def __len__(self) -> int:
        """Return the number of batches; the last one may be smaller."""
        return -(-len(self._order) // self._batch_size)

    @property
    def images(self) -> int:
        """Rows in all batches."""
        return len(self._order)

    @property
    def whole(self) -> int:
        """Batches that are not smaller."""
        return len(self._order) // self._batch_size

    @property
    def row_bytes(self) -> int:
        """Bytes of the rows of one batch."""
        return self._batch_size * math.prod(self._rows.shape) * self._rows.parts[0].itemsize

    def stack(self, first: int, count: int) -> tuple[NDArray[Any], ...]:
        """Return `count` equal batches from `first` on, each part (count, batch, ...)."""
        return tuple(part.reshape(count, -1, *part.shape[1:]) for part in self._take(first, count))

    def __getitem__(self, number: int) -> tuple[NDArray[Any], ...]:
        """Return batch `number` as (rows,), (rows, targets) or (rows, targets, weights), and then the draws."""
        return self._take(number, 1)

    def _take(self, first: int, count: int) -> tuple[NDArray[Any], ...]:
        places = slice(first * self._batch_size, (first + count) * self._batch_size)
        chosen = self._order[places]
        batch: tuple[NDArray[Any], ...] = (self._rows[chosen],)
        if self._targets is not None:
            batch += (self._targets[chosen],)
        if self._weights is not None:
            batch += (self._weights[chosen],)
        return (*batch, *(draws[places] for draws in self._draws))


def prediction_batch(shape: tuple[int, ...]) -> int:
    """Return how many rows of that shape are predicted at once."""
    return max(1, min(MOST_PREDICTED_AT_ONCE, NUMBERS_PREDICTED_AT_ONCE // math.prod(shape)))


def measure(model: keras.Model, rows: Rows, targets: NDArray[np.float32]) -> dict[str, float]:
    """Return accuracy and plain loss of `rows` in inference mode: the means over all images."""
    batches = Batches(rows, np.arange(len(rows), dtype=np.int64), prediction_batch(rows.shape), targets)
    totals: dict[str, float] = {}
    for number in range(len(batches)):
        batch = batches[number]
        # Of this batch alone: Keras resets its metrics at every call.
        for name, value in model.test_on_batch(*batch, return_dict=True).items():
            totals[name] = totals.get(name, 0.0) + float(value) * len(batch[0])
    return plain_logs({name: total / batches.images for name, total in totals.items()})


def predict(model: keras.Model, rows: Rows) -> NDArray[np.float32]:
    """Return the model's outputs (n, ...) in inference mode, in row order."""
    batches = Batches(rows, np.arange(len(rows), dtype=np.int64), prediction_batch(rows.shape))
    outputs = [model.predict_on_batch(batches[number][0]) for number in range(len(batches))]
    return np.concatenate(outputs).astype(np.float32)


def class_weights(labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return one weight per image, so that classes weigh the same in the loss."""
    return splits.class_weights(labels).astype(np.float32)
