"""Refuse classes that cannot be learnt and folders that have two readings, and name the option for each."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from convnet.data.part_names import abbreviated_part
from convnet.system.errors import UserError

MASKS = re.compile(r"(?:[\w ]*[ _-])?(?:masks?|segmentations?|annotations?|ground[ _-]?truth|gt|labels)", re.IGNORECASE)
MASK_FILE = re.compile(r"(.+?)[ _-](?:mask|segmentation|seg|gt)(?:[ _-]?\d+)?", re.IGNORECASE)
NUMBERED = re.compile(r"(.*?)(?:[ _.-]*\d+|[ _.-]+[A-Za-z])")
MASK_BEGINS = re.compile(r"((?:mask|segmentation|seg|gt)[ _-])(.+)", re.IGNORECASE)
# A program appends it to the name of a second folder: `cats (1)`, `cats - Copy`.
COPY = re.compile(r"[ _-]*(?:\(\d+\)|\b(?:copy|kopie|copie|copia)(?:[ _]?\(?\d+\)?)?)$", re.IGNORECASE)
SHORTEST_WORD = 3  # letters
FEWEST_IMAGES = 2
SHARED = 0.75  # share of the inner folders whose names repeat


def repeated_inside(inner: Mapping[str, set[str]]) -> set[str]:
    """Return the inner folder names that repeat across the outer folders, empty where hardly any do.

    Args:
        inner: the names of the folders inside each outer folder, empty where images are directly in it.
    """
    if len(inner) < 2 or not all(inner.values()):
        return set()
    counts = Counter(name for names in inner.values() for name in names)
    shared = {name for name, count in counts.items() if count > 1}
    repeated = sum(counts[name] for name in shared) >= SHARED * counts.total()
    return shared if len(shared) > 1 and repeated else set()


def inner_are_classes(outer: Iterable[str], inner: Iterable[str]) -> bool:
    """Return whether --group-by-folder takes the inner of two levels of folders as the classes.

    Numbered folders (`patient_1`, `camera B`) are groups. Otherwise the level with fewer names holds the classes.
    """
    outer, inner = set(outer), set(inner)
    if _are_numbered(outer) != _are_numbered(inner):
        return _are_numbered(outer)
    return len(inner) <= len(outer)


def reject_two_readings(outer: Iterable[str], inner: set[str]) -> None:
    """Refuse outer folders that all hold the same inner folders.

    Raises:
        UserError: always.
    """
    first, names = sorted(outer), sorted(inner)
    masks = [name for name in (*names, *first) if MASKS.fullmatch(name)]
    if masks:
        raise UserError(
            f"the folders {some(first)} hold {some(names)}, and {masks[0]!r} seems to hold masks: "
            f"leave them out with --ignore {_quoted(masks[0])}"
        )
    if all(map(abbreviated_part, first)):
        parts = ", ".join(sorted(abbreviated_part(name)[0] for name in first))  # type: ignore[index]
        raise UserError(
            f"the folders {some(first)} all hold the folders {some(names)}. If {some(first)} are parts, name them "
            f"{parts}. If they are classes, add --label-from-name '{{label}}/{{folder}}/{{file}}'"
        )
    by_folder = "--group-by-folder (patients, folds, cameras)"
    inside = inner_are_classes(first, names)
    for_inner = by_folder if inside else "--label-from-name '{group}/{label}/{file}'"
    for_outer = "--label-from-name '{label}/{folder}/{file}'" if inside else by_folder
    raise UserError(
        f"the folders {some(first)} all hold the folders {some(names)}. If {some(names)} are the classes, add "
        f"{for_inner}. If {some(first)} are the classes, add {for_outer}"
    )


def reject_repeats(inner: Mapping[str, set[str]], around: Collection[str] = ()) -> None:
    """Refuse a folder that holds the classes beside it once more.

    Args:
        inner: the names of the folders inside each folder.
        around: names of the folders around all of them.

    Raises:
        UserError: a folder holds two folders with names of its siblings.
    """
    for name, folders in sorted(inner.items()):
        repeated = sorted(folder for folder in folders if folder in inner and folder != name)
        if len(repeated) > 1:
            raise UserError(
                f"the folder {name!r} repeats the classes beside it ({', '.join(repeated)}): "
                f"leave it out with --ignore {ignored(name, around)}"
            )


def reject_mask_files(names: Iterable[str]) -> None:
    """Refuse masks beside their images, such as `1.png` and `1_mask.png`.

    Raises:
        UserError: there is one.
    """
    stems = {str(PurePosixPath(name).with_suffix("")) for name in names}
    masks: dict[str, str] = {}  # with the pattern that leaves them out
    for stem in stems:
        folder, slash, file = stem.rpartition("/")
        if (found := MASK_FILE.fullmatch(stem)) and found[1] in stems:
            masks[stem] = f"*{stem[len(found[1]) :].rstrip('0123456789_- ')}*"
        elif (found := MASK_BEGINS.fullmatch(file)) and f"{folder}{slash}{found[2]}" in stems:
            masks[stem] = f"{found[1]}*"
    if masks:
        first = min(masks)
        raise UserError(
            f"{len(masks):,} files seem to be masks of the images beside them, the first is {first!r}: "
            f"leave them out with --ignore '{masks[first]}'"
        )


def reject_twins(classes: Mapping[tuple[str, ...], str]) -> None:
    """Refuse class folders whose names look alike.

    Args:
        classes: class name in Unicode form NFC, by the path of its folder.

    Raises:
        UserError: two names differ only in Unicode form, letter case, blanks or invisible characters.
    """
    seen: dict[tuple[str, ...], str] = {}
    for path, name in sorted(classes.items()):
        twin = seen.setdefault((*path[:-1], name), path[-1])
        if twin != path[-1]:
            raise UserError(
                f"two class folders look alike, {twin!a} and {path[-1]!a}: "
                "they differ only in how Unicode writes a letter; merge them or rename one"
            )
    reject_twin_names(classes.values())


def reject_twin_names(names: Iterable[str]) -> None:
    """Refuse class names that differ only in letter case, blanks or invisible characters.

    Raises:
        UserError: there are two.
    """
    seen: dict[str, str] = {}
    for name in sorted(names):
        twin = seen.setdefault(twin_key(name), name)
        if twin == name:
            continue
        if _visible(twin) == _visible(name) or normalised(twin.lower()) != normalised(name.lower()):
            raise UserError(
                f"the class folders {twin!a} and {name!a} differ only in blanks or invisible characters: "
                "merge them or rename one"
            )
        raise UserError(f"the class folders {twin!r} and {name!r} differ only in letter case: merge them or rename one")


def reject_near_twins(names: Iterable[str], depths: set[int]) -> None:
    """Refuse class folders that may be one class: `cat` and `cats`, `hot-dog` and `hot_dog`, `dog` and `dog copy`.

    Args:
        names: of the class folders.
        depths: how many names a path has from the class folder to a file.

    Raises:
        UserError: there are two.
    """
    known = sorted(set(names))
    seen: dict[str, str] = {}
    for name in known:
        seen.setdefault(_plain_name(name), name)
    for name in known:
        plain = _plain_name(name)
        others = [plain, _plain_name(COPY.sub("", name)), *_singulars(plain)]
        twin = next((seen[other] for other in others if seen.get(other, name) != name), None)
        if twin is None:
            continue
        remedy = "rename one"
        if len(depths) == 1:
            folders = "".join(f"/{{folder{level}}}" for level in range(1, min(depths) - 1))
            remedy = f"add --label-from-name '{{label}}{folders}/{{file}}'"
        raise UserError(
            f"the class folders {twin!r} and {name!r} may be one class. If they are, merge them. If not, {remedy}"
        )


def twin_key(name: str) -> str:
    """Return the form that two class names share if they look alike."""
    return normalised(_visible(name).lower())


def check_classes(
    counts: Mapping[str, int],
    unusable: Mapping[str, tuple[int, str, str]] | None = None,
    proposal: str | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Reject a dataset that cannot be learnt.

    Args:
        counts: number of usable images per class, 0 for a class folder without any.
        unusable: of classes: number of files that are not usable, and the first one with its reason.
        proposal: how file names or a table can give the labels.
        notes: on files that are left out.

    Raises:
        UserError: no class, one class only, a class with fewer than two images, or names that look alike.
    """
    if proposal and len(counts) < 2:
        raise UserError(f"found no class folders, but {proposal}")
    if not counts and notes:
        raise UserError(f"no class found: {notes[-1]}")
    if not counts:
        raise UserError("no class found: put the images of each class into a folder of its own, named after the class")
    for name, count in sorted(counts.items()):
        if count == 0 and unusable and name in unusable:
            files, first, reason = unusable[name]
            raise UserError(
                f"none of the {files:,} files of class {name!r} can be used, "
                f"the first is {PurePosixPath(first).name}: {reason}"
            )
        if count == 0:
            raise UserError(f"the class {name!r} is empty: put images into its folder, or remove the folder")
        if count < FEWEST_IMAGES:
            raise UserError(f"the class {name!r} has only {count} image: at least {FEWEST_IMAGES} are needed")
    if len(counts) == 1:
        name, count = next(iter(counts.items()))
        raise UserError(f"found only the class {name!r} ({count} images): at least two classes are needed")
    reject_twin_names(counts)


def normalised(name: str) -> str:
    """Return a name in Unicode form NFC."""
    return unicodedata.normalize("NFC", name)


def _visible(name: str) -> str:
    kept = "".join(character for character in name if unicodedata.category(character) != "Cf")
    return " ".join(kept.split())


def _plain_name(name: str) -> str:
    """Return a name without letter case and without the kind of its separators."""
    return " ".join(re.split(r"[\s_-]+", twin_key(name)))


def _singulars(name: str) -> list[str]:
    """Return the words of which `name` may be the plural; a short word may be an abbreviation."""
    endings = {"ies": "y", "es": "", "s": ""}
    found = [name[: -len(end)] + singular for end, singular in endings.items() if name.endswith(end)]
    return [word for word in found if len(word) >= SHORTEST_WORD and word[-1].isalpha()]


def _are_numbered(names: set[str]) -> bool:
    """Return whether names are one word with a number or a letter behind it."""
    found = [NUMBERED.fullmatch(name) for name in names]
    return len({match[1].lower() for match in found if match}) == 1 and all(found)


def some(names: Iterable[str]) -> str:
    """Return the first three names, and the number of the others."""
    listed = list(names)
    return ", ".join(map(repr, listed[:3])) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")


def ignored(name: str, around: Collection[str]) -> str:
    """Return the value of --ignore for a folder, with the folder around it where that has the same name."""
    return _quoted(f"{name}/{name}" if name in around else name)


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[\w./-]+", name) else f"'{name}'"
