"""The labels of a dataset, checked: images most likely mislabelled, and copies of one image under two labels.

A model judges all images of the dataset, those of every split. Only the images, their features and the manifest
decide its result.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from convnet.data.arrays import load_arrays
from convnet.data.label_tables import label_rows
from convnet.data.manifest import COLUMNS
from convnet.data.splits import SPLITS
from convnet.evaluation.mislabelled import Judged, find_suspects, judge
from convnet.evaluation.schema import LabelCheck, Pair, Suspect
from convnet.system.csv_tables import read_csv
from convnet.system.files import read_json

MOST_VALUES = 2_048  # of an image's features; of more, the mean over places is taken
NO_FEATURES = "The run has no features of a backbone, so no model judges the labels."
TOO_FEW = "The images are too few to judge each one by a model of the others."


def check_labels(arrays: Path, features: Path, manifest: Path, summary: Path) -> LabelCheck:
    """Return the check of a dataset.

    Args:
        arrays: folder of the prepare stage.
        features: folder of the features stage.
        manifest: CSV of the split stage.
        summary: JSON of the split stage.
    """
    described, used = read_json(arrays / "dataset.json"), read_json(features / "features.json")
    classes, rows = described["classes"], read_csv(manifest, COLUMNS)
    rows["name"] = rows["archive"] + "/" + rows["member"] if rows["archive"].nunique() > 1 else rows["member"]
    parts = [load_arrays(arrays, split) for split in SPLITS]
    check = LabelCheck(
        dataset=described["dataset"],
        unknown=NO_FEATURES,
        images=0,
        folds_accuracy=None,
        suspects=[],
        columns=list(label_rows(rows).columns),
        two_labels=_two_labels(rows, read_json(summary)["duplicates"]["two_labels"]),
    )
    if "files" not in used:
        return check
    labels, groups = (np.concatenate([getattr(part, name) for part in parts]) for name in ("labels", "groups"))
    values = np.concatenate([_values(features / f"{split}.npy") for split in SPLITS])
    judged = judge(values, labels, groups, len(classes))
    if not judged.known.any():
        return check.model_copy(update={"unknown": TOO_FEW})
    files = [(member, split) for split, part in zip(SPLITS, parts, strict=True) for member in part.members]
    labelled = label_rows(rows)
    table = dict(zip(rows.loc[labelled.index, "name"], labelled.to_dict("records"), strict=True))
    return check.model_copy(update=_judgement(judged, labels, files, classes, table))


def _judgement(
    judged: Judged,
    labels: npt.NDArray[np.int64],
    files: Sequence[tuple[str, str]],
    classes: Sequence[str],
    table: dict[str, dict[str, str]],
) -> dict[str, Any]:
    """Return the fields of the check that a model decides.

    Args:
        judged: all images.
        labels: of all images.
        files: name in the arrays and split of all images.
        classes: their names.
        table: by name in the arrays, the row of a label table.
    """
    places = np.flatnonzero(judged.known)
    labels, probabilities = labels[places], judged.probabilities[places]
    found = find_suspects(labels, probabilities)
    suspects = []
    for row, suggested in zip(found.rows.tolist(), found.suggested.tolist(), strict=True):
        file, split = files[places[row]]
        suspects.append(
            Suspect(
                file=file,
                split=split,
                given=classes[labels[row]],
                suggested=classes[suggested],
                probability_given=round(float(probabilities[row, labels[row]]), 6),
                probability_suggested=round(float(probabilities[row, suggested]), 6),
                row=table[file] | {"label": classes[suggested]},
            )
        )
    right = float(np.mean(probabilities.argmax(axis=1) == labels))
    return {"unknown": "", "images": len(places), "folds_accuracy": right, "suspects": suspects}


def _values(path: Path) -> npt.NDArray[np.float64]:
    """Return the features of a split, (n, values)."""
    features = np.load(path, mmap_mode="r", allow_pickle=False)
    if features.ndim > 2 and features[0].size > MOST_VALUES:
        return np.stack([of_one.mean(axis=(0, 1), dtype=np.float64) for of_one in features])
    return np.asarray(features, dtype=np.float64).reshape(len(features), -1)


def _two_labels(rows: pd.DataFrame, pairs: list[list[str]]) -> list[Pair]:
    """Return the pairs of members with their labels; of equal names in two archives, those that belong together."""
    found = []
    for first, second in pairs:
        sides = [rows[rows["member"] == member] for member in (first, second)]
        together = sides[0].merge(sides[1], on="group")
        together = together[together["class_x"] != together["class_y"]]
        found += [
            Pair(
                files=[row["name_x"], row["name_y"]],
                labels=[row["class_x"], row["class_y"]],
                used=row["verdict_x"] == row["verdict_y"] == "accepted",
            )
            for row in together[:1].to_dict("records")
        ]
    return found
