"""The manifest: one row for every file in a class folder, verified once, with its split, hashes and verdict.

Images that lie in no class folder have a row too, so that nobody misses them.

The table is CSV; system/csv_cells.py has the rule for its texts, which reading inverts.
"""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from convnet.data.archives import Key, open_archive, read_members
from convnet.data.class_folders import check_classes, read_layout
from convnet.data.decoding import SUFFIXES, BadImage, Limits, decode
from convnet.data.duplicates import SIDE, Duplicates, find_duplicates, perceptual_hashes, thumbnail
from convnet.data.splits import SPLITS, assign_splits
from convnet.system.csv_cells import plain_text, safe_text
from convnet.system.errors import UserError, printable
from convnet.system.files import read_json, write_text
from convnet.system.processes import FEWEST_FOR_PROCESSES, map_in_processes, usable_cores
from convnet.system.progress import progress

COLUMNS = (
    "archive", "member", "class", "split", "official_split", "sha256", "phash", "group", "bytes", "width", "height",
    "mode", "verdict", "reason",
)  # fmt: skip
NUMBERS = {"group", "bytes", "width", "height"}
GROUPS_IN_SUMMARY = 50


@dataclass(frozen=True)
class SplitRules:
    """How images are divided; the section `split` of params.yaml."""

    validation: float
    test: float
    test_from_validation: float
    seed: int
    near_duplicate_distance: int
    repair_leaks: bool
    strict: bool


@dataclass(frozen=True)
class Row:
    """One file; the fields are the columns of the table, in their order.

    Attributes:
        split: train, validation or test; empty when rejected.
        official_split: the division its publisher made, or empty.
        phash: 64-bit perceptual hash in 16 hexadecimal digits, empty when rejected.
        group: smallest row index of all copies of this image, its own index if there are none.
        width: in pixels, 0 when the file could not be decoded; so is `height`.
        verdict: accepted or rejected.
        reason: why it was rejected, or a note on an accepted file.
    """

    archive: str
    member: str
    class_name: str
    split: str
    official_split: str
    sha256: str
    phash: str
    group: int
    bytes: int
    width: int
    height: int
    mode: str
    verdict: str
    reason: str

    @property
    def accepted(self) -> bool:
        """Whether the file is used."""
        return self.verdict == "accepted"


@dataclass(frozen=True)
class Inspected:
    """What reading a file once told; `thumbnail` uint8 (32, 32) is None when it is no usable image."""

    sha256: str
    bytes: int
    width: int
    height: int
    mode: str
    reason: str
    thumbnail: npt.NDArray[np.uint8] | None


def build_manifest(archives: Path, *, limits: Limits, split: SplitRules) -> tuple[list[Row], dict[str, Any]]:
    """Read every file of a dataset once, judge it, find duplicates and divide the images.

    Args:
        archives: folder with the archives of one dataset and its sources.json.
        limits: what an image may cost.
        split: how to divide.

    Returns:
        The rows, sorted by (archive, member), and the summary: classes, counts, rejected files, notes, duplicates.

    Raises:
        UserError: an archive is missing, no dataset can be made of it, or with `split.strict` a file is rejected.
    """
    sources = read_json(archives / "sources.json")
    rows, thumbnails, class_folders = _inspect_all(archives, sources, limits)
    if split.strict:
        _refuse_rejected(rows)
    accepted = [index for index, row in enumerate(rows) if row.accepted]
    counts = Counter(rows[index].class_name for index in accepted)
    check_classes({name: counts[name] for name in sorted(class_folders)})

    found = find_duplicates([rows[i].sha256 for i in accepted], thumbnails, split.near_duplicate_distance)
    splits = assign_splits(
        [rows[i].class_name for i in accepted],
        [rows[i].official_split for i in accepted],
        found.groups,
        validation=split.validation,
        test=split.test,
        test_from_validation=split.test_from_validation,
        seed=split.seed,
        repair_leaks=split.repair_leaks,
    )
    hashes = perceptual_hashes(thumbnails)
    for position, index in enumerate(accepted):
        rows[index] = replace(
            rows[index],
            split=splits[position],
            phash=f"{int(hashes[position]):016x}",
            group=accepted[int(found.groups[position])],
        )
    _leave_out_copies(rows, accepted)
    return rows, _summary(sources, rows, accepted, found)


def write_manifest(rows: Sequence[Row], path: Path) -> None:
    """Write the table."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(COLUMNS)
    writer.writerows([safe_text(v) if isinstance(v, str) else v for v in astuple(row)] for row in rows)
    write_text(path, buffer.getvalue())


def read_manifest(path: Path) -> list[Row]:
    """Read the table that `write_manifest` wrote.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run `dvc repro` to make it") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        if tuple(next(reader, ())) != COLUMNS:
            raise ValueError("the first line does not name the columns")
        return [_row(fields) for fields in reader]
    except (ValueError, csv.Error) as error:
        raise UserError(
            f"{path} is not a whole manifest (line {reader.line_num}: {error}); delete it and run `dvc repro`"
        ) from error


def rejected_line(summary: dict[str, Any]) -> str | None:
    """Return one line on the rejected files, or None when there are none."""
    rejected = summary["rejected"]
    if not rejected:
        return None
    total = len(rejected) + sum(sum(classes.values()) for classes in summary["counts"].values())
    first = rejected[0]
    return printable(
        f"{summary['dataset']}: {len(rejected)} of {total} files rejected, "
        f"the first is {first['member']} in {first['archive']}: {first['reason']}"
    )


def duplicates_line(summary: dict[str, Any]) -> str | None:
    """Return one line on copies of one image in different splits or under two labels, or None."""
    found = summary["duplicates"]
    faults = []
    if found["across_splits"]:
        faults.append(
            f"{found['across_splits']} pairs of one image lie in different parts of the official division "
            "(split.repair_leaks: true leaves out the copy nearer to training)"
        )
    if found["two_labels"]:
        first, second = found["two_labels"][0]
        faults.append(
            f"{len(found['two_labels'])} pairs of one image have two labels, the first is {first} and {second}"
        )
    return printable(f"{summary['dataset']}: {'; '.join(faults)}") if faults else None


def _inspect_all(
    archives: Path, sources: dict[str, Any], limits: Limits
) -> tuple[list[Row], npt.NDArray[np.uint8], set[str]]:
    """Return the rows, not yet divided, the thumbnails of the accepted ones, and the names of all class folders."""
    places: dict[Key, tuple[str, str]] = {}  # class and official split
    outside: dict[Key, Inspected] = {}
    classes: set[str] = set()
    for source in sources["sources"]:
        with open_archive(archives / source["file"]) as archive:
            layout = read_layout(archive.members(), archive.folders())
        for image in layout.images:
            places[source["file"], image.name] = (image.class_name, source["split"] or image.official_split or "")
        classes.update(layout.empty_classes, (image.class_name for image in layout.images))
        for member in layout.outside:
            if PurePosixPath(member).suffix.lower() in SUFFIXES:  # a read-me or a licence is nothing to report
                outside[source["file"], member] = Inspected("", 0, 0, 0, "", "lies in no class folder", None)
    processes = usable_cores() if len(places) >= FEWEST_FOR_PROCESSES else 1
    inspected = map_in_processes(partial(_inspect, limits), read_members(archives, places), processes)
    found = dict(progress(inspected, total=len(places), label=f"verify {sources['dataset']}"))
    found |= outside
    rows = [_new_row(index, key, *places.get(key, ("", "")), found[key]) for index, key in enumerate(sorted(found))]
    thumbnails = [small for key in sorted(places) if (small := found[key].thumbnail) is not None]
    return rows, np.array(thumbnails, dtype=np.uint8).reshape(-1, SIDE, SIDE), classes


def _inspect(limits: Limits, file: tuple[Key, bytes | BadImage]) -> tuple[Key, Inspected]:
    """Decode a file completely and tell what it is."""
    key, content = file
    if isinstance(content, BadImage):
        return key, Inspected("", 0, 0, 0, "", str(content), None)
    digest = hashlib.sha256(content).hexdigest()
    try:
        picture = decode(content, key[1], limits)
    except BadImage as fault:
        return key, Inspected(digest, len(content), 0, 0, "", str(fault), None)
    small = thumbnail(picture.image)
    return key, Inspected(digest, len(content), picture.width, picture.height, picture.mode, picture.note or "", small)


def _new_row(index: int, key: Key, class_name: str, official_split: str, found: Inspected) -> Row:
    archive, member = key
    return Row(
        archive=archive, member=member, class_name=class_name, split="", official_split=official_split,
        sha256=found.sha256, phash="", group=index, bytes=found.bytes, width=found.width, height=found.height,
        mode=found.mode, verdict="rejected" if found.thumbnail is None else "accepted", reason=found.reason,
    )  # fmt: skip


def _refuse_rejected(rows: Sequence[Row]) -> None:
    rejected = [row for row in rows if not row.accepted]
    if rejected:
        first = rejected[0]
        raise UserError(
            f"{len(rejected)} of {len(rows)} files are no usable images, the first is {first.member} in "
            f"{first.archive}: {first.reason}; mend or remove them, or set split.strict to false in params.yaml"
        )


def _leave_out_copies(rows: list[Row], accepted: Sequence[int]) -> None:
    """Reject the accepted rows that were given no split, naming the copy that stays."""
    kept = {rows[index].group: rows[index] for index in reversed(accepted) if rows[index].split}
    for index in accepted:
        if not rows[index].split:
            copy = kept[rows[index].group]
            reason = f"shows the same image as {copy.member} in {copy.split}, left out by split.repair_leaks"
            rows[index] = replace(rows[index], verdict="rejected", reason=reason)


def _summary(
    sources: dict[str, Any], rows: Sequence[Row], looked_at: Sequence[int], found: Duplicates
) -> dict[str, Any]:
    used = [row for row in rows if row.accepted]
    counts = Counter((row.split, row.class_name) for row in used)
    classes = sorted({row.class_name for row in used})
    groups: dict[int, list[str]] = {}
    for index in looked_at:
        groups.setdefault(rows[index].group, []).append(rows[index].member)
    copies = [members for members in groups.values() if len(members) > 1]
    pairs = [(rows[looked_at[i]], rows[looked_at[j]]) for i, j in np.concatenate([found.exact_pairs, found.near_pairs])]
    sizes = sorted(((row.height, row.width) for row in used), key=lambda size: (size[0] * size[1], size))
    return {
        "dataset": sources["dataset"],
        "kind": sources["kind"],
        "classes": classes,
        "counts": {split: {name: counts[split, name] for name in classes} for split in SPLITS},
        "rejected": [{"archive": r.archive, "member": r.member, "reason": r.reason} for r in rows if not r.accepted],
        "notes": [{"archive": r.archive, "member": r.member, "note": r.reason} for r in used if r.reason],
        "duplicates": {
            "exact_pairs": len(found.exact_pairs),
            "near_pairs": len(found.near_pairs),
            "groups": copies[:GROUPS_IN_SUMMARY],
            "across_splits": sum(a.accepted and b.accepted and a.split != b.split for a, b in pairs),
            "two_labels": [[a.member, b.member] for a, b in pairs if a.class_name != b.class_name],
        },
        "image_sizes": {
            "smallest": list(sizes[0]), "median": list(sizes[len(sizes) // 2]), "largest": list(sizes[-1]),
        },
        "bytes_total": sum(row.bytes for row in used),
    }  # fmt: skip


def _row(fields: Sequence[str]) -> Row:
    if len(fields) != len(COLUMNS):
        raise ValueError(f"{len(fields)} columns instead of {len(COLUMNS)}")
    values: list[Any] = [int(v) if name in NUMBERS else plain_text(v) for name, v in zip(COLUMNS, fields, strict=True)]
    return Row(*values)
