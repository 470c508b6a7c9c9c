"""How good one model is on one split, and how much it overfits: numbers from probabilities and labels."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from convnet.evaluation.schema import HistoryRow, Overfitting, ReliabilityBin, SplitMetrics
from convnet.system.errors import UserError

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]

LEVEL = 0.95  # of every interval
# Keras clips probabilities here before it takes the logarithm, so our loss and its history agree.
SMALLEST_PROBABILITY = 1e-7
RELIABILITY_BINS = 10


def accuracy(probabilities: Floats, labels: Integers) -> float:
    """Return the share of images whose most probable class is the true one, 0..1.

    Args:
        probabilities: (n, classes), each row sums to 1.
        labels: (n,) class indices.
    """
    return float(np.mean(probabilities.argmax(axis=1) == labels))


def log_loss(probabilities: Floats, labels: Integers) -> float:
    """Return the mean cross-entropy in nats: 0 is perfect, ln(classes) is a uniform guess; p counts as 1e-7 or more."""
    true_class = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(true_class, SMALLEST_PROBABILITY, 1.0)).mean())


def confusion_matrix(predicted: Integers, labels: Integers, class_count: int) -> npt.NDArray[np.int64]:
    """Return the (classes, classes) counts: rows are true classes, columns predicted ones."""
    counts = np.bincount(labels * class_count + predicted, minlength=class_count * class_count)
    return counts.reshape(class_count, class_count).astype(np.int64)


def recall_per_class(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the (classes,) share of each true class that was found; NaN for a class without images."""
    images = confusion.sum(axis=1)
    recall = np.full(len(images), np.nan)
    np.divide(confusion.diagonal(), images, out=recall, where=images > 0)
    return recall


def balanced_accuracy(probabilities: Floats, labels: Integers) -> float:
    """Return the mean recall over the classes that have images, 0..1."""
    return float(np.nanmean(recall_per_class(_confusion(probabilities, labels))))


def macro_f1(probabilities: Floats, labels: Integers) -> float:
    """Return the mean F1 over the classes that occur as true or predicted class, 0..1."""
    confusion = _confusion(probabilities, labels)
    found, involved = confusion.diagonal(), confusion.sum(axis=0) + confusion.sum(axis=1)
    return float(np.mean(2 * found[involved > 0] / involved[involved > 0]))


def reliability(probabilities: Floats, labels: Integers, bins: int = RELIABILITY_BINS) -> list[ReliabilityBin]:
    """Compare stated confidence with reached accuracy in equal-width bins of confidence.

    Args:
        probabilities: (n, classes).
        labels: (n,).
        bins: number of bins in 0..1; a bin holds its upper edge, not its lower one, as in Guo et al. 2017.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0.0, 1.0, bins + 1)
    # The inner edges alone, so that rounding above 1 cannot fall off the last bin.
    which = np.searchsorted(edges[1:-1], confidence, side="left")
    rows = []
    for index in range(bins):
        here = which == index
        count = int(here.sum())
        rows.append(
            ReliabilityBin(
                lower=float(edges[index]),
                upper=float(edges[index + 1]),
                n=count,
                confidence=float(confidence[here].mean()) if count else None,
                accuracy=float(correct[here].mean()) if count else None,
            )
        )
    return rows


def calibration_error(probabilities: Floats, labels: Integers, bins: int = RELIABILITY_BINS) -> float:
    """Return the expected calibration error, 0..1: |confidence - accuracy| averaged over images.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017, equation 3.
    """
    off = 0.0
    for row in reliability(probabilities, labels, bins):
        if row.confidence is not None and row.accuracy is not None:
            off += row.n * abs(row.confidence - row.accuracy)
    return float(off / len(labels))


class Metric(NamedTuple):
    """One number of a split, from probabilities (n, classes) and labels (n,)."""

    compute: Callable[[Floats, Integers], float]
    words: str


# By the field of `SplitMetrics`.
METRICS = {
    "accuracy": Metric(accuracy, "accuracy"),
    "balanced_accuracy": Metric(balanced_accuracy, "balanced accuracy"),
    "macro_f1": Metric(macro_f1, "macro F1"),
    "loss": Metric(log_loss, "loss"),
    "calibration_error": Metric(calibration_error, "calibration error"),
}


def evaluate_split(probabilities: Floats, labels: Integers, classes: Sequence[str]) -> SplitMetrics:
    """Return every number of one seed on one split.

    Args:
        probabilities: (n, classes), each row sums to 1.
        labels: (n,) class indices.
        classes: class names in index order.

    Raises:
        UserError: no images, shapes or labels that do not fit, or values that are not probabilities.
    """
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    _check(probabilities, labels, len(classes))
    confusion = _confusion(probabilities, labels)
    recall = [None if math.isnan(share) else float(share) for share in recall_per_class(confusion)]
    return SplitMetrics.model_validate(
        {name: metric.compute(probabilities, labels) for name, metric in METRICS.items()}
        | {
            "n": len(labels),
            "recall": dict(zip(classes, recall, strict=True)),
            "confusion": confusion.tolist(),
            "reliability": reliability(probabilities, labels),
        }
    )


def _confusion(probabilities: Floats, labels: Integers) -> npt.NDArray[np.int64]:
    return confusion_matrix(probabilities.argmax(axis=1), labels, probabilities.shape[1])


def _check(probabilities: Floats, labels: Integers, classes: int) -> None:
    if labels.ndim != 1 or probabilities.ndim != 2 or len(labels) != len(probabilities):
        raise UserError(f"probabilities {probabilities.shape} do not fit labels {labels.shape}: (n, classes) and (n,)")
    if probabilities.shape[1] != classes:
        raise UserError(f"{probabilities.shape[1]} probabilities per image but {classes} class names; train again")
    if len(labels) == 0:
        raise UserError("a split without images cannot be evaluated; give it a share of the images")
    if not np.isfinite(probabilities).all():
        raise UserError("some predicted probabilities are not numbers: training diverged; lower the learning rate")
    # 1e-3 leaves room for half-precision softmax, yet a sigmoid column passed as (n, 1) is caught.
    if probabilities.min() < 0 or np.abs(probabilities.sum(axis=1) - 1).max() > 1e-3:
        raise UserError("predicted probabilities must be within 0..1 and sum to 1 per image; check the output layer")
    if labels.min() < 0 or labels.max() >= classes:
        raise UserError(f"a label is {labels.max()} but the model knows {classes} classes; train again")


def overfitting(rows: Sequence[HistoryRow]) -> Overfitting:
    """Return when the training of one seed began to overfit, and how far it went.

    Args:
        rows: one per epoch, in any order.

    Raises:
        UserError: no rows, or a loss that is not a number.
    """
    if not rows:
        raise UserError("the training history is empty; train again with at least one epoch")
    rows = sorted(rows, key=lambda row: row.epoch)
    for row in rows:
        if not math.isfinite(row.validation_loss):
            raise UserError(
                f"the validation loss is not a number in epoch {row.epoch}: lower the learning rate, train again"
            )
    best, last = min(rows, key=lambda row: row.validation_loss), rows[-1]
    return Overfitting(
        epochs=len(rows),
        best_epoch=best.epoch,
        validation_loss_rise=last.validation_loss - best.validation_loss,
        gap_at_best_epoch=best.accuracy - best.validation_accuracy,
        gap_at_last_epoch=last.accuracy - last.validation_accuracy,
    )
