"""A saved model measured on images whose folders name their classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convnet.comparison.statistics import wilson_interval
from convnet.data.archives import open_archive
from convnet.data.class_folders import ImageMember, Layout, Reading, read_layout
from convnet.data.label_tables import read_labelled
from convnet.data.member_names import Member, escape_name
from convnet.evaluation.metrics import evaluate_split
from convnet.inference.inputs import Place, folder_files, is_archive
from convnet.inference.predict import Counts, Predictor
from convnet.params.data import ReadAs
from convnet.system.errors import UserError, printable

BY_FOLDERS = ReadAs()


def evaluate_labelled(
    model_path: Path,
    images: Path,
    split: str | None,
    calibrated: bool,
    settings: ReadAs = BY_FOLDERS,
    maximum_pixels: int | None = None,
) -> dict[str, Any]:
    """Measure a saved model on a folder or an archive with one folder per class.

    Args:
        model_path: a `.keras` file.
        images: a folder or an archive.
        split: which part of a folder that is divided into train, validation and test.
        calibrated: whether the temperature fitted on validation images is applied.
        settings: how labels are read.
        maximum_pixels: see `Predictor`.

    Returns:
        Facts of the model; the numbers of `SplitMetrics`; accuracy_interval (Wilson, 95 %); rejected: [{image,
        reason}]; notes: one sentence each on files that are left out.

    Raises:
        UserError: the model is refused, a class is unknown to the model, or every image is unusable.
    """
    classes_of, notes = _labelled_places(images, split, settings)  # before the model, whose loading takes seconds
    predictor = Predictor(model_path, calibrated, maximum_pixels)
    facts, counts = predictor.facts, Counts()
    _check_known(set(classes_of.values()), facts.classes, images)
    rows = list(predictor.rows(list(classes_of), counts))
    rejected = [{"image": row.place.member or row.place.path, "reason": row.error} for row in rows if row.error]
    if len(rejected) == len(rows):
        raise UserError(f"{images} holds no usable image ({counts.sentence()})")
    good = [(classes_of[row.place], row.probabilities) for row in rows if row.probabilities is not None]
    labels = np.array([facts.classes.index(name) for name, _ in good], dtype=np.int64)
    numbers = evaluate_split(np.array([row for _, row in good]), labels, facts.classes).model_dump()
    return {
        "model": str(model_path),
        "dataset": facts.dataset,
        "variant": facts.variant,
        "seed": facts.seed,
        "learnt_from": facts.kind,
        "temperature": predictor.temperature,
        "classes": list(facts.classes),
        **numbers,
        "accuracy_interval": list(wilson_interval(numbers["accuracy"], numbers["n"])),
        "left_out": counts.left_out,
        "notes": notes,
        "rejected": rejected,
    }


def _check_known(classes: set[str], known: Sequence[str], images: Path) -> None:
    unknown = sorted(classes - set(known))
    if unknown:
        raise UserError(
            f"{images} holds the class {unknown[0]!r}, but the model knows only {', '.join(known)}; "
            "rename the folder or move it away"
        )


def evaluation_text(result: dict[str, Any]) -> str:
    """Return the numbers of `evaluate_labelled` as a table for the terminal."""
    low, high = result["accuracy_interval"]
    origin = f", learnt from {result['learnt_from']}" if result["learnt_from"] else ""
    temperature = f", temperature {result['temperature']:.3f}" if result["temperature"] else ""
    names = [printable(name) for name in result["classes"]]
    lines = [
        f"{result['dataset']}/{result['variant']} seed {result['seed']}{origin}{temperature}",
        f"{result['n']:,} images: accuracy {100 * result['accuracy']:.1f} % "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f} %), loss {result['loss']:.3f}, "
        f"balanced accuracy {100 * result['balanced_accuracy']:.1f} %, macro F1 {100 * result['macro_f1']:.1f} %",
        "",
        *_confusion_lines(names, result["confusion"], list(result["recall"].values())),
    ]
    if result["notes"]:
        lines += ["", *result["notes"]]
    if result["rejected"]:
        first = result["rejected"][0]
        lines += [
            "",
            f"{len(result['rejected']):,} files could not be used, the first: {first['image']}: {first['reason']}",
        ]
    return "\n".join(map(printable, lines)) + "\n"


def _labelled_places(images: Path, split: str | None, settings: ReadAs) -> tuple[dict[Place, str], list[str]]:
    """Return the class of every file that has one, and sentences on files that are left out."""
    if images.is_dir():
        files, folders = folder_files(images)
        # Packing escapes names for training, and the model knows its classes by the escaped names.
        places = {escape_name(name): Place(str(images / name)) for name in files}
        found = _read([Member(name, 0) for name in places], [escape_name(name) for name in folders], settings)
    elif images.is_file() and is_archive(images):
        with open_archive(images) as archive:
            found = _read(archive.members(), archive.folders(), settings)
        places = {image.name: Place(str(images), image.name) for image in found.images}
    else:
        raise UserError(
            f"{images} is neither a folder nor an archive; give one that holds a folder of images per class"
        )
    return {places[image.name]: image.class_name for image in _of_split(found, images, split)}, found.notes


def _read(members: list[Member], folders: list[str], settings: ReadAs) -> Layout:
    reading, labels = Reading.of(settings), settings.labels
    if labels is None or labels.table is None:
        return read_layout(members, folders, reading)
    kept = [("", member.name) for member in members if not reading.ignores(member.name.split("/"))]
    labelled = read_labelled(Path(labels.table), labels, kept)
    return Layout(sorted(labelled.images.values()), [], [name for _, name in labelled.outside], labelled.notes)


def _of_split(layout: Layout, images: Path, split: str | None) -> Sequence[ImageMember]:
    splits = sorted({image.official_split for image in layout.images if image.official_split})
    if split is None and len(splits) > 1:
        raise UserError(f"{images} is divided into {', '.join(splits)}: choose one with --split, test if possible")
    chosen = [image for image in layout.images if split is None or image.official_split == split]
    if layout.proposal and not chosen:
        raise UserError(f"{images} has no class folders, but {layout.proposal}")
    if not chosen:
        missing = f"the split {split}" if split else "class folders with images"
        raise UserError(f"{images} has no {missing}: put the images of each class into a folder of its name")
    return chosen


def _confusion_lines(
    names: Sequence[str], confusion: Sequence[Sequence[int]], recall: Sequence[float | None]
) -> list[str]:
    head = ["true \\ predicted", *names, "recall"]
    body = [
        [name, *(f"{count:,}" for count in counts), "-" if share is None else f"{100 * share:.1f} %"]
        for name, counts, share in zip(names, confusion, recall, strict=True)
    ]
    widths = [max(len(row[column]) for row in [head, *body]) for column in range(len(head))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in [head, *body]
    ]
