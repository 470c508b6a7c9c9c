"""Numbers that the data alone decide: trivial models, and the check of the labels. The job store keeps them.

Their modules load scikit-learn and pandas, so they are imported only where the numbers are not stored.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convnet.data.arrays import load_arrays
from convnet.data.splits import SPLITS
from convnet.jobs.job import library_versions, source_digest
from convnet.jobs.store import stored_json
from convnet.system.files import file_digest, read_json

Division = Mapping[str, npt.NDArray[np.int64]]  # by split, rows of the joined arrays


def trivial_numbers(arrays: Path, divisions: Sequence[Division] | None = None) -> Any:
    """Return the rows of `trivial.json`.

    Args:
        arrays: folder of the prepare stage.
        divisions: by seed, where each has its own split.
    """
    described = read_json(arrays / "dataset.json")
    decides = {
        "arrays": described["digest"],
        "classes": described["classes"],
        "divisions": divisions and [{split: rows.tolist() for split, rows in one.items()} for one in divisions],
        "code": source_digest(["evaluation/trivial_models.py", "evaluation/metrics.py", "evaluation/schema.py"]),
        "versions": library_versions("scikit-learn"),
    }

    def compute() -> Any:
        from convnet.evaluation.trivial_models import trivial_rows, trivial_rows_by_seed

        parts = [load_arrays(arrays, split) for split in SPLITS]
        if divisions is None:
            train, validation, test = ((part.images, part.labels) for part in parts)
            rows = trivial_rows(train, validation, test, described["classes"])
        else:
            labels = np.concatenate([part.labels for part in parts])
            rows = trivial_rows_by_seed([part.images for part in parts], labels, divisions, described["classes"])
        return [row.model_dump() for row in rows]

    return stored_json("trivial", decides, compute)


def checked_labels(arrays: Path, features: Path, manifest: Path, summary: Path) -> Any:
    """Return the content of `label_check.json`.

    Args:
        arrays: folder of the prepare stage.
        features: folder of the features stage.
        manifest: CSV of the split stage.
        summary: JSON of the split stage.
    """
    decides = {
        "arrays": read_json(arrays / "dataset.json")["digest"],
        "features": read_json(features / "features.json").get("digest"),
        "manifest": [file_digest(manifest), file_digest(summary)],
        "code": source_digest(["evaluation/label_check.py", "evaluation/mislabelled.py", "data/label_tables.py"]),
        "versions": library_versions("scikit-learn"),
    }

    def compute() -> Any:
        from convnet.evaluation.label_check import check_labels

        return check_labels(arrays, features, manifest, summary).model_dump()

    return stored_json("labels", decides, compute)
