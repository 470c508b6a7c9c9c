"""Divide images into train, validation and test by class shares, and keep copies of one image together."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from convnet.system.errors import UserError

SPLITS = ("train", "validation", "test")
# Training images of the largest class / those of the smallest. Above it plain accuracy flatters a model that prefers
# the largest class, so balanced accuracy decides.
IMBALANCE = 1.5

Integers = npt.NDArray[np.int64]


def assign_splits(
    classes: Sequence[str],
    official: Sequence[str | None],
    groups: Sequence[int] | Integers,
    *,
    validation: float,
    test: float,
    test_from_validation: float,
    seed: int,
    repair_leaks: bool,
) -> list[str]:
    """Return the split of each image.

    An official division is kept. A missing test part is cut from the validation part, a missing validation part from
    the training part. With one part or none, all images are divided, by class shares (largest remainder).
    `repair_leaks` leaves out the copy nearer to training, so the official evaluation parts stay as published.

    Args:
        classes: class name of each of the n images.
        official: official split of each image, empty or None without one.
        groups: duplicate group of each image; a cut keeps it whole.
        validation: share of validation images, of all or, beside an official test part, of the training part.
        test: share of test images where nothing official is given.
        test_from_validation: share of an official validation part that becomes the test part.
        seed: decides which images go where, not how many.
        repair_leaks: leave out copies that cross the official division.

    Returns:
        n names: train, validation, test, or empty for an image left out by `repair_leaks`.

    Raises:
        UserError: a class is too small to be in every split, or the official division is incomplete.
    """
    names = sorted(set(classes))
    labels = np.searchsorted(names, list(classes)).astype(np.int64)
    group = np.asarray(groups, dtype=np.int64)
    splits = np.array([part or "" for part in official], dtype=object)
    given = set(splits.tolist()) - {""}
    if len(given) > 1:
        _check_division(splits, given)
        if repair_leaks:
            splits[_copies_nearer_to_training(splits, group)] = ""
            _check_repair(splits, labels, names, given)
    pool, shares = planned_cut(given, validation, test, test_from_validation)
    if shares:
        chosen = np.isin(splits.astype(str), pool)
        parts = divide_groups(labels[chosen], group[chosen], shares, np.random.default_rng([seed, 1]), names)
        splits[chosen] = np.array(list(shares), dtype=object)[parts]
    _check_classes(splits, labels, names)
    return [str(split) for split in splits]


def nested_subset(labels: npt.ArrayLike, share: float, seed: int) -> Integers:
    """Choose a share of the images; for one seed every larger share contains a smaller one.

    The subset is the beginning of one fixed order, Webster's: the r-th image (from 0, random within its class) of a
    class of size m has the place (r + 1/2) / m. Every beginning then holds the classes in their proportions. The first
    image of each class comes before all others, so no class is missing.

    Args:
        labels: class index of each image.
        share: in (0, 1].
        seed: decides the order.

    Returns:
        Ascending positions, round(share * n) of them, but at least one for each class.
    """
    classes = np.asarray(labels, dtype=np.int64)
    rng = np.random.default_rng([seed, 3])
    place = np.empty(len(classes))
    for label in np.unique(classes):
        members = rng.permutation(np.flatnonzero(classes == label))
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
        place[members[0]] = 0.0
    order = np.lexsort((classes, place))
    count = images_at(share, len(classes), len(np.unique(classes)))
    return np.sort(order[:count]).astype(np.int64)


def class_weights(labels: Integers) -> npt.NDArray[np.float64]:
    """Return (n,) weights n / (classes * images of its class), mean 1: a weighted mean counts each class alike.

    Source: scikit-learn's `compute_class_weight("balanced")`, after King and Zeng, 2001.
    """
    _, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return np.asarray(len(labels) / (len(counts) * counts[index]), dtype=np.float64)


def images_at(share: float, images: int, classes: int) -> int:
    """Return how many of `images` images of `classes` classes `nested_subset` chooses."""
    return max(round(share * images), classes)


def planned_cut(
    given: set[str], validation: float, test: float, test_from_validation: float
) -> tuple[list[str], dict[str, float]]:
    """Return the parts whose images are divided, and the shares of the new parts."""
    if len(given) < 2:
        return ["", *given], {"train": 1 - validation - test, "validation": validation, "test": test}
    if "test" not in given:
        return ["validation"], {"validation": 1 - test_from_validation, "test": test_from_validation}
    if "validation" not in given:
        return ["train"], {"train": 1 - validation, "validation": validation}
    return [], {}


def _check_division(splits: npt.NDArray[np.object_], given: set[str]) -> None:
    outside = np.count_nonzero(splits == "")
    if outside:
        raise UserError(
            f"{outside} of {len(splits)} images are outside the folders {', '.join(sorted(given))} that divide the "
            "others; move them into one of these folders, or give their source a `split` in params.yaml"
        )
    if "train" not in given:
        raise UserError(
            "the archives hold validation and test images but no training images; add a source with `split: train` "
            "in params.yaml"
        )


def _copies_nearer_to_training(splits: npt.NDArray[np.object_], groups: Integers) -> npt.NDArray[np.bool_]:
    """Return which images have a copy in a part further from training (train, validation, test) than their own."""
    rank = np.array([SPLITS.index(split) for split in splits])
    _, group = np.unique(groups, return_inverse=True)
    highest = np.zeros(group.max() + 1, dtype=np.int64)
    np.maximum.at(highest, group, rank)
    return rank < highest[group]


def _check_repair(splits: npt.NDArray[np.object_], labels: Integers, names: list[str], given: set[str]) -> None:
    """Raise if the repair left a class without images in a part of the official division."""
    for label, name in enumerate(names):
        part = splits[labels == label]
        for split in sorted(given - set(part.tolist())):
            removed = np.count_nonzero(part == "")
            if removed:
                raise UserError(
                    f"split.repair_leaks left out {removed} of {len(part)} images of class {name!r}, which have copies "
                    f"in another part; none stays in {split}. Set split.repair_leaks to false, or lower "
                    "split.near_duplicate_distance, in params.yaml"
                )


def _check_classes(splits: npt.NDArray[np.object_], labels: Integers, names: list[str]) -> None:
    for label, name in enumerate(names):
        for split in SPLITS:
            if not np.any(splits[labels == label] == split):
                raise UserError(
                    f"class {name!r} has {np.count_nonzero(labels == label)} images but none of them in {split}; "
                    f"add images of it to {split}, or leave the class out"
                )


def divide_groups(
    labels: Integers, groups: Integers, weights: Mapping[str, float], rng: np.random.Generator, names: list[str]
) -> Integers:
    """Return for each image the position in `weights` of its split."""
    shares = np.array(list(weights.values()), dtype=np.float64)
    at_least_one = np.ones(len(shares), dtype=np.int64)
    _, group, size = np.unique(groups, return_inverse=True, return_counts=True)
    pairs = np.unique(np.stack([labels, group], axis=1), axis=0)  # which class is in which group
    groups_left = np.bincount(pairs[:, 0], minlength=len(names))
    for label in np.unique(labels):
        if groups_left[label] < len(shares):
            images = int(np.count_nonzero(labels == label))
            raise _too_few(names[label], images, int(groups_left[label]), list(weights))
    room = np.stack(  # (classes, splits): images still to come
        [_apportion(int(np.count_nonzero(labels == label)), shares, at_least_one) for label in range(len(names))]
    )
    present = np.zeros(room.shape, dtype=np.bool_)
    parts = np.full(len(labels), -1, dtype=np.int64)
    # The largest groups come first, while there is room. Single images then fill the shares exactly.
    large = rng.permutation(np.flatnonzero(size > 1))
    members = np.split(np.argsort(group, kind="stable"), np.cumsum(size)[:-1])
    for index in large[np.argsort(-size[large], kind="stable")]:
        counts = np.bincount(labels[members[index]], minlength=len(names))
        part = _choose(counts, room, present, groups_left, rng)
        parts[members[index]] = part
        room[:, part] -= counts
        present[counts > 0, part] = True
        groups_left[counts > 0] -= 1
    for label in range(len(names)):
        singles = rng.permutation(np.flatnonzero((labels == label) & (parts < 0)))
        counts = _apportion(len(singles), np.maximum(room[label], 0), (~present[label]).astype(np.int64))
        parts[singles] = np.repeat(np.arange(len(shares)), counts)
    return parts


def _too_few(name: str, images: int, groups: int, splits: list[str]) -> UserError:
    sentence = f"class {name!r} has {images} images, "
    advice = ""
    if groups < images:
        sentence += f"but only {groups} when copies of one image and members of one group count once, "
        advice = ", or lower split.near_duplicate_distance if the images do differ"
    return UserError(f"{sentence}too few to be in each of {', '.join(splits)}; add images of it{advice}")


def _choose(
    counts: Integers,
    room: Integers,
    present: npt.NDArray[np.bool_],
    groups_left: Integers,
    rng: np.random.Generator,
) -> int:
    """Choose a split for a group with `counts` images of each class, at random in proportion to the room left."""
    label = int(counts.argmax())
    allowed = np.ones(room.shape[1], dtype=np.bool_)
    if groups_left[label] <= np.count_nonzero(~present[label]):
        allowed = ~present[label]  # the last groups of a class go where it is still missing
    fits = np.all(room[counts > 0] >= counts[counts > 0, None], axis=0) & allowed
    if not fits.any():
        fits = allowed & (room[label] == room[label][allowed].max())
    chance = np.where(fits, np.maximum(room[label], 1), 0)
    return int(rng.choice(len(chance), p=chance / chance.sum()))


def _apportion(count: int, weights: npt.NDArray[np.generic], least: Integers) -> Integers:
    """Return whole numbers that sum to `count`, in proportion to `weights` by largest remainder, none under `least`."""
    if count == 0:
        return np.zeros(len(weights), dtype=np.int64)
    quotas = count * weights.astype(np.float64) / weights.astype(np.float64).sum()
    parts: Integers = np.floor(quotas).astype(np.int64)
    parts[np.argsort(parts - quotas, kind="stable")[: count - parts.sum()]] += 1
    while np.any(parts < least) and np.any(parts > least):
        parts[np.argmax(parts - least)] -= 1
        parts[np.argmax(least - parts)] += 1
    return parts
