"""What the last layer looks like for a number of classes, and how its outputs become probabilities."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convnet.params.section import Labels


@dataclass(frozen=True)
class Head:
    """The output layer and the loss that belongs to it, by their Keras names."""

    units: int
    activation: str
    loss: str
    one_hot: bool


def choose_head(classes: int, labels: Labels) -> Head:
    """Return the course's head: one sigmoid for 2 classes, a softmax for more.

    Args:
        classes: number of classes, at least 2.
        labels: for 3 classes and more, integers (`sparse`) or one-hot vectors; both give the same loss.
    """
    if classes < 2:
        raise ValueError(f"a classifier needs at least 2 classes, not {classes}")
    if classes == 2:
        return Head(units=1, activation="sigmoid", loss="binary_crossentropy", one_hot=False)
    if labels == "one_hot":
        return Head(units=classes, activation="softmax", loss="categorical_crossentropy", one_hot=True)
    return Head(units=classes, activation="softmax", loss="sparse_categorical_crossentropy", one_hot=False)


def encode_labels(labels: NDArray[np.int64], head: Head) -> NDArray[np.float32]:
    """Return the targets that the head's loss takes: (n, 1), or (n, units) where one-hot.

    Args:
        labels: class numbers, shape (n,).
        head: from `choose_head`.
    """
    if head.one_hot:
        return np.eye(head.units, dtype=np.float32)[labels]
    return labels.astype(np.float32)[:, np.newaxis]


def as_probabilities(outputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return one probability per class, shape (n, classes), from the head's outputs (n, units)."""
    outputs = np.asarray(outputs, dtype=np.float32)
    if outputs.shape[1] == 1:  # sigmoid: the probability of class 1
        return np.concatenate([1.0 - outputs, outputs], axis=1)
    return outputs
