"""Metrics against scikit-learn on the same numbers."""

import math

import numpy as np
import pytest
from sklearn import metrics as oracle

from convnet.evaluation import metrics
from convnet.evaluation.schema import HistoryRow
from convnet.system.errors import UserError

CLASSES = ["paper", "rock", "scissors"]


@pytest.fixture
def split() -> tuple[np.ndarray, np.ndarray]:
    """Three unequal classes and a model that is often wrong."""
    generator = np.random.default_rng(7)
    labels = generator.choice(3, size=400, p=[0.6, 0.3, 0.1])
    logits = generator.normal(size=(400, 3)) * 2 + 1.5 * np.eye(3)[labels]
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), labels


def test_every_number_agrees_with_scikit_learn(split):
    probabilities, labels = split
    predicted = probabilities.argmax(axis=1)
    found = metrics.evaluate_split(probabilities, labels, CLASSES)
    assert found.n == 400
    assert found.accuracy == pytest.approx(oracle.accuracy_score(labels, predicted))
    assert found.loss == pytest.approx(oracle.log_loss(labels, probabilities))
    assert found.balanced_accuracy == pytest.approx(oracle.balanced_accuracy_score(labels, predicted))
    assert found.macro_f1 == pytest.approx(oracle.f1_score(labels, predicted, average="macro"))
    assert found.confusion == oracle.confusion_matrix(labels, predicted).tolist()
    recall = oracle.recall_score(labels, predicted, average=None)
    assert list(found.recall.values()) == pytest.approx(list(recall))
    assert list(found.recall) == CLASSES


def test_confusion_rows_are_true_classes():
    found = metrics.evaluate_split(np.array([[0.1, 0.9]] * 3), np.array([0, 0, 1]), CLASSES[:2])
    assert found.confusion == [[0, 2], [0, 1]]


def test_reliability_bins_by_hand():
    probabilities = np.array([[0.55, 0.45], [0.6, 0.4], [0.95, 0.05], [0.0, 1.0]])
    labels = np.array([0, 1, 0, 1])
    rows = metrics.reliability(probabilities, labels)
    assert [row.n for row in rows] == [0, 0, 0, 0, 0, 2, 0, 0, 0, 2]  # 0.6 belongs to the bin it closes
    assert rows[5].confidence == pytest.approx(0.575)
    assert rows[5].accuracy == 0.5
    assert rows[0].confidence is None
    assert rows[0].accuracy is None
    # (2 * |0.575 - 0.5| + 2 * |0.975 - 1|) / 4
    assert metrics.calibration_error(probabilities, labels) == pytest.approx(0.05)


@pytest.mark.parametrize("bins", [10, 15])
def test_calibration_error_agrees_with_a_direct_sum(split, bins):
    probabilities, labels = split
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    direct = 0.0
    for index in range(bins):
        here = (confidence > index / bins) & (confidence <= (index + 1) / bins)
        if here.any():
            direct += here.mean() * abs(confidence[here].mean() - correct[here].mean())
    assert metrics.calibration_error(probabilities, labels, bins) == pytest.approx(direct)
    assert len(metrics.reliability(probabilities, labels, bins)) == bins


def test_confidence_rounded_above_one_stays_in_the_last_bin():
    above = np.array([[np.nextafter(np.float32(1), np.float32(2)), 0.0]], dtype=np.float32)
    assert metrics.reliability(above, np.array([0]))[-1].n == 1


def test_certain_and_wrong_gives_a_finite_loss():
    assert metrics.log_loss(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-math.log(1e-7))


def test_class_without_images_has_no_recall_and_does_not_count():
    found = metrics.evaluate_split(np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1]]), np.array([0, 1]), CLASSES)
    assert found.recall == {"paper": 1.0, "rock": 1.0, "scissors": None}
    assert found.balanced_accuracy == 1.0
    assert found.macro_f1 == 1.0


@pytest.mark.parametrize(
    ("probabilities", "labels", "words"),
    [
        (np.empty((0, 2)), np.empty(0, int), "without images"),
        (np.array([[np.nan, np.nan]]), np.array([0]), "diverged"),
        (np.array([[0.7]]), np.array([0]), "sum to 1"),
        (np.array([[0.5, 0.5]]), np.array([2]), "knows 2 classes"),
        (np.array([[0.5, 0.5]]), np.array([0, 1]), "do not fit"),
    ],
)
def test_unusable_predictions_are_a_user_error(probabilities, labels, words):
    with pytest.raises(UserError, match=words):
        metrics.evaluate_split(probabilities, labels, CLASSES[: probabilities.shape[1]])


def test_wrong_number_of_class_names_is_a_user_error():
    with pytest.raises(UserError, match="3 class names"):
        metrics.evaluate_split(np.array([[0.5, 0.5]]), np.array([0]), CLASSES)


def history(losses: list[float]) -> list[HistoryRow]:
    """Rows whose accuracy rises by 0.1 an epoch while validation accuracy stays at 0.5."""
    return [
        HistoryRow(
            seed=0,
            epoch=i + 1,
            accuracy=0.5 + i / 10,
            loss=0.5,
            validation_accuracy=0.5,
            validation_loss=loss,
            learning_rate=0.001,
        )
        for i, loss in enumerate(losses)
    ]


def test_overfitting_is_read_off_the_lowest_validation_loss():
    found = metrics.overfitting(history([0.9, 0.4, 0.4, 0.7])[::-1])  # row order does not matter
    assert found.model_dump() == {
        "best_epoch": 2,
        "validation_loss_rise": pytest.approx(0.3),
        "gap_at_best_epoch": pytest.approx(0.1),
        "gap_at_last_epoch": pytest.approx(0.3),
        "epochs": 4,
    }


def test_validation_loss_that_falls_to_the_end_has_no_rise():
    found = metrics.overfitting(history([0.9, 0.5, 0.4]))
    assert (found.best_epoch, found.validation_loss_rise) == (3, 0.0)


def test_diverged_and_empty_histories_are_user_errors():
    with pytest.raises(UserError, match="epoch 2"):
        metrics.overfitting(history([0.9, math.nan]))
    with pytest.raises(UserError, match="empty"):
        metrics.overfitting([])
