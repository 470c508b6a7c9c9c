"""Read the class, the official split and the group of an image from the folders around it, or from its name."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from convnet.data.folder_checks import (
    inner_are_classes,
    normalised,
    reject_mask_files,
    reject_near_twins,
    reject_repeats,
    reject_twin_names,
    reject_twins,
    reject_two_readings,
    repeated_inside,
    twin_key,
)  # fmt: skip
from convnet.data.formats import SUFFIXES
from convnet.data.label_names import NamePattern, propose_pattern
from convnet.data.member_names import Member, is_clutter
from convnet.data.nested_archive import is_archive_name
from convnet.data.part_folders import Parts, class_depth, find_parts, inner_names
from convnet.data.part_names import part_of
from convnet.params.data import ReadAs
from convnet.params.section import SplitName
from convnet.system.errors import UserError

Folders = list[list[str]]  # paths
TABLES = (".csv", ".tsv", ".jsonl")


@dataclass(frozen=True, order=True)
class ImageMember:
    """A file inside a class folder. Only its content decides whether it is an image."""

    name: str
    class_name: str
    official_split: SplitName | None
    group: str = ""


@dataclass(frozen=True)
class Layout:
    """The files with a class, and what else is there.

    Attributes:
        images: files with a class.
        empty_classes: class folders without a file.
        outside: files outside all classes.
        notes: one sentence each on files that are left out.
        proposal: a sentence on labels in file names or in a table where the folders name no classes, or None.
    """

    images: list[ImageMember]
    empty_classes: list[str]
    outside: list[str]
    notes: list[str] = field(default_factory=list)
    proposal: str | None = None


@dataclass(frozen=True)
class Reading:
    """How folders and names are read; the defaults are for class folders.

    Attributes:
        ignore: patterns of file and folder names that are left out.
        group_by_folder: whether folders inside or around the classes are groups.
        label: pattern of the file names that hold the label.
        group: pattern of the file names that hold the group.
    """

    ignore: tuple[str, ...] = ()
    group_by_folder: bool = False
    label: NamePattern | None = None
    group: NamePattern | None = None

    @classmethod
    def of(cls, source: ReadAs) -> "Reading":
        """Return the reading that a dataset's source asks for.

        Raises:
            UserError: a pattern has no field for the label or the group.
        """
        label = source.labels.from_name if source.labels else None
        group = source.groups.from_name if source.groups else None
        return cls(
            source.ignore,
            bool(source.groups and source.groups.by_folder),
            NamePattern.parse(label, "label", "--label-from-name") if label else None,
            NamePattern.parse(group, "group", "--group-from-name") if group else None,
        )

    def ignores(self, parts: list[str]) -> bool:
        """Return whether a file or folder of this path is left out."""
        return any(_fits(pattern.lower().strip("/").split("/"), parts) for pattern in self.ignore)


def read_layout(members: Iterable[Member], folders: Iterable[str] = (), reading: Reading = Reading()) -> Layout:
    """Read classes, official splits and groups.

    Single folders around everything are skipped. If all folders then have names of parts (`train`, `Test Data`,
    `seg_train`), they are the official split, and the folders in them the classes. Otherwise they are the classes.
    Deeper folders belong to their class. A part without labels is left out. Hidden and system files are skipped.

    Args:
        members: the files of an archive.
        folders: its folder entries, which show an empty class folder.
        reading: options on labels, groups and names to leave out.

    Returns:
        The layout; class names are in Unicode form NFC.

    Raises:
        UserError: the folders have two readings, or two class folders look alike.
    """
    everything = [path for member in members if not any(map(is_clutter, path := member.name.split("/")))]
    files = [path for path in everything if not reading.ignores(path)] if reading.ignore else everything
    # Every folder around a file, as a whole path: a list of all its parents would grow with the square of the depth.
    known = [path[:-1] for path in files]
    entries = (path for folder in folders if not any(map(is_clutter, path := folder.strip("/").split("/"))))
    known += [path for path in entries if not reading.ignores(path)]
    notes = [f"{count:,} files left out by --ignore"] if (count := len(everything) - len(files)) else []
    parts = find_parts(known)
    kept, unlabelled = _without_unlabelled(files, known, parts, reading)
    notes += [
        f"the part {name!r} has no labels; its {count:,} files are left out"
        for name, count in sorted(unlabelled.items())
    ]
    depth = parts.top + parts.inside
    known = [path for path in known if len(path) <= depth or path[depth] not in unlabelled]
    layout = _by_name(kept, parts, reading) if reading.label else _by_folder(kept, known, parts, reading)
    layout.notes[:0] = notes
    if closed := [name for name in layout.outside if is_archive_name(name)]:
        layout.notes.append(f"{len(closed):,} archives inside are not opened, the first is {closed[0]}: unpack it")
    return layout


def may_be_image(name: str) -> bool:
    """Return whether a file's suffix is that of an image, or missing."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix in SUFFIXES or not re.fullmatch(r"\.[a-z][a-z0-9]*", suffix)


def _without_unlabelled(
    files: Folders, known: Folders, parts: Parts, reading: Reading
) -> tuple[Folders, dict[str, int]]:
    """Return the files of labelled parts, and the number of files in each part without labels."""
    labels: dict[str, set[str]] = {}
    for name in parts.names:
        if reading.label:
            read = (reading.label.read(path) for path in files if parts.folder(path) == name)
            labels[name] = {twin_key(found["label"]) for found in read if found}
        else:
            depth = class_depth(known, parts, name)
            inside = (path for path in known if parts.folder([*path, ""]) == name)
            labels[name] = {twin_key(path[depth]) for path in inside if len(path) > depth}
    trained = set().union(*(labels[name] for name, part in parts.names.items() if part == "train"))
    left_out = {
        name: sum(1 for path in files if parts.folder(path) == name)
        for name, part in parts.names.items()
        if part == "unlabelled"
        or (part != "train" and trained and len(labels[name]) < 2 and not labels[name] & trained)
    }
    left_out = {name: count for name, count in left_out.items() if count}
    return [path for path in files if parts.folder(path) not in left_out], left_out


def _by_name(files: Folders, parts: Parts, reading: Reading) -> Layout:
    assert reading.label is not None
    images, outside = [], []
    for path in files:
        found = reading.label.read(path)
        if found is None:
            outside.append("/".join(path))
            continue
        group = _named_group(path, reading) or found.get("group", "")
        if reading.group_by_folder and len(path) > 1:
            group = path[-2]
        images.append(ImageMember("/".join(path), normalised(found["label"]), _split(path, parts), group))
    if not images:
        raise UserError(f"no file name fits --label-from-name {reading.label.text!r}: the first is {outside[:1]}")
    reject_twin_names({image.class_name for image in images})
    misfits = [name for name in outside if may_be_image(name)]
    notes = [f"{len(misfits):,} file names do not fit the pattern, the first is {misfits[0]}"] if misfits else []
    return Layout(sorted(images), [], sorted(outside), notes)


def _by_folder(files: Folders, known: Folders, parts: Parts, reading: Reading) -> Layout:
    depths = {name: class_depth(known, parts, name) for name in parts.names}

    def inside(path: list[str]) -> list[str]:
        """Return the path from the class folder on."""
        return parts.below(path, depths)

    inner = inner_names([inside(path) for path in known], 0)
    if unlabelled := _unlabelled_folder(inner):
        labelled, known = ([path for path in paths if inside(path)[:1] != [unlabelled]] for paths in (files, known))
        layout = _by_folder(labelled, known, parts, reading)
        layout.notes.append(
            f"the folder {unlabelled!r} has no labels; its {len(files) - len(labelled):,} files are left out"
        )
        return layout
    direct = {below[0] for path in files if len(below := inside(path)) == 2 and may_be_image(below[1])}
    around = known[0][: len(known[0]) - len(inside(known[0]))] if known else []
    reject_repeats(inner, around)
    repeated = repeated_inside({name: set() if name in direct else names for name, names in inner.items()})
    if repeated and not reading.group_by_folder:
        reject_two_readings(inner, repeated)
    level = int(bool(repeated) and inner_are_classes(inner, repeated))
    classes = {
        (*path[: len(path) - len(below)][parts.top :], *below[: level + 1]): normalised(below[level])
        for path in known
        if len(below := inside(path)) > level
    }
    reject_twins(classes)
    images, outside, filled = [], [], set()
    for path in files:
        below = inside(path)
        if len(below) <= level + 1:
            outside.append("/".join(path))
            continue
        name = normalised(below[level])
        group = _named_group(path, reading)
        if reading.group_by_folder:
            group = below[0] if level else below[1] if len(below) > 2 else ""
        images.append(ImageMember("/".join(path), name, _split(path, parts), group))
        filled.add(name)
    if reading.group_by_folder and not any(image.group for image in images):
        raise UserError("--group-by-folder finds no folders inside or around the class folders: leave the option out")
    reject_mask_files(image.name for image in images)
    reject_near_twins(filled, {len(inside(path)) - level for path in files if len(inside(path)) > level + 1})
    names = set(classes.values())
    trained = [path for path in files if _split(path, parts) == "train"]
    candidates = [path for path in trained or files if may_be_image(path[-1])]
    proposal = (propose_pattern(candidates) or _propose_table(outside)) if len(names) < 2 else None
    return Layout(sorted(images), sorted(names - filled), sorted(outside), [], proposal)


def _unlabelled_folder(inner: dict[str, set[str]]) -> str | None:
    """Return the first folder for images without labels that is beside classes, or None."""
    found = sorted(name for name in inner if part_of(name) == ("unlabelled", ""))
    return found[0] if found and len(inner) - len(found) > 1 else None


def _propose_table(outside: list[str]) -> str | None:
    """Return a sentence on the first file outside all classes that may be a label table, or None."""
    tables = sorted(name for name in outside if name.lower().endswith(TABLES))
    return f"{tables[0]} may be a label table: give its path with --labels" if tables else None


def _fits(pattern: list[str], parts: list[str]) -> bool:
    """Return whether neighbouring parts of a path fit the parts of a pattern."""
    starts = range(len(parts) - len(pattern) + 1)
    return any(
        all(fnmatchcase(part.lower(), wanted) for part, wanted in zip(parts[start:], pattern, strict=False))
        for start in starts
    )


def _named_group(path: list[str], reading: Reading) -> str:
    found = reading.group.read(path) if reading.group else None
    return found["group"] if found else ""


def _split(path: list[str], parts: Parts) -> SplitName | None:
    part = parts.names.get(parts.folder(path) or "")
    return None if part is None or part == "unlabelled" else part
