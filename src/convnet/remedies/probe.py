"""Logistic regression on the features of a frozen backbone, in place of a trained head."""

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from convnet.params.remedies import Remedy
from convnet.params.section import Section

PENALTIES = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0)  # of C, from strong to weak


class Probe(Section):
    """Its penalty is chosen on the validation images."""

    iterations: Annotated[int, Field(ge=1)] = 1000  # at most, of each fit


def _solve(
    settings: Probe, training: tuple[NDArray[Any], ...], validation: tuple[NDArray[Any], ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return kernel (features, units) and bias of the output layer.

    The features are standardised; kernel and bias take them as they are. Equal losses choose the stronger penalty.

    Args:
        settings: of the probe.
        training: features, labels, and the weight of each row.
        validation: features and labels.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.preprocessing import StandardScaler

    rows, labels, weights = training
    scaler = StandardScaler().fit(rows.astype(np.float64))
    scaled, seen = scaler.transform(rows.astype(np.float64)), scaler.transform(validation[0].astype(np.float64))
    found = []
    for penalty in PENALTIES:
        model = LogisticRegression(C=penalty, max_iter=settings.iterations, tol=1e-6)
        model.fit(scaled, labels, sample_weight=weights)
        found.append((log_loss(validation[1], model.predict_proba(seen), labels=model.classes_), model))
    best = min(found, key=lambda pair: pair[0])[1]
    kernel = (best.coef_ / scaler.scale_).T
    return kernel, best.intercept_ - scaler.mean_ @ kernel


REMEDY = Remedy(
    sentence="A logistic regression on the features of the frozen backbone replaces the trained head.",
    source='Kornblith et al., "Do Better ImageNet Models Transfer Better?", 2019',
    settings=Probe,
    on_features="It is computed from the cached features.",
    needs_features=True,
    excludes=("cutmix", "dropout", "ema", "l2", "label_smoothing", "mixup", "weight_decay"),
    solve=_solve,
)
