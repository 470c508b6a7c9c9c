"""Read every file of a dataset once: decode it, hash it, and judge it."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from convnet.data.archives import Key, open_archive, read_members
from convnet.data.class_folders import ImageMember, Reading, read_layout
from convnet.data.decoding import decode
from convnet.data.duplicates import FINE_SIDE, SIDE, fine_thumbnail, thumbnail
from convnet.data.formats import SUFFIXES
from convnet.data.image_faults import BadImage
from convnet.data.label_tables import read_labelled
from convnet.params.data import Images, ReadAs
from convnet.system.processes import FEWEST_FOR_PROCESSES, map_in_processes, usable_cores
from convnet.system.progress import progress

Pixels = npt.NDArray[np.uint8]
Facts = dict[str, Any]  # cells of one row, by column
NOTHING: Facts = {
    "sha256": "", "bytes": 0, "width": 0, "height": 0, "format": "", "mode": "", "grey_low": 0, "grey_high": 0,
    "brightness": 0, "contrast": 0,
}  # fmt: skip


@dataclass(frozen=True)
class Thumbnails:
    """Grey images of the accepted files: uint8 (n, 32, 32) and (n, 64, 64)."""

    small: Pixels
    fine: Pixels


@dataclass
class Labels:
    """The files with a class, and what else was found.

    Attributes:
        images: by archive and member.
        outside: other files that may be images.
        classes: names of all classes, also of empty ones.
        notes: one sentence each on files that are left out.
        proposal: how the file names can give the labels, or None.
    """

    images: dict[Key, ImageMember] = field(default_factory=dict)
    outside: list[Key] = field(default_factory=list)
    classes: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    proposal: str | None = None


def read_labels(archives: Path, sources: Facts) -> Labels:
    """Read class, official split and group of every file, by the folders, the names or the table of sources.json.

    Raises:
        UserError: folders or names can be read in two ways, or the table cannot be read.
    """
    settings = ReadAs.model_validate(sources.get("reading", {}))
    reading, found = Reading.of(settings), Labels()
    table = settings.labels if settings.labels and settings.labels.table else None
    files: list[Key] = []
    for source in sources["sources"]:
        file = source["file"]
        with open_archive(archives / file) as archive:
            members, folders, specials = archive.members(), archive.folders(), archive.specials
        if table:
            files += [(file, member.name) for member in members if not reading.ignores(member.name.split("/"))]
            continue
        layout = read_layout(members, folders, reading)
        found.images |= {(file, image.name): image for image in layout.images}
        found.classes.update(layout.empty_classes, (image.class_name for image in layout.images))
        found.notes += layout.notes
        found.proposal = found.proposal or layout.proposal
        # A read-me or a licence needs no report.
        found.outside += [(file, name) for name in layout.outside if name in specials or _has_image_suffix(name)]
    if table and table.table:
        labelled = read_labelled(archives / table.table, table, files)
        found.images, found.notes = labelled.images, labelled.notes
        found.classes = {image.class_name for image in labelled.images.values()}
    official = {source["file"]: source["split"] for source in sources["sources"] if source["split"]}
    found.images = {
        key: replace(image, official_split=official.get(key[0], image.official_split))
        for key, image in found.images.items()
    }
    return found


def inspect_files(archives: Path, labels: Labels, limits: Images, name: str) -> tuple[list[Facts], Thumbnails]:
    """Inspect all files with a class, and name images outside the classes.

    Args:
        archives: folder with the archives.
        labels: from `read_labels`.
        limits: on pixels and on the shortest side.
        name: of the dataset, for the progress line.

    Returns:
        One row per file, sorted by (archive, member), not yet divided; the thumbnails of the accepted files.
    """
    places = labels.images
    processes = usable_cores() if len(places) >= FEWEST_FOR_PROCESSES else 1
    inspected = map_in_processes(partial(_inspect, limits), read_members(archives, places), processes)
    rows, accepted = {}, set()
    position = {key: index for index, key in enumerate(sorted(places))}
    found = Thumbnails(*(np.empty((len(places), side, side), np.uint8) for side in (SIDE, FINE_SIDE)))
    for key, facts, pixels in progress(inspected, total=len(places), label=f"verify {name}"):
        place = places[key]
        rows[key] = facts | {
            "class": place.class_name, "official_split": place.official_split or "", "group_name": place.group,
        }  # fmt: skip
        if pixels is not None:
            found.small[position[key]], found.fine[position[key]] = pixels
            accepted.add(key)
    for key in labels.outside:
        rows[key] = NOTHING | {"class": "", "official_split": "", "group_name": "", "reason": "is in no class folder"}
    for new, key in enumerate(sorted(accepted)):  # closes gaps in place: a second copy may not fit into memory
        found.small[new], found.fine[new] = found.small[position[key]], found.fine[position[key]]
    kept = Thumbnails(found.small[: len(accepted)], found.fine[: len(accepted)])
    return [_row(index, key, rows[key], key in accepted) for index, key in enumerate(sorted(rows))], kept


def _inspect(limits: Images, file: tuple[Key, bytes | BadImage]) -> tuple[Key, Facts, tuple[Pixels, Pixels] | None]:
    """Decode a file completely; a file that is not an image has no thumbnails."""
    key, content = file
    if isinstance(content, BadImage):
        return key, NOTHING | {"reason": str(content)}, None
    facts = NOTHING | {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    try:
        # Copies of a dark 16-bit image show only if its own range is used.
        image = decode(content, key[1], limits.model_copy(update={"grey_range": "auto"}))
    except BadImage as fault:
        return key, facts | {"reason": str(fault)}, None
    low, high = image.grey_values or (0, 0)
    fine = fine_thumbnail(image.image)
    facts |= {
        "width": image.width, "height": image.height, "format": image.format, "mode": image.mode,
        "grey_low": low, "grey_high": high, "brightness": round(float(fine.mean())),
        "contrast": int(fine.max()) - int(fine.min()), "reason": image.note or "",
    }  # fmt: skip
    return key, facts, (thumbnail(image.image), fine)


def _row(index: int, key: Key, facts: Facts, accepted: bool) -> Facts:
    verdict = "accepted" if accepted else "rejected"
    return facts | {
        "archive": key[0], "member": key[1], "split": "", "phash": "", "group": index, "verdict": verdict,
    }  # fmt: skip


def _has_image_suffix(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES
