"""Inspect a user's own images: classes, problems, and settings that suit them."""

import re
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from convnet.data.grey import range_of
from convnet.data.grey_levels import FULL
from convnet.data.manifest import build_manifest
from convnet.data.packing import pack_folder
from convnet.data.resizing import Resize
from convnet.data.sources import DOWNLOADS, reading_entry
from convnet.data.split_summary import by_reason
from convnet.data.splits import IMBALANCE
from convnet.params.data import Images, ReadAs
from convnet.params.recipe import smallest_image
from convnet.params.schema import Params
from convnet.system.errors import UserError
from convnet.system.files import file_digest, write_json

LARGEST_SIDE = 150  # pixels; the course's size, which a processor trains in minutes
COMMON_BATCH = 20
FEWEST_STEPS = 10  # per epoch; with fewer, 15 epochs hardly train
SMALLEST_BATCH = 4
TINY_CLASS = 20  # images
ALIKE = 1.5  # proportions that differ by a smaller factor are stretched; 4:3 beside 3:4 differ by 1.8
LEAST_KEPT = 0.5  # share of an image that a crop to a square keeps
DEFAULT_RESIZE: Resize = "stretch"  # the course's
BY_FOLDERS = ReadAs()


@dataclass(frozen=True)
class Look:
    """The manifest of the images and more.

    Attributes:
        fingerprint: SHA-256 of the archive; of a folder, of the archive that the download stage packs from it.
        summary: as the split stage writes it.
        manifest: as the split stage writes it.
        note: on skipped links and escaped names, or None.
    """

    fingerprint: str
    summary: dict[str, Any]
    manifest: pd.DataFrame
    note: str | None

    @property
    def counts(self) -> dict[str, int]:
        """Usable images per class."""
        splits = self.summary["counts"]
        return {name: sum(splits[split][name] for split in splits) for name in self.summary["classes"]}

    @property
    def split_counts(self) -> dict[str, int]:
        """Usable images per split."""
        return {split: sum(of_class.values()) for split, of_class in self.summary["counts"].items()}

    @property
    def shorter_side(self) -> int:
        """The shorter side, in pixels, that half of the usable images reach."""
        accepted = self.manifest[self.manifest["verdict"] == "accepted"]
        return int(accepted[["height", "width"]].min(axis=1).median())

    @property
    def training_images(self) -> int:
        """Number of images in the training split."""
        return self.split_counts["train"]


@dataclass(frozen=True)
class Advice:
    """Suggested settings, and one sentence on each; `images` holds what departs from the common settings."""

    image_size: tuple[int, int]
    batch_size: int
    backbone: str
    transfer: dict[str, Any]  # its changes of the section
    images: dict[str, str]
    reasons: tuple[str, ...]


def look_at(source: Path, name: str, kind: str, params: Params, settings: ReadAs = BY_FOLDERS) -> Look:
    """Verify and divide the images as the pipeline does, and leave no file behind.

    Args:
        source: a folder with one folder per class, or an archive of one.
        name: of the dataset.
        kind: "photographs" or "rendered".
        params: the settings for images and splits.
        settings: how labels and groups are read.

    Raises:
        UserError: the images make no dataset; the message names the reason.
    """
    DOWNLOADS.mkdir(parents=True, exist_ok=True)  # on the project's disk, which must hold the copy anyway
    with tempfile.TemporaryDirectory(dir=DOWNLOADS, prefix=f".{name}.") as temporary:
        folder = Path(temporary)
        packed, note = folder / f"{name}.zip", None
        if source.is_dir():
            note = pack_folder(source, packed)
        elif source.is_file():
            packed.symlink_to(source.resolve())
        else:
            raise UserError(f"{source} does not exist: give a folder with one subfolder per class, or an archive of it")
        write_json(
            folder / "sources.json",
            {"dataset": name, "kind": kind, "sources": [{"file": packed.name, "split": None}]}
            | reading_entry(settings, folder),
        )
        if name in params.datasets:
            images, rules = params.of_dataset("images", name), params.split_rules(name)
        else:
            images, rules = params.images.model_copy(update=_own_range(params.images)), params.split
        with _named_as_given(folder, packed, source, settings):
            manifest, summary = build_manifest(folder, limits=images, split=rules)
        return Look(file_digest(packed), summary, manifest, note)


def advise(look: Look, params: Params, backbone: str) -> Advice:
    """Return settings that suit the images and a backbone of `params`, each with its reason."""
    accepted, side = look.manifest[look.manifest["verdict"] == "accepted"], look.shorter_side
    least = max(params.backbones[backbone].smallest_image, smallest_image(params.network))
    length = max(least, min(side, LARGEST_SIDE))
    batch = min(COMMON_BATCH, max(SMALLEST_BATCH, look.training_images // FEWEST_STEPS))
    batch = min(batch, look.training_images)
    if params.backbones[backbone].weights is None:
        pooling, why_pooling = "flatten", "the backbone is small, so every feature can have its own weights"
    else:
        pooling, why_pooling = "average", "a head on one number per channel trains in a fraction of the time of flatten"
    resize, why_resize = _choose_resize(accepted, params)
    changed = {} if resize == params.images.resize else {"resize": resize}
    return Advice(
        image_size=(length, length),
        batch_size=batch,
        backbone=backbone,
        transfer={"pooling": pooling},
        images=changed | _grey_range(accepted, params),
        reasons=(
            f"pooling {pooling}: {why_pooling}",
            f"image_size {length}x{length}: the shorter side of half of the images is {side} pixels or more, "
            f"{least} to {LARGEST_SIDE} suit the networks",
            f"resize {resize}: {why_resize}",
            f"batch_size {batch}: {look.training_images:,} training images make "
            f"{-(-look.training_images // batch):,} steps per epoch",
        ),
    )


def problems(look: Look) -> list[str]:
    """Return the problems to know before training, one sentence each."""
    found, counts = [], look.counts
    if look.note:
        found.append(look.note)
    found += look.summary["layout"]
    for reason, members in by_reason(look.summary["rejected"]):
        subject = f"{len(members):,} files are" if len(members) > 1 else "1 file is"
        first = ", the first" if len(members) > 1 else ""
        found.append(f"{subject} skipped{first}: {members[0]}: {reason}")
    tiny = [f"{name} ({count})" for name, count in counts.items() if count < TINY_CLASS]
    if tiny:
        found.append(f"classes with fewer than {TINY_CLASS} images are too small to learn or test: {', '.join(tiny)}")
    largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    if counts[largest] > IMBALANCE * counts[smallest]:
        found.append(
            f"the classes are unequal ({counts[largest]:,} of {largest}, {counts[smallest]:,} of {smallest}): the "
            "report compares balanced accuracy"
        )
    duplicates = look.summary["duplicates"]
    if copies := duplicates["exact_pairs"] + duplicates["near_pairs"]:
        found.append(f"{copies:,} pairs show the same image, for example {' and '.join(duplicates['groups'][0][:2])}")
    if duplicates["across_splits"]:
        found.append(
            f"{duplicates['across_splits']:,} of these pairs are in different parts of your own division: set "
            "split.repair_leaks to true"
        )
    if duplicates["two_labels"]:
        first, second = duplicates["two_labels"][0]
        found.append(f"{len(duplicates['two_labels']):,} pairs have two labels, the first is {first} and {second}")
    return found


def dataset_name(source: Path) -> str:
    """Return a name for params.yaml, files and charts, made from a folder's or an archive's name."""
    stem = source.resolve().name
    if not source.is_dir():
        stem = re.sub(r"(\.tar)?\.[^.]+$", "", stem)
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_") or "own"


@contextmanager
def _named_as_given(folder: Path, packed: Path, source: Path, settings: ReadAs) -> Iterator[None]:
    """Name the user's files in a message, in the place of their temporary copies."""
    try:
        yield
    except UserError as error:
        text = str(error).replace(str(packed), str(source))
        if settings.labels and settings.labels.table:
            table = Path(settings.labels.table)
            text = text.replace(str(folder / f"labels{table.suffix}"), str(table))
        raise UserError(text) from error


def _own_range(images: Images) -> dict[str, str]:
    """Return the change that scales 16-bit grey by the dataset's own range, unless the user has set a range."""
    return {"grey_range": "auto"} if images.grey_range == "full" else {}


def _grey_range(accepted: pd.DataFrame, params: Params) -> dict[str, str]:
    """Return the change of `grey_range` where the dataset uses few of the 16 bits."""
    changed = _own_range(params.images)
    return changed if range_of(params.images.model_copy(update=changed), accepted) != FULL else {}


def _choose_resize(accepted: pd.DataFrame, params: Params) -> tuple[Resize, str]:
    """Return how images of different proportions become square, and the reason."""
    if params.images.resize != DEFAULT_RESIZE:
        return params.images.resize, "as images.resize in params.yaml"
    low, high = (accepted["width"] / accepted["height"]).quantile([0.05, 0.95])
    found = f"width divided by height is {low:.2f} to {high:.2f} in nine of ten images"
    if high <= ALIKE * low:
        return DEFAULT_RESIZE, f"{found}, so all are distorted nearly alike"
    kept = min(low, 1 / high)
    if kept >= LEAST_KEPT:
        return "crop", f"{found}, so stretching would distort them unequally; the middle keeps {kept:.0%} or more"
    return "pad", f"{found}, so stretching would distort them, and cropping would cut off too much"
