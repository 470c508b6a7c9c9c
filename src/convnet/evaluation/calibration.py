"""Temperature scaling: one number that makes a model's confidence match its accuracy."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from convnet.evaluation.metrics import SMALLEST_PROBABILITY, calibration_error, log_loss
from convnet.evaluation.schema import Temperature

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]

# A validation split without a single error asks for temperature 0 (certainty); the bound keeps it finite.
COLDEST, HOTTEST = 0.05, 20.0


def apply_temperature(probabilities: Floats, temperature: float) -> npt.NDArray[np.float64]:
    """Return softmax(ln p / T): T > 1 makes the model less sure, T < 1 surer; no predicted class changes.

    Args:
        probabilities: (n, classes).
        temperature: T, above 0.
    """
    logits = np.log(np.clip(probabilities.astype(np.float64), SMALLEST_PROBABILITY, 1.0))
    return np.asarray(special.softmax(logits / temperature, axis=1), dtype=np.float64)


def fit_temperature(probabilities: Floats, labels: Integers) -> float:
    """Return the temperature, 0.05..20, with the least log loss; fit it on validation images, never on test images.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2.

    Args:
        probabilities: (n, classes).
        labels: (n,).
    """
    from scipy import optimize  # imported late: it takes half a second

    def loss(log_temperature: float) -> float:
        return log_loss(apply_temperature(probabilities, float(np.exp(log_temperature))), labels)

    # The loss is convex in 1/T, so it has one valley in ln T as well.
    found = optimize.minimize_scalar(
        loss, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded", options={"xatol": 1e-8}
    )
    # Where nothing is left to gain the loss is flat and the search stops anywhere: then the bound is the answer.
    for bound in (COLDEST, HOTTEST):
        if loss(float(np.log(bound))) <= found.fun:
            return bound
    return float(np.exp(found.x))


def calibrate(
    validation_probabilities: Floats, validation_labels: Integers, test_probabilities: Floats, test_labels: Integers
) -> Temperature:
    """Fit the temperature on the validation split and report its effect on the test split."""
    temperature = fit_temperature(validation_probabilities, validation_labels)
    scaled = apply_temperature(test_probabilities, temperature)
    return Temperature(
        temperature=temperature,
        at_bound=temperature in (COLDEST, HOTTEST),
        calibration_error_before=calibration_error(test_probabilities, test_labels),
        calibration_error_after=calibration_error(scaled, test_labels),
        loss_before=log_loss(test_probabilities, test_labels),
        loss_after=log_loss(scaled, test_labels),
    )
