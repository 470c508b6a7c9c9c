"""The manifest: one row for every file in a class folder, with its split, hashes and verdict.

Images outside all class folders have a row too. Columns:
    archive, member, class: where the file is, and its label.
    split: train, validation or test; empty when rejected.
    official_split: the publisher's division, or empty.
    sha256, phash: of the bytes; 64-bit perceptual hash in 16 hexadecimal digits, empty when rejected.
    group: smallest row of all images that belong together: copies of one image, and images of one named group.
    bytes, width, height, format, mode: of the file and its image; 0 or empty where it cannot be decoded.
    grey_low, grey_high: smallest and largest value of 16-bit grey, 0 for other images.
    brightness, contrast: mean grey level, and largest minus smallest, of the image squeezed to 64x64 pixels.
    verdict, reason: accepted or rejected; the reason, or a note on an accepted file.
    group_name: name of the patient, scene or clip, or empty.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from convnet.data.duplicates import find_duplicates, perceptual_hashes
from convnet.data.folder_checks import check_classes
from convnet.data.groups import join_groups, reject_divided_groups, sequence_remark
from convnet.data.inspection import inspect_files, read_labels
from convnet.data.remarks import cut_remark, remarks
from convnet.data.split_summary import summarise
from convnet.data.splits import assign_splits
from convnet.params.data import Images, Split
from convnet.system.errors import UserError
from convnet.system.files import read_json

COLUMNS = {
    "archive": str, "member": str, "class": str, "split": str, "official_split": str, "sha256": str, "phash": str,
    "group": int, "bytes": int, "width": int, "height": int, "format": str, "mode": str,
    "grey_low": int, "grey_high": int, "brightness": int, "contrast": int, "verdict": str, "reason": str,
    "group_name": str,
}  # fmt: skip


def build_manifest(archives: Path, *, limits: Images, split: Split) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read every file of a dataset once, judge it, find duplicates and divide the images.

    Args:
        archives: folder with the archives of one dataset and its sources.json.
        limits: on pixels and on the shortest side.
        split: shares, seed and rules of the division.

    Returns:
        The manifest, sorted by (archive, member), and the summary: classes, counts, rejected files, notes, duplicates.

    Raises:
        UserError: an archive is missing, the images make no dataset, or with `split.strict` a file is rejected.
    """
    sources = read_json(archives / "sources.json")
    labels = read_labels(archives, sources)
    rows, thumbnails = inspect_files(archives, labels, limits, sources["dataset"])
    manifest = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    if split.strict:
        _raise_if_rejected(manifest)
    images = np.flatnonzero(manifest["verdict"] == "accepted")
    classes = manifest["class"].iloc[images].tolist()
    counts = {name: classes.count(name) for name in sorted(labels.classes)}
    check_classes(counts, _unusable(manifest), labels.proposal, labels.notes)
    members, names = manifest["member"].iloc[images].tolist(), manifest["group_name"].iloc[images].tolist()
    if not split.repair_leaks:
        reject_divided_groups(names, manifest["official_split"].iloc[images].tolist())
    digests = manifest["sha256"].iloc[images].tolist()
    found = find_duplicates(digests, thumbnails.small, split.near_duplicate_distance, thumbnails.fine)
    groups = join_groups(found.groups, names)
    splits = assign_splits(
        classes,
        manifest["official_split"].iloc[images].tolist(),
        groups,
        **split.model_dump(exclude={"near_duplicate_distance", "strict"}),
    )
    manifest.loc[images, "split"] = splits
    manifest.loc[images, "phash"] = [f"{value:016x}" for value in perceptual_hashes(thumbnails.small).tolist()]
    manifest.loc[images, "group"] = images[groups]
    _leave_out_copies(manifest, images)
    remark = None if any(names) else sequence_remark(members, classes, splits, thumbnails.small)
    notes = [*labels.notes, *([remark] if remark else [])]
    spoils = remarks(manifest, limits)
    if found.fixed_camera:
        spoils.append(
            f"{found.fixed_camera:,} images look alike, as from a fixed camera; they count as different images"
        )
    if missed := cut_remark(manifest, split):
        spoils.append(missed)
    return manifest, summarise(sources, manifest, images, found, notes) | {"remarks": spoils}


def _unusable(manifest: pd.DataFrame) -> dict[str, tuple[int, str, str]]:
    """Return of each class the number of rejected files, and the first of them with its reason."""
    rejected = manifest[manifest["verdict"] == "rejected"]
    return {
        str(name): (len(part), part["member"].iloc[0], part["reason"].iloc[0])
        for name, part in rejected.groupby("class")
    }


def _raise_if_rejected(manifest: pd.DataFrame) -> None:
    rejected = manifest[manifest["verdict"] == "rejected"]
    if len(rejected):
        first = rejected.iloc[0]
        raise UserError(
            f"{len(rejected)} of {len(manifest)} files are not usable as images, the first is {first['member']} in "
            f"{first['archive']}: {first['reason']}; repair or remove them, or set split.strict to false in params.yaml"
        )


def _leave_out_copies(manifest: pd.DataFrame, images: npt.NDArray[np.int64]) -> None:
    """Reject the images without a split, and name the copy that stays."""
    kept = manifest[manifest["split"] != ""].drop_duplicates("group").set_index("group")
    for index in images[manifest["split"].iloc[images] == ""].tolist():
        copy = kept.loc[manifest["group"].iloc[index]]
        relation = "is in the group of" if copy["group_name"] else "shows the same image as"
        reason = f"{relation} {copy['member']} in {copy['split']}, left out by split.repair_leaks"
        manifest.loc[index, ["verdict", "reason"]] = ["rejected", reason]
