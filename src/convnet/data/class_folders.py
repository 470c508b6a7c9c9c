"""Read the class and the official split of an image from the folders around it."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from convnet.data.member_names import Member, is_clutter
from convnet.params.schema import SplitName
from convnet.system.errors import UserError

SPLIT_NAMES: dict[str, SplitName] = {
    "train": "train", "training": "train",
    "validation": "validation", "val": "validation", "valid": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
FEWEST_IMAGES = 2


@dataclass(frozen=True, order=True)
class ImageMember:
    """A file inside a class folder. Only its content decides whether it is an image."""

    name: str
    class_name: str
    official_split: SplitName | None


@dataclass(frozen=True)
class Layout:
    """The files of classes, the classes without a file, and the files outside all classes."""

    images: list[ImageMember]
    empty_classes: list[str]
    outside: list[str]


def read_layout(members: Iterable[Member], folders: Iterable[str] = ()) -> Layout:
    """Read classes and official splits from the folders.

    Single folders around everything are skipped. If all folders then have names like `train`, `val` or `Testing`, they
    are the official split, and the folders in them the classes. Otherwise they are the classes. Deeper folders belong
    to their class. Hidden and system files are skipped.

    Args:
        members: the files of an archive.
        folders: its folder entries, which show an empty class folder.

    Returns:
        The layout; class names are in Unicode form NFC.

    Raises:
        UserError: two class folders differ only in Unicode form or letter case, or split folders are beside others.
    """
    files = [parts for member in members if not any(map(is_clutter, parts := member.name.split("/")))]
    # Every folder around a file, as a whole path: a list of all its parents would grow with the square of the depth.
    known = [parts[:-1] for parts in files]
    known += [parts for folder in folders if not any(map(is_clutter, parts := folder.strip("/").split("/")))]

    top = 0
    while len(names := _names_at(top, known)) == 1 and _names_at(top + 1, known) and not _are_splits(names):
        top += 1
    split = _are_splits(names)
    depth = top + split  # of the class folders

    # A class folder by its name, behind that of the official split if there is one.
    classes = {tuple(parts[top : depth + 1]): _normalised(parts[depth]) for parts in known if len(parts) > depth}
    _reject_twins(classes)
    images, outside, filled = [], [], set()
    for parts in files:
        if len(parts) > depth + 1:
            class_name = classes[tuple(parts[top : depth + 1])]
            official_split = SPLIT_NAMES[parts[top].lower()] if split else None
            images.append(ImageMember("/".join(parts), class_name, official_split))
            filled.add(class_name)
        else:
            outside.append("/".join(parts))
    return Layout(sorted(images), sorted(set(classes.values()) - filled), sorted(outside))


def check_classes(counts: Mapping[str, int]) -> None:
    """Reject a dataset that cannot be learnt.

    Args:
        counts: number of usable images per class, 0 for a class folder without any.

    Raises:
        UserError: no class, one class only, a class with fewer than two images, or names that differ only in case.
    """
    if not counts:
        raise UserError("no class found: put the images of each class into a folder of its own, named after the class")
    for name, count in sorted(counts.items()):
        if count == 0:
            raise UserError(f"the class {name!r} is empty: put images into its folder, or remove the folder")
        if count < FEWEST_IMAGES:
            raise UserError(f"the class {name!r} has only {count} image: at least {FEWEST_IMAGES} are needed")
    if len(counts) == 1:
        name, count = next(iter(counts.items()))
        raise UserError(f"found only the class {name!r} ({count} images): at least two classes are needed")
    _reject_case_twins(counts)


def _names_at(depth: int, folders: Iterable[list[str]]) -> list[str]:
    """Return the names of all folders that are `depth` folders deep, sorted."""
    return sorted({parts[depth] for parts in folders if len(parts) > depth})


def _are_splits(names: list[str]) -> bool:
    splits = {SPLIT_NAMES[name.lower()] for name in names if name.lower() in SPLIT_NAMES}
    others = [name for name in names if name.lower() not in SPLIT_NAMES]
    # One such name may be a class (a train beside a bus). Two of them are a split with a stray folder.
    if others and len(splits) > 1:
        raise UserError(
            f"the folder {others[0]!r} is beside folders of an official split "
            f"({', '.join(sorted(set(names) - set(others)))}): move it away, or give it a name that begins with a dot"
        )
    return bool(splits) and not others


def _reject_twins(classes: Mapping[tuple[str, ...], str]) -> None:
    seen: dict[tuple[str, ...], str] = {}
    for path, name in sorted(classes.items()):
        twin = seen.setdefault((*path[:-1], name), path[-1])
        if twin != path[-1]:
            raise UserError(
                f"two class folders look alike, {twin!a} and {path[-1]!a}: "
                "they differ only in how Unicode writes a letter; merge them or rename one"
            )
    _reject_case_twins(classes.values())


def _reject_case_twins(names: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for name in sorted(names):
        twin = seen.setdefault(_normalised(name.lower()), name)
        if twin != name:
            raise UserError(
                f"the class folders {twin!r} and {name!r} differ only in letter case: merge them or rename one"
            )


def _normalised(name: str) -> str:
    return unicodedata.normalize("NFC", name)
