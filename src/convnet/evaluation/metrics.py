"""How good one model is on one split, and how much it overfits: numbers from probabilities and labels."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from convnet.system.errors import UserError

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]

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


def log_loss_per_image(probabilities: Floats, labels: Integers) -> npt.NDArray[np.float64]:
    """Return the (n,) cross-entropies -ln p(true class), with p clipped to at least 1e-7."""
    true_class = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return np.asarray(-np.log(np.clip(true_class, SMALLEST_PROBABILITY, 1.0)), dtype=np.float64)


def log_loss(probabilities: Floats, labels: Integers) -> float:
    """Return the mean cross-entropy in nats: 0 is perfect, ln(classes) is a uniform guess."""
    return float(log_loss_per_image(probabilities, labels).mean())


def brier(probabilities: Floats, labels: Integers) -> float:
    """Return the multi-class Brier score, 0 (perfect) to 2: mean squared distance to the one-hot truth.

    Source: G. W. Brier, "Verification of forecasts expressed in terms of probability", 1950.
    """
    truth = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


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


def balanced_accuracy(confusion: npt.NDArray[np.int64]) -> float:
    """Return the mean recall over the classes that have images, 0..1."""
    return float(np.nanmean(recall_per_class(confusion)))


def macro_f1(confusion: npt.NDArray[np.int64]) -> float:
    """Return the mean F1 over the classes that occur as true or predicted class, 0..1."""
    found, involved = confusion.diagonal(), confusion.sum(axis=0) + confusion.sum(axis=1)
    return float(np.mean(2 * found[involved > 0] / involved[involved > 0]))


def reliability(probabilities: Floats, labels: Integers, bins: int = RELIABILITY_BINS) -> list[dict[str, Any]]:
    """Compare stated confidence with reached accuracy in equal-width bins of confidence.

    Args:
        probabilities: (n, classes).
        labels: (n,).
        bins: how many bins share 0..1; a bin holds its upper edge, not its lower one, as in Guo et al. 2017.

    Returns:
        One row per bin: `lower`, `upper`, `n`, `confidence` and `accuracy` (None in an empty bin).
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0.0, 1.0, bins + 1)
    # The inner edges alone, so that rounding above 1 cannot fall off the last bin.
    which = np.searchsorted(edges[1:-1], confidence, side="left")
    rows: list[dict[str, Any]] = []
    for index in range(bins):
        here = which == index
        count = int(here.sum())
        rows.append(
            {
                "lower": float(edges[index]),
                "upper": float(edges[index + 1]),
                "n": count,
                "confidence": float(confidence[here].mean()) if count else None,
                "accuracy": float(correct[here].mean()) if count else None,
            }
        )
    return rows


def calibration_error(rows: Sequence[Mapping[str, Any]]) -> float:
    """Return the expected calibration error, 0..1: |confidence - accuracy| averaged over images.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017, equation 3.

    Args:
        rows: what `reliability` returned.
    """
    total = sum(row["n"] for row in rows)
    return float(sum(row["n"] * abs(row["confidence"] - row["accuracy"]) for row in rows if row["n"]) / total)


def evaluate_split(
    probabilities: Floats, labels: Integers, classes: Sequence[str] | None = None, bins: int = RELIABILITY_BINS
) -> dict[str, Any]:
    """Return every number an evaluation holds for one seed and one split, ready for JSON.

    Args:
        probabilities: (n, classes), each row sums to 1.
        labels: (n,) class indices.
        classes: class names in index order; the index itself where None.
        bins: reliability bins.

    Returns:
        n, accuracy, loss (nats), balanced_accuracy, macro_f1, recall (None for a class without images),
        calibration_error, confusion (rows true, columns predicted), reliability.

    Raises:
        UserError: no images, shapes or labels that do not fit, or values that are no probabilities.
    """
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    _check(probabilities, labels)
    names = [str(index) for index in range(probabilities.shape[1])] if classes is None else list(classes)
    if len(names) != probabilities.shape[1]:
        raise UserError(f"{probabilities.shape[1]} probabilities per image but {len(names)} class names; train again")
    confusion = confusion_matrix(probabilities.argmax(axis=1), labels, len(names))
    recall = recall_per_class(confusion)
    rows = reliability(probabilities, labels, bins)
    return {
        "n": len(labels),
        "accuracy": accuracy(probabilities, labels),
        "loss": log_loss(probabilities, labels),
        "balanced_accuracy": balanced_accuracy(confusion),
        "macro_f1": macro_f1(confusion),
        "recall": {name: None if math.isnan(r) else float(r) for name, r in zip(names, recall, strict=True)},
        "calibration_error": calibration_error(rows),
        "confusion": confusion.tolist(),
        "reliability": rows,
    }


def _check(probabilities: Floats, labels: Integers) -> None:
    if labels.ndim != 1 or probabilities.ndim != 2 or len(labels) != len(probabilities):
        raise UserError(f"probabilities {probabilities.shape} do not fit labels {labels.shape}: (n, classes) and (n,)")
    if len(labels) == 0:
        raise UserError("a split without images cannot be evaluated; give it a share of the images")
    if not np.isfinite(probabilities).all():
        raise UserError("some predicted probabilities are not numbers: training diverged; lower the learning rate")
    # 1e-3 leaves room for half-precision softmax, yet a sigmoid column passed as (n, 1) is caught.
    if probabilities.min() < 0 or np.abs(probabilities.sum(axis=1) - 1).max() > 1e-3:
        raise UserError("predicted probabilities must lie in 0..1 and sum to 1 per image; check the output layer")
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise UserError(f"a label is {labels.max()} but the model knows {probabilities.shape[1]} classes; train again")


def overfitting(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return when one seed's training began to overfit, and how far it went.

    Args:
        rows: one history row per epoch: epoch (from 1), accuracy, validation_accuracy, validation_loss.

    Returns:
        best_epoch (lowest validation loss, the first of equals), validation_loss_rise (last minus lowest, nats),
        gap_at_best_epoch and gap_at_last_epoch (accuracy - validation_accuracy as logged: the training accuracy is a
        running mean over the epoch, with augmentation and dropout on), epochs.

    Raises:
        UserError: no rows, or a loss that is not a number.
    """
    if not rows:
        raise UserError("the training history is empty; train again with at least one epoch")
    rows = sorted(rows, key=lambda row: int(row["epoch"]))
    losses = [float(row["validation_loss"]) for row in rows]
    if not all(math.isfinite(loss) for loss in losses):
        epoch = next(int(row["epoch"]) for row, loss in zip(rows, losses, strict=True) if not math.isfinite(loss))
        raise UserError(f"the validation loss is not a number in epoch {epoch}: lower the learning rate, train again")
    best = losses.index(min(losses))
    return {
        "best_epoch": int(rows[best]["epoch"]),
        "validation_loss_rise": losses[-1] - losses[best],
        "gap_at_best_epoch": _gap(rows[best]),
        "gap_at_last_epoch": _gap(rows[-1]),
        "epochs": len(rows),
    }


def _gap(row: Mapping[str, Any]) -> float:
    return float(row["accuracy"]) - float(row["validation_accuracy"])
