"""Groups of images that belong together: a patient, a scene, a clip, or copies of one image."""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from convnet.system.errors import UserError

FEWEST_IN_SEQUENCE = 5
NEARER = 0.5  # of the median difference of two images of one class that are not neighbours
COMPARED = 2000  # pairs of images
_NUMBERED = re.compile(r"(?P<before>.*?)(?P<blank>[._ -]*)(?P<number>\d+)(?:\.\w+)?")

Integers = npt.NDArray[np.int64]


def join_groups(copies: Integers, names: Sequence[str]) -> Integers:
    """Return the groups that follow from copies and names together.

    Args:
        copies: int64 (n,), for each image the smallest index of its copies.
        names: n group names, empty where an image has none.

    Returns:
        int64 (n,), for each image the smallest index of its group.
    """
    if not any(names):
        return copies
    parents = copies.copy()
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if name:
            one, other = _root(parents, index), _root(parents, first.setdefault(name, index))
            parents[max(one, other)] = min(one, other)
    return np.array([_root(parents, index) for index in range(len(parents))], dtype=np.int64)


def reject_divided_groups(names: Sequence[str], splits: Sequence[str]) -> None:
    """Refuse a named group in two parts of an official division.

    Raises:
        UserError: there is one.
    """
    parts: dict[str, set[str]] = {}
    for name, split in zip(names, splits, strict=True):
        if name and split:
            parts.setdefault(name, set()).add(split)
    divided = sorted(name for name, found in parts.items() if len(found) > 1)
    if divided:
        raise UserError(
            f"{len(divided)} groups are in two parts of your own division, the first is {divided[0]!r} in "
            f"{' and '.join(sorted(parts[divided[0]]))}: move its images, or set split.repair_leaks to true"
        )


def sequence_remark(
    members: Sequence[str], classes: Sequence[str], splits: Sequence[str], thumbnails: npt.NDArray[np.uint8]
) -> str | None:
    """Return a sentence if neighbours in numbered sequences look alike and are in different splits, or None.

    Neighbours count as alike if the median difference of two is less than half of that of two images of one class.

    Args:
        members: n names.
        classes: n class names.
        splits: n splits; empty for an image that is left out.
        thumbnails: uint8 (n, 32, 32).
    """
    sequences: dict[str, list[tuple[int, int]]] = {}
    patterns: dict[str, set[str]] = {}
    for index, (member, split) in enumerate(zip(members, splits, strict=True)):
        folder, _, name = member.rpartition("/")
        if split and (found := _NUMBERED.fullmatch(name)):
            sequences.setdefault(f"{folder}/{found['before']}{found['blank']}", []).append(
                (int(found["number"]), index)
            )
            patterns.setdefault(found["blank"], set()).add(found["before"])
    neighbours = [
        (first, second)
        for found in sequences.values()
        if len(found) >= FEWEST_IN_SEQUENCE
        for (number, first), (following, second) in zip(sorted(found), sorted(found)[1:], strict=False)
        if following - number <= 1
    ]
    apart = [(first, second) for first, second in neighbours if splits[first] != splits[second]]
    names = [name.rstrip("0123456789") for name in (member.rpartition(".")[0] or member for member in members)]
    if not apart or not _look_alike(neighbours, classes, names, thumbnails):
        return None
    first, second = (members[index] for index in apart[0])
    named = [(blank, before - {""}) for blank, before in patterns.items() if len(before - {""}) > 2]
    remedy = (
        f"--group-from-name '{{group}}{named[0][0]}{{number}}'" if named else "a column named group in a label table"
    )
    return (
        f"{len(apart):,} neighbours in numbered sequences look alike and are in different splits, the first are "
        f"{first} and {second}: if they show one scene, keep it in one split with {remedy}"
    )


def _look_alike(
    neighbours: Sequence[tuple[int, int]],
    classes: Sequence[str],
    sequences: Sequence[str],
    thumbnails: npt.NDArray[np.uint8],
) -> bool:
    """Return whether neighbours differ less than images of one class, of other sequences where there are some."""
    generator = np.random.default_rng(0)
    pairs = np.array(neighbours, dtype=np.int64)
    pairs = pairs[generator.permutation(len(pairs))[:COMPARED]]
    labels, sequence = (np.unique(list(names), return_inverse=True)[1] for names in (classes, sequences))
    others = generator.integers(0, len(labels), (COMPARED, 2))
    others = others[(labels[others[:, 0]] == labels[others[:, 1]]) & (np.abs(others[:, 0] - others[:, 1]) > 1)]
    unrelated = sequence[others[:, 0]] != sequence[others[:, 1]]
    others = others[unrelated] if unrelated.any() else others
    return len(others) > 0 and _difference(pairs, thumbnails) < NEARER * _difference(others, thumbnails)


def _difference(pairs: Integers, thumbnails: npt.NDArray[np.uint8]) -> float:
    first, second = (thumbnails[pairs[:, side]].astype(np.int16) for side in (0, 1))
    return float(np.median(np.abs(first - second).mean(axis=(1, 2))))


def _root(parents: Integers, index: int) -> int:
    while parents[index] != index:
        parents[index] = parents[parents[index]]
        index = int(parents[index])
    return index
