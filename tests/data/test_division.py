"""Divisions of the images of one job: folds, and the half of the validation images that chooses no epoch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convnet.data.division import FIXED, Division, divide, draw_folds, second_half, training_images
from convnet.data.splits import SPLITS
from convnet.system.errors import UserError


@st.composite
def pools(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Labels and groups: single images and groups of up to five, of one class or of two."""
    labels, groups = [0] * 12 + [1] * 12, list(range(24))
    for size in draw(st.lists(st.integers(1, 5), max_size=12)):
        mixed = draw(st.booleans())
        labels += [index % 2 if mixed else size % 2 for index in range(size)]
        groups += [len(labels)] * size
    return labels, groups


@settings(deadline=None, max_examples=60)
@given(pools(), st.integers(3, 8), st.integers(0, 5))
def test_folds_are_a_partition_that_keeps_groups(pool: tuple[list[int], list[int]], folds: int, seed: int) -> None:
    labels, groups = map(np.array, pool)
    fold = draw_folds(labels, groups, folds, seed)
    for group in np.unique(groups):
        assert len(set(fold[groups == group])) == 1
    for label in (0, 1):
        assert set(fold[labels == label]) == set(range(folds))


def test_folds_of_single_images_are_equal_and_differ_by_the_seed_alone() -> None:
    labels = np.repeat([0, 1], [103, 47])
    fold = draw_folds(labels, np.arange(150), 5, 0)
    for label, least in ((0, 20), (1, 9)):
        counts = np.bincount(fold[labels == label])
        assert set(counts) <= {least, least + 1}
    np.testing.assert_array_equal(fold, draw_folds(labels, np.arange(150), 5, 0))
    assert (fold != draw_folds(labels, np.arange(150), 5, 1)).any()


def test_a_class_with_fewer_groups_than_folds_is_a_user_error() -> None:
    labels = np.repeat([0, 1], [40, 4])
    with pytest.raises(UserError, match=r"too few to be in each of fold 1, .*fold 5"):
        draw_folds(labels, np.arange(44), 5, 0)
    groups = np.append(np.arange(40), np.full(4, 99))
    with pytest.raises(UserError, match="only 1 when copies"):
        draw_folds(labels, groups, 3, 0)


def arrays(groups: int = 1) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Labels and groups of three splits of 60, 20 and 20 images."""
    sizes = {"train": 60, "validation": 20, "test": 20}
    starts = {"train": 0, "validation": 60, "test": 80}
    labels = {split: np.arange(n) % 2 for split, n in sizes.items()}
    return labels, {split: (starts[split] + np.arange(n)) // groups for split, n in sizes.items()}


def test_seeds_of_one_study_test_every_image_once_and_train_on_the_rest() -> None:
    labels, groups = arrays(2)
    joined = np.concatenate([groups[split] for split in SPLITS])
    tested = []
    for seed in range(4):
        parts = divide(Division("folds", seed, 4, 7), labels, groups, seed=10 + seed)
        assert sorted(np.concatenate(list(parts.values()))) == list(range(100))
        of_split = {split: set(joined[rows]) for split, rows in parts.items()}
        assert not of_split["train"] & of_split["test"]
        assert not of_split["validation"] & (of_split["train"] | of_split["test"])
        assert len(parts["validation"]) / (100 - len(parts["test"])) == pytest.approx(0.25, abs=0.03)
        tested += parts["test"].tolist()
    assert sorted(tested) == list(range(100))


def test_a_fixed_division_is_that_of_the_arrays() -> None:
    parts = divide(FIXED, *arrays(), seed=3)
    assert {split: rows.tolist() for split, rows in parts.items()} == {
        "train": list(range(60)), "validation": list(range(20)), "test": list(range(20)),
    }  # fmt: skip


@pytest.mark.parametrize("folds", [3, 5, 10])
def test_training_images_are_those_of_the_smallest_job(folds: int) -> None:
    labels, groups = arrays()
    counts = {split: len(values) for split, values in labels.items()}
    sizes = [len(divide(Division("folds", fold, folds, 0), labels, groups, fold)["train"]) for fold in range(folds)]
    assert 0 <= min(sizes) - training_images(counts, "folds", folds) <= 1
    assert training_images(counts, "fixed", folds) == 60


@settings(deadline=None, max_examples=40)
@given(pools())
def test_halves_keep_groups_and_the_shares_of_classes(pool: tuple[list[int], list[int]]) -> None:
    labels, groups = map(np.array, pool)
    second = second_half(labels, groups)
    for group in np.unique(groups):
        assert len(set(second[groups == group])) == 1
    assert second.any()
    assert not second.all()
    single = np.arange(24)
    assert np.bincount(np.array(labels[:24])[second_half(labels[:24], single)]).tolist() == [6, 6]
    np.testing.assert_array_equal(second, second_half(labels, groups))


def test_a_single_group_stays_in_the_first_half() -> None:
    assert not second_half([0, 1, 1], [5, 5, 5]).any()
