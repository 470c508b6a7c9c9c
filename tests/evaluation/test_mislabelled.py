import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from convnet.evaluation.mislabelled import find_suspects, judge

# Written by cleanlab 2.9.0 for the inputs of `random_input`: `compute_confident_joint(labels, probabilities,
# calibrate=False)`, and `find_label_issues(labels, probabilities, filter_by="confident_learning",
# return_indices_ranked_by="normalized_margin")`.
CLEANLAB = {
    (0, 60, 3, 1.5): ([[9, 1, 0], [1, 13, 1], [1, 0, 11]], [36, 10, 49, 55]),
    (1, 200, 5, 1.0): (
        [[16, 1, 0, 5, 4], [1, 19, 4, 5, 4], [8, 5, 17, 3, 2], [3, 2, 8, 16, 3], [3, 3, 4, 3, 21]],
        [
            *(152, 34, 16, 181, 158, 184, 105, 100, 11, 162, 62, 186, 60, 47, 102, 8, 161, 29, 178, 87, 13, 101, 85, 1),
            *(154, 70, 104, 197, 44, 157, 93, 78, 125, 192, 55, 195, 90, 176, 71, 170, 66, 182, 57, 10, 167, 68, 151),
            *(
                160,
                48,
                97,
                17,
                77,
                32,
                110,
                20,
                134,
                156,
                39,
                65,
                159,
                111,
                41,
                56,
                175,
                15,
                119,
                171,
                137,
                173,
                25,
                94,
            ),
        ],
    ),
    (2, 40, 2, 1.0): ([[12, 0], [1, 10]], [35]),
}


def random_input(seed: int, n: int, classes: int, own: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return labels, and probabilities that favour them by `own` in the logit."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, n)
    logits = generator.normal(size=(n, classes))
    logits[np.arange(n), labels] += own
    values = np.exp(logits)
    return labels, values / values.sum(1, keepdims=True)


@pytest.mark.parametrize(("arguments", "expected"), CLEANLAB.items())
def test_suspects_and_counts_per_class_pair_are_those_of_cleanlab(
    arguments: tuple[int, int, int, float], expected: tuple[list[list[int]], list[int]]
) -> None:
    labels, probabilities = random_input(*arguments)
    found = find_suspects(labels, probabilities)
    assert found.rows.tolist() == expected[1]
    joint = np.asarray(expected[0])
    counts = np.zeros_like(joint)
    np.add.at(counts, (labels[found.rows], found.suggested), 1)
    np.testing.assert_array_equal(counts, joint - np.diag(joint.diagonal()))


def test_class_without_images_is_never_suggested() -> None:
    labels, probabilities = random_input(3, 50, 3, 1.0)
    few = labels[labels != 2]
    assert set(find_suspects(few, probabilities[labels != 2]).suggested) <= {0, 1}


@pytest.mark.parametrize("seed", range(3))
def test_planted_wrong_labels_are_found(seed: int) -> None:
    """5 % of 1,797 digits get another label. Measured: 61, 61 and 66 of 90 are found, among 65, 63 and 70 listed."""
    features, truth = load_digits(return_X_y=True)
    generator = np.random.default_rng(seed)
    planted = generator.choice(len(truth), round(0.05 * len(truth)), replace=False)
    labels = truth.copy()
    labels[planted] = (labels[planted] + generator.integers(1, 10, len(planted))) % 10
    judged = judge(features, labels, np.arange(len(labels)), 10)
    assert judged.known.all()
    found = find_suspects(labels, judged.probabilities)
    hits = np.isin(found.rows, planted)
    assert hits.sum() >= 0.6 * len(planted)
    assert hits.mean() >= 0.85
    assert np.mean(found.suggested[hits] == truth[found.rows[hits]]) >= 0.95


def test_no_model_judges_an_image_that_it_or_its_copy_trained_on() -> None:
    """Noise has no classes: a model is right about it only where it saw the image or its copy."""
    generator = np.random.default_rng(0)
    labels = np.arange(40) % 2
    features = generator.normal(size=(40, 100))  # pure noise, which 100 weights learn by heart
    right = []
    for groups in (np.tile(np.arange(40), 2), np.arange(80)):  # copies known as copies, and not
        judged = judge(np.tile(features, (2, 1)), np.tile(labels, 2), groups, 2)
        right.append(np.mean(judged.probabilities.argmax(axis=1) == np.tile(labels, 2)))
    assert right[0] < 0.7
    assert right[1] > 0.75


def test_second_run_gives_equal_bits() -> None:
    features, labels = load_digits(return_X_y=True)
    first, second = (judge(features[:300], labels[:300], np.arange(300), 10) for _ in range(2))
    assert first.probabilities.tobytes() == second.probabilities.tobytes()


def test_class_of_one_group_is_not_judged() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [20, 20, 4])
    groups = np.concatenate([np.arange(40), np.full(4, 99)])
    judged = judge(generator.normal(size=(44, 5)), labels, groups, 3)
    assert judged.known.tolist() == (labels != 2).tolist()


@pytest.mark.parametrize("labels", [[0], [0, 1], [0, 0, 0, 0]])
def test_too_few_images_are_not_judged(labels: list[int]) -> None:
    judged = judge(np.ones((len(labels), 3)), np.asarray(labels), np.arange(len(labels)), 2)
    assert not judged.known.any()
