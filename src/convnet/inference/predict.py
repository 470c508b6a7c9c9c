"""Predictions of a saved model for a user's images, as rows of CSV or lines of JSON."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convnet.backend.device import configure_device
from convnet.data.decoding import load_image
from convnet.data.image_faults import BadImage
from convnet.inference.inputs import Place, find_places, read_places
from convnet.inference.loading import (
    USUAL_SHARE,
    fitted_temperature,
    least_confidence,
    load_model_checked,
    predict_probabilities,
)
from convnet.jobs.model_files import check_model
from convnet.params.data import Images
from convnet.system.csv_cells import safe_text
from convnet.system.errors import printable
from convnet.system.processes import FEWEST_FOR_PROCESSES, map_in_processes, usable_cores
from convnet.system.progress import progress

Format = Literal["csv", "jsonl"]
DECIMALS = 6
UNUSUAL = f"less sure than on {USUAL_SHARE:.0%} of the validation images"
IMAGES_AT_ONCE = 100  # decoded into memory and predicted together


@dataclass(frozen=True)
class Row:
    """The result of one file: probabilities in the order of the classes, or an error; `unusual` marks doubt."""

    place: Place
    probabilities: tuple[float, ...] | None
    error: str | None
    unusual: bool = False


@dataclass
class Counts:
    """Numbers of files: predicted (some of them unusual), bad, and left out, since nothing in them claims an image."""

    predicted: int = 0
    bad: int = 0
    left_out: int = 0
    unusual: int = 0

    def sentence(self) -> str:
        """Return the counts in words."""
        text = f"{self.predicted:,} images predicted, {self.bad:,} files could not be used"
        return text + (f", {self.left_out:,} files that are not images left out" if self.left_out else "")


class Predictor:
    """A loaded model, applied to images that are decoded as in training."""

    def __init__(self, model_path: Path, calibrated: bool, maximum_pixels: int | None = None) -> None:
        """Load the model.

        Args:
            model_path: a `.keras` file, see `convnet.jobs.model_files.find_model`.
            calibrated: whether probabilities are corrected by the temperature fitted on validation images.
            maximum_pixels: of an image; None: 50 million.

        Raises:
            UserError: the model is refused, or has no validation predictions to fit a temperature on.
        """
        # As many threads as in training give the same bits.
        configure_device(threads=check_model(model_path).threads, precision="float32")
        self._model, self.facts = load_model_checked(model_path)
        self.temperature = fitted_temperature(self.facts) if calibrated else None
        self._least = least_confidence(self.facts, self.temperature)
        limits = {} if maximum_pixels is None else {"maximum_pixels": maximum_pixels}
        self._images = self.facts.images.model_copy(update=limits)

    def rows(self, places: Sequence[Place], counts: Counts) -> Iterator[Row]:
        """Yield one row per image or bad file, and count all files; other files give no row."""
        processes = usable_cores() if len(places) >= FEWEST_FOR_PROCESSES else 1
        loaded = map_in_processes(partial(_load, self.facts.image_size, self._images), read_places(places), processes)
        label = f"predict with {self.facts.dataset}/{self.facts.variant}"
        shown = iter(progress(loaded, total=len(places), label=label, unit="files"))
        while chunk := list(islice(shown, IMAGES_AT_ONCE)):
            counts.left_out += sum(content is None for _, content in chunk)
            rows = list(self._predict([(place, content) for place, content in chunk if content is not None]))
            counts.bad += sum(row.error is not None for row in rows)
            counts.predicted += sum(row.error is None for row in rows)
            counts.unusual += sum(row.unusual for row in rows)
            yield from rows

    def _predict(self, chunk: Sequence[tuple[Place, NDArray[np.uint8] | str]]) -> Iterator[Row]:
        images = [content for _, content in chunk if not isinstance(content, str)]
        found = iter(predict_probabilities(self._model, np.stack(images), self.temperature) if images else ())
        for place, content in chunk:
            if isinstance(content, str):
                yield Row(place, None, content)
            else:
                values = tuple(float(value) for value in next(found))
                yield Row(place, values, None, self._least is not None and max(values) < self._least)


def predict_files(
    model_path: Path,
    paths: Sequence[Path],
    calibrated: bool,
    form: Format,
    counts: Counts,
    maximum_pixels: int | None = None,
) -> Iterator[str]:
    """Yield lines of CSV (with a heading) or JSON, each with its line end, while images are read and predicted.

    Args:
        model_path: a `.keras` file.
        paths: files, folders and archives.
        calibrated: see `Predictor`.
        form: csv or jsonl.
        counts: filled while lines are taken from the iterator.
        maximum_pixels: see `Predictor`.

    Raises:
        UserError: the model is refused, or a path does not exist.
    """
    places = find_places(paths)  # before the model, whose loading takes seconds
    predictor = Predictor(model_path, calibrated, maximum_pixels)
    classes = predictor.facts.classes
    rows = predictor.rows(places, counts)
    return _csv_lines(classes, rows) if form == "csv" else (_json_line(classes, row) for row in rows)


def _load(
    image_size: tuple[int, int], images: Images, file: tuple[Place, bytes | BadImage | None]
) -> tuple[Place, NDArray[np.uint8] | str | None]:
    """Return the image, or the reason why it cannot be used; None stays None."""
    place, content = file
    if isinstance(content, bytes):
        try:
            return place, load_image(content, place.member or place.path, image_size, images)
        except BadImage as fault:
            return place, str(fault)
    return place, None if content is None else str(content)


def _csv_lines(classes: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """Yield CSV like the report's tables: UTF-8, no cell that a spreadsheet would run, names on one line."""
    columns = ["path", "member", "class", *(f"probability_{printable(name)}" for name in classes), "error", "note"]
    yield _csv_line(columns)
    for row in rows:
        place = [safe_text(row.place.path), safe_text(row.place.member or "")]
        if row.probabilities is None:
            yield _csv_line([*place, "", *("" for _ in classes), safe_text(row.error or ""), ""])
        else:
            values = [f"{value:.{DECIMALS}f}" for value in row.probabilities]
            yield _csv_line(
                [
                    *place,
                    safe_text(_most_probable(classes, row.probabilities)),
                    *values,
                    "",
                    UNUSUAL if row.unusual else "",
                ]
            )


def _csv_line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()


def _json_line(classes: Sequence[str], row: Row) -> str:
    content: dict[str, Any] = {"path": row.place.path, "member": row.place.member, "class": None}
    if row.probabilities is not None:
        content["class"] = _most_probable(classes, row.probabilities)
        content["probabilities"] = {
            name: round(value, DECIMALS) for name, value in zip(classes, row.probabilities, strict=True)
        }
    # ASCII keeps every name, also one that is not UTF-8, and no name can control a terminal.
    ending = {"error": row.error, "note": UNUSUAL if row.unusual else None}
    return json.dumps(content | ending, allow_nan=False) + "\n"


def _most_probable(classes: Sequence[str], probabilities: Sequence[float]) -> str:
    return classes[int(np.argmax(probabilities))]
