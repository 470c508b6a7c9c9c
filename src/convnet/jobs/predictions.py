"""The predictions of a model for every image of every split. Everything later is computed from them."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convnet.system.errors import UserError
from convnet.system.files import atomic_path


@dataclass(frozen=True)
class Prediction:
    """Predictions of one model on one split.

    Attributes:
        probabilities: float32 (n, classes), each row sums to 1.
        labels: true classes, int64 (n,).
        index: rows of the split's array, int64 (n,). Where seeds have their own splits, of train, validation and test
            joined.
    """

    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]
    index: NDArray[np.int64]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of each image, int64 (n,), from probabilities that are not rounded."""
        predicted: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return predicted


Predictions = dict[str, Prediction]  # by split
# Validation images that do not choose the epoch. Only the temperature is fitted on them.
CALIBRATION = "calibration"


def calibration_part(predictions: Predictions) -> Prediction:
    """Return the part that the temperature is fitted on; it is the validation split where no epoch was chosen."""
    return predictions.get(CALIBRATION, predictions["validation"])


def save_predictions(path: Path, by_seed: Mapping[int, Predictions]) -> None:
    """Write the predictions of every seed to one .npz; equal predictions give equal bytes."""
    arrays = {
        f"seed-{seed}/{split}/{field}": getattr(prediction, field)
        for seed, splits in sorted(by_seed.items())
        for split, prediction in splits.items()
        for field in ("probabilities", "labels", "index")
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def load_predictions(path: Path) -> dict[int, Predictions]:
    """Read predictions by seed and split.

    Raises:
        UserError: the file is missing or damaged.
    """
    by_seed: dict[int, Predictions] = {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            for name in arrays.files:
                seed, split, field = name.split("/")
                if field == "labels":
                    prefix = f"{seed}/{split}"
                    by_seed.setdefault(int(seed.removeprefix("seed-")), {})[split] = Prediction(
                        arrays[f"{prefix}/probabilities"], arrays[f"{prefix}/labels"], arrays[f"{prefix}/index"]
                    )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is missing or damaged ({error}); delete it and run `dvc repro`") from error
    return by_seed
