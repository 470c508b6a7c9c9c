"""Read every file of a dataset once: decode it, hash it, and judge it."""

import hashlib
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from convnet.data.archives import Key, open_archive, read_members
from convnet.data.class_folders import read_layout
from convnet.data.decoding import SUFFIXES, BadImage, decode
from convnet.data.duplicates import SIDE, thumbnail
from convnet.params.schema import Images
from convnet.system.processes import FEWEST_FOR_PROCESSES, map_in_processes, usable_cores
from convnet.system.progress import progress

Thumbnails = npt.NDArray[np.uint8]  # (n, 32, 32)
Facts = dict[str, Any]  # cells of one row, by column
NOTHING = {"sha256": "", "bytes": 0, "width": 0, "height": 0, "mode": ""}


def inspect_files(archives: Path, sources: Facts, limits: Images) -> tuple[list[Facts], Thumbnails, set[str]]:
    """Inspect the files of all class folders, and name images outside them.

    Args:
        archives: folder with the archives.
        sources: content of its sources.json.
        limits: on pixels and on the shortest side.

    Returns:
        One row per file, sorted by (archive, member), not yet divided; the thumbnails of the accepted files; the names
        of all classes, also of empty ones.
    """
    places: dict[Key, Facts] = {}
    outside: list[Key] = []
    classes: set[str] = set()
    for source in sources["sources"]:
        file = source["file"]
        with open_archive(archives / file) as archive:
            layout, specials = read_layout(archive.members(), archive.folders()), archive.specials
        for image in layout.images:
            split = source["split"] or image.official_split or ""
            places[file, image.name] = {"class": image.class_name, "official_split": split}
        classes.update(layout.empty_classes, (image.class_name for image in layout.images))
        # A read-me or a licence needs no report.
        outside += [(file, name) for name in layout.outside if name in specials or _has_image_suffix(name)]
    processes = usable_cores() if len(places) >= FEWEST_FOR_PROCESSES else 1
    inspected = map_in_processes(partial(_inspect, limits), read_members(archives, places), processes)
    rows, thumbnails = {}, {}
    for key, facts, small in progress(inspected, total=len(places), label=f"verify {sources['dataset']}"):
        rows[key] = facts | places[key]
        if small is not None:
            thumbnails[key] = small
    for key in outside:
        rows[key] = NOTHING | {"class": "", "official_split": "", "reason": "is in no class folder"}
    stacked = np.array([thumbnails[key] for key in sorted(thumbnails)], dtype=np.uint8).reshape(-1, SIDE, SIDE)
    return [_row(index, key, rows[key], key in thumbnails) for index, key in enumerate(sorted(rows))], stacked, classes


def _inspect(limits: Images, file: tuple[Key, bytes | BadImage]) -> tuple[Key, Facts, Thumbnails | None]:
    """Decode a file completely; a file that is not an image has no thumbnail."""
    key, content = file
    if isinstance(content, BadImage):
        return key, NOTHING | {"reason": str(content)}, None
    facts = NOTHING | {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    try:
        image = decode(content, key[1], limits)
    except BadImage as fault:
        return key, facts | {"reason": str(fault)}, None
    facts |= {"width": image.width, "height": image.height, "mode": image.mode, "reason": image.note or ""}
    return key, facts, thumbnail(image.image)


def _row(index: int, key: Key, facts: Facts, accepted: bool) -> Facts:
    verdict = "accepted" if accepted else "rejected"
    return facts | {
        "archive": key[0], "member": key[1], "split": "", "phash": "", "group": index, "verdict": verdict,
    }  # fmt: skip


def _has_image_suffix(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES
