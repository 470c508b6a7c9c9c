"""Temperature scaling against scikit-learn's own."""

import numpy as np
import pytest
from scipy import special
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from convnet.evaluation.calibration import apply_temperature, calibrate, fit_temperature


class Given(ClassifierMixin, BaseEstimator):
    """A classifier whose decision values are its inputs: lets scikit-learn calibrate given logits."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> "Given":
        """Learn the class names."""
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        """Return the logits; for two classes one column, as scikit-learn has it."""
        return x[:, 1] - x[:, 0] if x.shape[1] == 2 else x

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return the most probable class."""
        return self.classes_[x.argmax(axis=1)]


def overconfident(classes: int, n: int = 600, heat: float = 2.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from softmax(logits), and the probabilities of a model `heat` times too sure of itself."""
    generator = np.random.default_rng([seed, classes])
    logits = 1.5 * generator.normal(size=(n, classes))
    labels = np.array([generator.choice(classes, p=p) for p in special.softmax(logits, axis=1)])
    return special.softmax(heat * logits, axis=1), labels


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_probabilities_agree_with_scikit_learn(classes):
    probabilities, labels = overconfident(classes)
    # The clipping at 1e-7 is ours alone, so give scikit-learn the clipped values.
    logits = np.log(np.clip(probabilities, 1e-7, 1))
    oracle = CalibratedClassifierCV(FrozenEstimator(Given().fit(logits, labels)), method="temperature")
    expected = oracle.fit(logits, labels).predict_proba(logits)
    found = apply_temperature(probabilities, fit_temperature(probabilities, labels))
    assert found == pytest.approx(expected, abs=2e-4)


def test_a_known_temperature_is_found_again():
    assert fit_temperature(*overconfident(4, n=20_000)) == pytest.approx(2.5, rel=0.05)


def test_scaling_corrects_overconfidence_and_moves_no_prediction():
    validation, test = overconfident(3, seed=1), overconfident(3, seed=2)
    found = calibrate(*validation, *test)
    assert found.temperature > 1
    assert not found.at_bound
    assert found.calibration_error_after < found.calibration_error_before / 2
    assert found.loss_after < found.loss_before
    scaled = apply_temperature(test[0], found.temperature)
    assert (scaled.argmax(axis=1) == test[0].argmax(axis=1)).all()


def test_temperature_one_changes_nothing():
    probabilities, _ = overconfident(3)
    assert apply_temperature(probabilities, 1.0) == pytest.approx(np.clip(probabilities, 1e-7, 1), abs=1e-6)


def test_validation_without_errors_is_reported_as_a_bound():
    probabilities = np.tile([0.9, 0.1], (50, 1))
    labels = np.zeros(50, dtype=int)
    found = calibrate(probabilities, labels, probabilities, labels)
    assert found.at_bound
    assert found.temperature == pytest.approx(0.05, rel=0.01)
