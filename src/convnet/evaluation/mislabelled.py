"""The images whose label is most likely wrong (confident learning; Northcutt, Jiang & Chuang 2021).

Every image is judged by a logistic regression that did not train on it, nor on a copy of it. The regression reads the
features of the dataset's frozen backbone. The result judges data; no verdict reads it.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

FOLDS = 5
MOST_ITERATIONS = 300
ROUNDING = 1e-6  # a probability that is equal to the threshold but for its last bits is confident

Integers = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]


class Judged(NamedTuple):
    """Probabilities of all classes for every image, from a model that did not train on it."""

    probabilities: Floats  # (n, classes)
    known: npt.NDArray[np.bool_]  # (n,): the model had training images of the image's own class


class Suspects(NamedTuple):
    """Images whose label is most likely wrong, the most certain one first."""

    rows: npt.NDArray[np.int64]
    suggested: npt.NDArray[np.int64]  # their likely labels


def judge(features: npt.NDArray[Any], labels: Integers, groups: Integers, class_count: int) -> Judged:
    """Judge every image in one of up to 5 folds; equal arguments give equal numbers.

    Args:
        features: (n, values).
        labels: (n,).
        groups: (n,), equal for images that must not be on both sides.
        class_count: number of classes, also of those without an image.
    """
    probabilities, known = np.zeros((len(labels), class_count)), np.zeros(len(labels), dtype=bool)
    folds = min(FOLDS, int(np.bincount(labels).max()), len(np.unique(groups)))
    if folds < 2:
        return Judged(probabilities, known)
    divided = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for train, held_out in divided.split(features, labels, groups):
            classes = np.unique(labels[train])
            if len(classes) < 2:
                continue
            model = fit_regression(features[train], labels[train])
            probabilities[np.ix_(held_out, classes)] = model.predict_proba(features[held_out])
            known[held_out] = np.isin(labels[held_out], classes)
    return Judged(probabilities, known)


def fit_regression(features: npt.NDArray[Any], labels: Integers) -> Pipeline:
    """Return a logistic regression on standardised features.

    Its penalty is that of a spread of 1 in the log-odds. Weaker penalties learn wrong labels by heart.
    """
    penalty = 1.0 / features.shape[1]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=MOST_ITERATIONS))
    with threadpool_limits(1), warnings.catch_warnings():  # one thread: the core count must not change bits
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features, labels)


def find_suspects(labels: Integers, probabilities: Floats) -> Suspects:
    """Return the images that are confidently of another class than their label.

    An image is confident of a class if its probability reaches the mean probability of that class among the images
    with that label. Of several such classes the most probable one counts. The order is that of the normalised margin.

    Args:
        labels: (n,), given.
        probabilities: (n, classes), of models that did not train on the image.
    """
    n, class_count = probabilities.shape
    own = probabilities[np.arange(n), labels]
    there = np.bincount(labels, minlength=class_count)
    means = np.bincount(labels, weights=own, minlength=class_count) / np.maximum(there, 1)
    thresholds = np.where(there > 0, means, np.inf)  # nothing is confident of a class without images
    confident = probabilities >= thresholds - ROUNDING
    best = probabilities.argmax(axis=1)
    likely = np.where(confident.sum(axis=1) > 1, best, confident.argmax(axis=1))
    # An image whose most probable class is its label stays out, even if it is confident of another class.
    rows = np.flatnonzero(confident.any(axis=1) & (likely != labels) & (best != labels))
    margins = own[rows] - probabilities[rows].max(axis=1)
    rows = rows[np.argsort(margins, kind="stable")]
    return Suspects(rows, likely[rows])
