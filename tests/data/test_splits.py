from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedShuffleSplit

from convnet.data.division import resplit
from convnet.data.splits import SPLITS, assign_splits, nested_subset
from convnet.system.errors import UserError


def _assign(
    classes: list[str],
    official: list[str] | None = None,
    groups: list[int] | None = None,
    *,
    validation: float = 0.2,
    test: float = 0.1,
    test_from_validation: float = 0.5,
    seed: int = 0,
    repair_leaks: bool = False,
) -> list[str]:
    return assign_splits(
        classes,
        official or [""] * len(classes),
        groups or list(range(len(classes))),
        validation=validation,
        test=test,
        test_from_validation=test_from_validation,
        seed=seed,
        repair_leaks=repair_leaks,
    )


def _counts(classes: list[str], splits: list[str]) -> Counter[tuple[str, str]]:
    return Counter(zip(classes, splits, strict=True))


def test_shares_are_exact_in_every_class() -> None:
    classes = ["cat"] * 100 + ["dog"] * 50
    counts = _counts(classes, _assign(classes))
    assert [counts["cat", split] for split in SPLITS] == [70, 20, 10]
    assert [counts["dog", split] for split in SPLITS] == [35, 10, 5]


def test_rounding_goes_to_the_largest_remainder() -> None:
    classes = ["cat"] * 7 + ["dog"] * 7
    counts = _counts(classes, _assign(classes, validation=0.25, test=0.2))  # 3.85, 1.75, 1.4
    assert [counts["cat", split] for split in SPLITS] == [4, 2, 1]


@pytest.mark.parametrize("size", [30, 101, 997])
def test_counts_are_those_of_sklearn(size: int) -> None:
    classes = np.random.default_rng(size).choice(["a", "b", "c"], size, p=[0.5, 0.3, 0.2]).tolist()
    ours = _counts(classes, _assign(classes, validation=0.2, test=0.2))
    shuffle = StratifiedShuffleSplit(1, test_size=0.2, random_state=0)
    _, test = next(shuffle.split(classes, classes))
    theirs = Counter(classes[index] for index in test)
    for name in "abc":
        assert abs(ours[name, "test"] - theirs[name]) <= 1


def test_same_seed_same_split_and_another_seed_another() -> None:
    classes = ["cat", "dog"] * 50
    assert _assign(classes, seed=1) == _assign(classes, seed=1)
    assert _assign(classes, seed=1) != _assign(classes, seed=2)


def test_whole_official_division_is_kept() -> None:
    classes = ["cat", "dog"] * 30
    official = [split for split in SPLITS for _ in range(20)]
    assert _assign(classes, official) == official


def test_test_split_is_cut_from_official_validation() -> None:
    classes = ["cat", "dog"] * 100
    official = ["train"] * 120 + ["validation"] * 80
    splits = _assign(classes, official, test_from_validation=0.25)
    assert splits[:120] == official[:120]
    counts = _counts(classes[120:], splits[120:])
    assert counts == {(name, "validation"): 30 for name in ("cat", "dog")} | {(n, "test"): 10 for n in ("cat", "dog")}


def test_validation_split_is_cut_from_official_train() -> None:
    classes = ["cat", "dog"] * 100
    official = ["train"] * 120 + ["test"] * 80
    splits = _assign(classes, official, validation=0.3)
    assert splits[120:] == official[120:]
    counts = _counts(classes[:120], splits[:120])
    assert counts == {(name, "train"): 42 for name in ("cat", "dog")} | {(n, "validation"): 18 for n in ("cat", "dog")}


def test_one_official_part_alone_is_no_division() -> None:
    classes = ["cat", "dog"] * 50
    assert _assign(classes, ["train"] * 100) == _assign(classes)


def test_images_outside_the_official_folders_are_told() -> None:
    with pytest.raises(UserError, match=r"^1 of 40 images are outside the folders test, train, validation"):
        _assign(["cat", "dog"] * 20, ["train"] * 19 + ["validation"] * 10 + ["test"] * 10 + [""])


def test_official_division_without_train_is_told() -> None:
    with pytest.raises(UserError, match="no training images"):
        _assign(["cat", "dog"] * 20, ["validation"] * 20 + ["test"] * 20)


def test_class_missing_in_an_official_part_is_told() -> None:
    with pytest.raises(UserError, match="class 'dog' has 4 images but none of them in validation"):
        _assign(["cat", "dog", "dog", "cat", "cat", "dog", "dog", "cat"],
                ["train"] * 3 + ["validation"] * 2 + ["test"] * 3)  # fmt: skip


def test_class_missing_in_the_part_that_is_cut_is_told() -> None:
    with pytest.raises(UserError, match="class 'dog' has 10 images but none of them in validation"):
        _assign(["cat"] * 20 + ["dog"] * 10, ["train"] * 10 + ["validation"] * 10 + ["train"] * 10)


def test_class_too_small_for_three_splits_is_told() -> None:
    with pytest.raises(
        UserError, match=r"'dog' has 2 images, too few to be in each of train, validation, test; add images of it$"
    ):
        _assign(["cat"] * 30 + ["dog"] * 2)


def test_class_of_one_sequence_is_told() -> None:
    with pytest.raises(UserError, match=r"class 'dog' has 20 images, but only 2 .* split\.near_duplicate_distance"):
        _assign(["cat"] * 30 + ["dog"] * 20, groups=[*range(30), *([30] * 10), *([40] * 10)])


def test_three_images_reach_all_three_splits() -> None:
    classes = ["cat"] * 100 + ["dog"] * 3
    counts = _counts(classes, _assign(classes))
    assert [counts["dog", split] for split in SPLITS] == [1, 1, 1]


def test_three_sequences_reach_all_three_splits() -> None:
    for seed in range(20):
        counts = _counts(["dog"] * 15 + ["cat"] * 10, _assign(
            ["dog"] * 15 + ["cat"] * 10, groups=[*([0] * 5), *([5] * 5), *([10] * 5), *range(15, 25)], seed=seed
        ))  # fmt: skip
        assert [counts["dog", split] for split in SPLITS] == [5, 5, 5]


def test_groups_leave_the_shares_exact_where_single_images_fill_them() -> None:
    classes = ["cat"] * 100 + ["dog"] * 100
    groups = [*np.repeat(range(10), 4).tolist(), *range(40, 200)]  # ten groups of four cats
    for seed in range(10):
        counts = _counts(classes, _assign(classes, groups=groups, seed=seed))
        assert [counts["cat", split] for split in SPLITS] == [70, 20, 10]


def test_groups_are_not_always_put_into_train() -> None:
    classes = ["cat"] * 100 + ["dog"] * 100
    groups = [0, 0, *range(2, 200)]
    where = Counter(_assign(classes, groups=groups, seed=seed)[0] for seed in range(200))
    assert where["test"] > 5  # a fifth of the chance would already give 4
    assert where["validation"] > 15


def test_leak_in_an_official_division_is_kept_unless_repaired() -> None:
    classes = ["cat", "dog"] * 12
    official = ["train"] * 12 + ["validation"] * 6 + ["test"] * 6
    groups = list(range(24))
    groups[12] = 0  # a cat in train and validation
    groups[13] = groups[19] = 1  # a dog in train, validation and test
    assert _assign(classes, official, groups) == official
    repaired = _assign(classes, official, groups, repair_leaks=True)
    assert [index for index, split in enumerate(repaired) if split != official[index]] == [0, 1, 13]
    assert {repaired[0], repaired[1], repaired[13]} == {""}


def test_repair_that_empties_a_class_is_told() -> None:
    with pytest.raises(UserError, match=r"repair_leaks left out 1 of 3 images of class 'dog'.*none stays in train"):
        _assign(["cat", "dog"] * 3, ["train"] * 2 + ["validation"] * 2 + ["test"] * 2, [0, 1, 2, 3, 4, 1],
                repair_leaks=True)  # fmt: skip


@st.composite
def _datasets(draw: st.DrawFn) -> tuple[list[str], list[int]]:
    """Classes and groups of a pooled dataset, with at least three groups of each class."""
    classes: list[str] = []
    groups: list[int] = []
    for name in "abcd"[: draw(st.integers(2, 4))]:
        for size in draw(st.lists(st.integers(1, 6), min_size=3, max_size=25)):
            groups += [len(classes)] * size
            classes += [name] * size
    return classes, groups


@given(data=_datasets(), seed=st.integers(0, 2**32), validation=st.floats(0.05, 0.4), test=st.floats(0.05, 0.4))
def test_no_group_is_apart_and_every_class_everywhere(
    data: tuple[list[str], list[int]], seed: int, validation: float, test: float
) -> None:
    classes, groups = data
    splits = _assign(classes, groups=groups, seed=seed, validation=validation, test=test)
    assert set(splits) == set(SPLITS)
    assert all(len({s for s, g in zip(splits, groups, strict=True) if g == group}) == 1 for group in set(groups))
    counts = _counts(classes, splits)
    largest = max(Counter(groups).values())
    for name in set(classes):
        total = classes.count(name)
        for split, share in zip(SPLITS, (1 - validation - test, validation, test), strict=True):
            assert counts[name, split] >= 1
            assert abs(counts[name, split] - share * total) <= max(2 * largest, 2)


@given(data=_datasets(), seed=st.integers(0, 2**32))
def test_resplit_is_a_partition_that_keeps_groups(data: tuple[list[str], list[int]], seed: int) -> None:
    classes, groups = data
    labels = np.unique(classes, return_inverse=True)[1]
    parts = resplit(labels, groups, {"train": 0.6, "validation": 0.2, "test": 0.2}, seed)
    assert list(parts) == list(SPLITS)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(len(labels)))
    assert all(part.dtype == np.int64 and np.all(np.diff(part) > 0) for part in parts.values())
    found = [set(np.array(groups)[part]) for part in parts.values()]
    assert sum(map(len, found)) == len(set(groups))
    assert all(set(labels[part]) == set(labels) for part in parts.values())


def test_resplit_takes_counts_and_differs_between_seeds() -> None:
    labels = np.repeat([0, 1, 2], 400)
    counts = {"train": 900, "validation": 150, "test": 150}
    parts = {seed: resplit(labels, np.arange(1200), counts, seed) for seed in range(3)}
    for part in parts.values():
        assert {split: len(index) for split, index in part.items()} == counts
        assert np.bincount(labels[part["test"]]).tolist() == [50, 50, 50]
    # Independent test sets of 150 of 1200 share about 19 images.
    assert len(np.intersect1d(parts[0]["test"], parts[1]["test"])) < 50
    np.testing.assert_array_equal(resplit(labels, np.arange(1200), counts, 2)["test"], parts[2]["test"])


@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=200),
    shares=st.lists(st.floats(0.01, 1.0), min_size=2, max_size=4),
    seed=st.integers(0, 2**32),
)
def test_smaller_subset_lies_in_the_larger(labels: list[int], shares: list[float], seed: int) -> None:
    subsets = [nested_subset(labels, share, seed) for share in sorted(shares)]
    for smaller, larger in pairwise(subsets):
        assert set(smaller.tolist()) <= set(larger.tolist())
    for share, subset in zip(sorted(shares), subsets, strict=True):
        assert len(subset) == max(round(share * len(labels)), len(set(labels)))
        assert set(np.array(labels)[subset]) == set(labels)
        assert np.all(np.diff(subset) > 0)


def test_subset_is_stratified_and_the_whole_is_everything() -> None:
    labels = np.repeat([0, 1, 2], [800, 400, 80])
    for share, expected in ((0.125, [100, 50, 10]), (0.25, [200, 100, 20]), (0.5, [400, 200, 40])):
        assert np.bincount(labels[nested_subset(labels, share, 5)]).tolist() == expected
    np.testing.assert_array_equal(nested_subset(labels, 1.0, 5), np.arange(1280))
    assert nested_subset(labels, 0.25, 5).tolist() != nested_subset(labels, 0.25, 6).tolist()


def test_repair_that_takes_all_images_of_a_class_is_named_with_both_settings() -> None:
    classes = ["a", "b", "b", "a", "b"]
    official = ["train", "train", "test", "test", "train"]
    with pytest.raises(UserError, match=r"repair_leaks left out 2 of 3 images of class 'b'") as error:
        assign_splits(
            classes, official, [0, 1, 1, 2, 1], validation=0.2, test=0.2, test_from_validation=0.5, seed=0,
            repair_leaks=True,
        )  # fmt: skip
    assert "split.near_duplicate_distance" in str(error.value)
    assert "none stays in train" in str(error.value)
