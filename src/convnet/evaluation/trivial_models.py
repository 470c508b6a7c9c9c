"""Models that a network has to beat: the most frequent class, and colours with a thumbnail.

A network that scores no better than a logistic regression on 64 colour shares and an 8 x 8 thumbnail has learnt
colours and backgrounds, not objects.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from convnet.data.splits import SPLITS
from convnet.evaluation.metrics import evaluate_split, log_loss
from convnet.evaluation.schema import TrivialModel
from convnet.system.errors import UserError

Images = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]

THUMBNAIL = 8  # pixels a side
COLOUR_LEVELS = 4  # per channel: 4^3 = 64 colours
# Larger images are read at every k-th pixel only: means and shares of 64 x 64 pixels are as good and far faster.
PIXELS_A_SIDE = 64
# More training images than this barely move 256 coefficients; an evenly spaced subset keeps 25,000 images fast.
MOST_TRAIN_IMAGES = 5_000
PENALTIES = (0.001, 0.01, 0.1, 1.0)  # inverse strengths C, chosen by validation log loss
IMAGES_AT_ONCE = 256

MAJORITY = "most frequent class"
THUMBNAILS = "colours and thumbnail"


def colour_features(images: Images) -> npt.NDArray[np.float32]:
    """Return (n, 256): shares of 64 colours, then the means of an 8 x 8 grid in 3 channels, all in 0..1.

    Args:
        images: (n, height, width, 3), may be memory-mapped: 256 images are in memory at a time.
    """
    batches = [_features(np.asarray(images[i : i + IMAGES_AT_ONCE])) for i in range(0, len(images), IMAGES_AT_ONCE)]
    return np.concatenate(batches)


def _features(images: Images) -> npt.NDArray[np.float32]:
    images = images[:, :: max(1, images.shape[1] // PIXELS_A_SIDE), :: max(1, images.shape[2] // PIXELS_A_SIDE)]
    count, height, width, _ = images.shape
    levels = (images // (256 // COLOUR_LEVELS)).astype(np.int64)
    colour = (levels[..., 0] * COLOUR_LEVELS + levels[..., 1]) * COLOUR_LEVELS + levels[..., 2]
    colours = COLOUR_LEVELS**3
    image_and_colour = np.arange(count)[:, None, None] * colours + colour  # one bincount for the whole batch
    shares = np.bincount(image_and_colour.ravel(), minlength=count * colours).reshape(count, colours) / (height * width)
    grid = _cell_means(_cell_means(images.astype(np.float32), axis=1), axis=2) / 255
    return np.concatenate([shares, grid.reshape(count, -1)], axis=1).astype(np.float32)


def _cell_means(pixels: npt.NDArray[np.float32], axis: int) -> npt.NDArray[np.float32]:
    length = pixels.shape[axis]
    starts = np.arange(THUMBNAIL) * length // THUMBNAIL
    sizes = np.maximum(np.diff(np.append(starts, length)), 1)  # an image below 8 pixels repeats some of them
    shape = [1] * pixels.ndim
    shape[axis] = THUMBNAIL
    means = np.add.reduceat(pixels, starts, axis=axis) / sizes.reshape(shape)
    return np.asarray(means, dtype=np.float32)


def majority_probabilities(train_labels: Integers, n: int, class_count: int) -> Floats:
    """Return (n, classes): the class shares of the training split, the same for every image."""
    shares = np.bincount(train_labels, minlength=class_count) / len(train_labels)
    return np.tile(shares, (n, 1))


def trivial_rows(
    train: tuple[Images, Integers],
    validation: tuple[Images, Integers],
    test: tuple[Images, Integers],
    classes: Sequence[str],
) -> list[TrivialModel]:
    """Fit the trivial models on the training split and evaluate them; deterministic.

    Args:
        train: images (n, height, width, 3) and labels (n,). Above 5,000 images every k-th is used.
        validation: likewise; chooses the strength of the penalty.
        test: likewise.
        classes: class names in index order.

    Raises:
        UserError: fewer than two classes in the training split.
    """
    labels = np.asarray(train[1])
    chosen = _evenly_spaced(labels)
    features = [colour_features(images) for images in (train[0][chosen], validation[0], test[0])]
    return _rows([_fit_models(features, [labels, validation[1], test[1]], labels[chosen], classes)], classes)


def trivial_rows_by_seed(
    parts: Sequence[Images],
    labels: Integers,
    divisions: Sequence[Mapping[str, Integers]],
    classes: Sequence[str],
) -> list[TrivialModel]:
    """Fit and evaluate the trivial models once for each seed that has its own split.

    Args:
        parts: images of all splits of the arrays, (n, height, width, 3) each.
        labels: of all of them joined.
        divisions: by seed, rows of the joined images for train, validation and test.
        classes: class names in index order.

    Raises:
        UserError: as `trivial_rows` does.
    """
    features = np.concatenate([colour_features(images) for images in parts])
    fits = []
    for division in divisions:
        of_splits = [labels[division[split]] for split in SPLITS]
        chosen = _evenly_spaced(of_splits[0])
        rows = [division["train"][chosen], division["validation"], division["test"]]
        fits.append(_fit_models([features[index] for index in rows], of_splits, of_splits[0][chosen], classes))
    return _rows(fits, classes)


class _Fit(NamedTuple):
    """One trivial model on one split of the images."""

    name: str
    train_images: int
    penalty: float | None
    probabilities: Sequence[Floats]  # of validation and test images
    labels: Sequence[Integers]  # likewise


def _fit_models(
    features: Sequence[npt.NDArray[np.float32]],
    labels: Sequence[Integers],
    train_labels: Integers,
    classes: Sequence[str],
) -> list[_Fit]:
    """Fit both models.

    Args:
        features: of the chosen training images, of validation and of test images.
        labels: of all training images, of validation and of test images.
        train_labels: of the chosen training images.
        classes: class names in index order.
    """
    if len(np.unique(labels[0])) < 2:
        raise UserError("the training split holds fewer than two classes; check the split's shares and the dataset")
    truth = [np.asarray(true) for true in labels[1:]]
    majority = [majority_probabilities(labels[0], len(true), len(classes)) for true in truth]
    fits = {}
    for penalty in PENALTIES:
        model = _fit(features[0], train_labels, penalty)
        fits[penalty] = [_probabilities(model, values, len(classes)) for values in features[1:]]
    best = min(PENALTIES, key=lambda penalty: log_loss(fits[penalty][0], truth[0]))  # the strongest of equals
    return [
        _Fit(MAJORITY, len(labels[0]), None, majority, truth),
        _Fit(THUMBNAILS, len(train_labels), best, fits[best], truth),
    ]


def _evenly_spaced(labels: Integers) -> npt.NDArray[np.int64]:
    """Return sorted row indices: all, or every k-th of the rows in class order, so that class shares stay."""
    order = np.argsort(labels, kind="stable")
    step = -(-len(labels) // MOST_TRAIN_IMAGES)
    return np.sort(order[::step])


def _fit(features: npt.NDArray[np.float32], labels: Integers, penalty: float) -> Pipeline:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=300))
    # One thread: more are up to 25 times slower on a busy machine, and would let the core count change bits.
    with threadpool_limits(1), warnings.catch_warnings():
        # An unfinished fit is still a valid classifier.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features, labels)


def _probabilities(model: Pipeline, features: npt.NDArray[np.float32], class_count: int) -> Floats:
    """Return (n, classes), with 0 for a class that has no training image."""
    probabilities = np.zeros((len(features), class_count))
    probabilities[:, model.classes_] = model.predict_proba(features)
    return probabilities


def _rows(by_seed: Sequence[Sequence[_Fit]], classes: Sequence[str]) -> list[TrivialModel]:
    """Evaluate each model on the validation and on the test images of all its fits."""
    rows = []
    for fits in zip(*by_seed, strict=True):
        splits = {
            split: evaluate_split(
                np.concatenate([fit.probabilities[part] for fit in fits]),
                np.concatenate([fit.labels[part] for fit in fits]),
                classes,
            )
            for part, split in enumerate(("validation", "test"))
        }
        penalties = {fit.penalty for fit in fits}
        rows.append(
            TrivialModel(
                name=fits[0].name,
                train_images=fits[0].train_images,
                penalty=penalties.pop() if len(penalties) == 1 else None,
                splits=splits,
                test_predictions=[fit.probabilities[1].argmax(axis=1).tolist() for fit in fits],
            )
        )
    return rows
