"""Accuracy on perturbed copies of validation images.

A validation set too close to training hides how much accuracy such images cost.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from convnet.analysis.halves import Halves, Loader
from convnet.analysis.perturbations import PERTURBATIONS, perturb_all
from convnet.analysis.robustness_extent import Extent, Part
from convnet.data.arrays import arrays_of_size, load_arrays
from convnet.data.splits import SPLITS, nested_subset
from convnet.jobs.job import STORE, code_digest, library_versions, source_digest
from convnet.jobs.predictions import Predictions, load_predictions
from convnet.models.heads import as_probabilities
from convnet.params.schema import Params
from convnet.system.files import json_digest, read_json, write_json
from convnet.system.progress import progress
from convnet.training.batches import Rows, all_rows, predict

COPIES_AT_ONCE = 11  # bounds memory: features of more would not fit beside large heads
SPLIT = "validation"
CODE = ["analysis/halves.py", "analysis/perturbations.py", "analysis/robustness.py"]  # decides the rows

Row = dict[str, Any]


@dataclass(frozen=True)
class Copy:
    """One perturbed copy of the images; strength 0 is the original."""

    perturbation: str
    strength: int
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def facts(self) -> dict[str, Any]:
        """Return the columns that name the copy in a row of results."""
        named = {"split": SPLIT, "perturbation": self.perturbation, "strength": self.strength}
        return {**named, "n": len(self.labels)}


def measure_part(params: Params, dataset: str, arrays: Path, models: Path, part: Part) -> dict[str, list[Row]]:
    """Return the rows of the variants of a part; those of unchanged models come from the job store.

    Args:
        params: the whole of params.yaml.
        dataset: its name.
        arrays: folder of the prepare stage.
        models: folder that holds one folder per variant.
        part: the variants, and what they are measured on.
    """
    sized = arrays_of_size(arrays, part.image_size)
    decides = {
        "arrays": read_json(sized / "dataset.json")["digest"],
        "extent": asdict(part.extent),
        "settings": [params.split.seed, params.engine.threads_per_job, params.run.split, params.run.seeds],
        "code": [code_digest(), source_digest(CODE)],
        "versions": library_versions(),
    }
    rows: dict[str, list[Row]] = {}
    missing: dict[str, Path] = {}
    for variant in part.variants:
        weights = [seed["weights_digest"] for seed in read_json(models / variant / "job.json")["seeds"]]
        stored = STORE / f"robustness-{json_digest(decides | {'models': weights})}.json"
        if stored.is_file():
            rows[variant] = [row | {"variant": variant} for row in read_json(stored)]
        else:
            missing[variant] = stored
    if not missing:
        return rows
    paths = {
        variant: [models / variant / f"seed-{seed}.keras" for seed in params.seeds_of(dataset, variant)]
        for variant in missing
    }
    if params.run.own_splits:
        tested = load_predictions(models / params.run.variants[0] / "predictions.npz")
        measured = _by_seed(sized, paths, part.extent, params.split.seed, [tested[seed] for seed in params.run.seeds])
    else:
        measured = measure_robustness(sized, paths, part.extent, params.split.seed)
    for variant, stored in missing.items():
        rows[variant] = [row for row in measured if row["variant"] == variant]
        write_json(stored, rows[variant])
    return rows


def _by_seed(
    arrays: Path, models: Mapping[str, Sequence[Path]], extent: Extent, seed: int, divisions: Sequence[Predictions]
) -> list[Row]:
    """Measure each seed on images of its own split, because it trained on some images of the others' splits.

    In a row, n counts the images of all seeds, each once.
    """
    loader = Loader()
    by_seed = [
        measure_robustness(
            arrays, {name: [paths[place]] for name, paths in models.items()}, extent, seed, division, loader
        )
        for place, division in enumerate(divisions)
    ]
    validations = [division[SPLIT] for division in divisions]
    seen = np.concatenate([part.index[_chosen(part.labels, extent, seed)] for part in validations])
    images, rows = len(np.unique(seen)), []
    for row in zip(*by_seed, strict=True):
        accuracy = [share for one in row for share in one["accuracy"]]
        rows.append(row[0] | {"n": images, "accuracy": accuracy})
    return rows


def measure_robustness(
    arrays: Path,
    models: Mapping[str, Sequence[Path]],
    extent: Extent,
    seed: int,
    division: Predictions | None = None,
    loader: Loader | None = None,
) -> list[Row]:
    """Return the accuracy of every model on every perturbed copy.

    Args:
        arrays: folder of the prepare stage.
        models: saved models by variant, one per seed.
        extent: at most so many images, classes in proportion, and the strengths.
        seed: decides which images, and the draws; all models see the same copies.
        division: predictions that name the images; None: the split of the arrays.
        loader: what loads the models; one for several calls, so that a shared backbone is made and compiled once.

    Returns:
        Rows with variant, split, perturbation, strength (0 is the original, then 1 to 3), n, and accuracy: one number
        per model.
    """
    loader = loader or Loader()
    halves = {variant: [loader.halve(path) for path in paths] for variant, paths in models.items()}
    made = progress(
        _copies(arrays, extent, seed, division),
        total=extent.copies,
        label=f"robustness of {arrays.name}",
        unit="copies",
    )
    rows = []
    while chunk := list(itertools.islice(made, COPIES_AT_ONCE)):
        rows += _measure(chunk, halves, loader.fronts)
    return sorted(rows, key=lambda row: list(models).index(row["variant"]))


def _measure(
    copies: Sequence[Copy], halves: Mapping[str, Sequence[Halves]], fronts: Mapping[str, keras.Model]
) -> list[Row]:
    """Return the rows of some copies; each model predicts all of them at once, because each start costs time."""
    images = np.concatenate([copy.images for copy in copies])
    used = {half.front for of_seeds in halves.values() for half in of_seeds if half.front is not None}
    features = {digest: predict(fronts[digest], all_rows(images)) for digest in used}
    ends = np.cumsum([len(copy.labels) for copy in copies])[:-1]
    rows = []
    for variant, of_seeds in halves.items():
        outputs = [predict(h.back, all_rows(images if h.front is None else features[h.front])) for h in of_seeds]
        chosen = [np.split(as_probabilities(values).argmax(axis=1), ends) for values in outputs]
        for number, copy in enumerate(copies):
            accuracy = [float(np.mean(of_seed[number] == copy.labels)) for of_seed in chosen]
            rows.append({"variant": variant, **copy.facts(), "accuracy": accuracy})
    return rows


def _copies(arrays: Path, extent: Extent, seed: int, division: Predictions | None) -> Iterator[Copy]:
    if division is None:
        opened = load_arrays(arrays, SPLIT)
        rows, labels = all_rows(opened.images), opened.labels
    else:
        parts = tuple(load_arrays(arrays, name).images for name in SPLITS)
        rows, labels = Rows(parts, division[SPLIT].index), division[SPLIT].labels
    chosen = _chosen(labels, extent, seed)
    images, labels = rows[chosen], labels[chosen]
    yield Copy("none", 0, images, labels)
    for perturbation, strengths in PERTURBATIONS.items():
        for number in extent.strengths:
            yield Copy(perturbation, number, perturb_all(images, perturbation, strengths[number - 1], seed), labels)


def _chosen(labels: NDArray[np.int64], extent: Extent, seed: int) -> NDArray[np.int64]:
    return nested_subset(labels, min(1.0, extent.images / len(labels)), seed)
