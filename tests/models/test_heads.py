import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, softmax
from sklearn.metrics import log_loss
from sklearn.preprocessing import OneHotEncoder

from convnet.models.heads import as_probabilities, choose_head, encode_labels

LOGITS = st.floats(-8.0, 8.0, width=32)


def test_two_classes_get_one_sigmoid_whatever_the_labels() -> None:
    sparse, one_hot = choose_head(2, "sparse"), choose_head(2, "one_hot")
    assert sparse == one_hot
    assert (sparse.units, sparse.activation, sparse.loss) == (1, "sigmoid", "binary_crossentropy")


@pytest.mark.parametrize(
    ("labels", "loss"), [("sparse", "sparse_categorical_crossentropy"), ("one_hot", "categorical_crossentropy")]
)
def test_more_classes_get_a_softmax(labels: str, loss: str) -> None:
    head = choose_head(5, labels)  # type: ignore[arg-type]
    assert (head.units, head.activation, head.loss) == (5, "softmax", loss)


@pytest.mark.parametrize("classes", [0, 1])
def test_one_class_is_refused(classes: int) -> None:
    with pytest.raises(ValueError, match="at least 2 classes"):
        choose_head(classes, "sparse")


def test_labels_for_a_sigmoid_are_one_column() -> None:
    targets = encode_labels(np.array([0, 1, 1]), choose_head(2, "sparse"))
    assert targets.dtype == np.float32
    assert targets.tolist() == [[0.0], [1.0], [1.0]]


def test_one_hot_labels_are_those_of_sklearn() -> None:
    labels = np.array([2, 0, 1, 2])
    expected = OneHotEncoder(sparse_output=False).fit_transform(labels[:, np.newaxis])
    assert np.array_equal(encode_labels(labels, choose_head(3, "one_hot")), expected)


def test_sparse_labels_keep_their_numbers() -> None:
    assert encode_labels(np.array([2, 0]), choose_head(3, "sparse")).tolist() == [[2.0], [0.0]]


@given(logits=arrays(np.float64, 12, elements=LOGITS))
def test_one_sigmoid_is_a_softmax_of_two(logits: np.ndarray) -> None:
    """A sigmoid of z is the softmax of (0, z), so its binary cross-entropy is the cross-entropy over two classes."""
    labels = np.arange(12) % 2
    two_columns = softmax(np.stack([np.zeros(12), logits], axis=1), axis=1)
    probabilities = as_probabilities(expit(logits)[:, np.newaxis].astype(np.float32))
    assert probabilities == pytest.approx(two_columns, abs=1e-6)
    targets = encode_labels(labels, choose_head(2, "sparse"))[:, 0]
    sigmoid = expit(logits)
    binary = -np.mean(targets * np.log(sigmoid) + (1 - targets) * np.log(1 - sigmoid))
    assert binary == pytest.approx(log_loss(labels, two_columns), rel=1e-6)


def test_probabilities_of_a_softmax_stay_as_they_are() -> None:
    outputs = np.array([[0.2, 0.3, 0.5]], dtype=np.float32)
    assert np.array_equal(as_probabilities(outputs), outputs)


def test_probabilities_of_a_sigmoid_sum_to_one_and_the_second_is_its_output() -> None:
    probabilities = as_probabilities(np.array([[0.25], [1.0]], dtype=np.float32))
    assert probabilities.dtype == np.float32
    assert probabilities.tolist() == [[0.75, 0.25], [0.0, 1.0]]
