"""All variants trained through Keras on JAX, on packed arrays: images/s, share of the limit, and what holds it back.

    python -m bench.speed.gpu                                      JAX where it is installed, else TensorFlow; minutes
    python -m bench.speed.gpu --scale full --weights FILE          also the transfer variants, on InceptionV3's weights
    python -m bench.speed.gpu --arrays data/arrays/cats_vs_dogs    on arrays of the prepare stage; DVC is not needed
    python -m bench.speed.gpu --against FILE                       hold the accuracies against a run elsewhere

TensorFlow need not be installed when JAX is (`pip install jax[cuda13]`); KERAS_BACKEND chooses where both are. For the
agreement, give the result file of a run on a GPU to a run with KERAS_BACKEND=tensorflow on a processor, or the other
way round: per variant, the difference of the mean accuracies and its 95 % interval over seeds (Welch's, since a seed
draws other weights on another backend).

The limit is fit on one constant batch that lies on the device. Beside it, in turns and of the same model, all compiled
before: epochs as the program trains (rows read on the host, several steps to a call), the same with a call for each
step, and fit on arrays that lie on the device whole. Seconds and images/s of jobs have compilation and validation in
them; the first seed of each variant is trained twice, to see whether its weights are the same.
"""

import argparse
import importlib.util
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from bench.lib.material import (
    LARGE,
    SMALL,
    bring_archive,
    cnn_recipe,
    head_recipe,
    ingest,
    make_job,
)
from bench.lib.numbers import announce, compare, make_parser, write_result
from bench.lib.sides import alternate
from convnet.backend.device import configure_device
from convnet.jobs.job import Job, UsedBackbone
from convnet.jobs.predictions import load_predictions
from convnet.params.backbone import Backbone, Weights
from convnet.params.recipe import FineTuneRecipe, HeadRecipe, PixelRecipe, Recipe
from convnet.system.files import read_json
from convnet.system.processes import usable_cores

LAST_LAYER, TRAINABLE_FROM = "mixed7", "mixed6"


class Network(NamedTuple):
    """A pixel variant."""

    filters: tuple[int, ...]
    augmented: bool = False
    dropout: float = 0.0

    def recipe(self, image_size: tuple[int, int], epochs: int) -> PixelRecipe:
        """Return it as a recipe."""
        return cnn_recipe(self.filters, image_size, epochs, augmented=self.augmented, dropout=self.dropout)


class Scale(NamedTuple):
    """How much is measured."""

    images_per_class: int | None
    image_size: tuple[int, int]
    epochs: int
    seeds: int
    repeats: int
    variants: tuple[str, ...]
    real: bool


PIXEL_VARIANTS = {
    "baseline": Network(SMALL),
    "augmented": Network(SMALL, augmented=True),
    "dropout": Network(SMALL, dropout=0.5),
    "larger": Network(LARGE),
    "larger_augmented": Network(LARGE, augmented=True),
}
SCALES = {
    "toy": Scale(20, (48, 48), 1, 1, 1, ("augmented",), real=False),
    "short": Scale(200, (64, 64), 3, 2, 1, tuple(PIXEL_VARIANTS), real=False),
    "full": Scale(None, (150, 150), 15, 5, 5, tuple(PIXEL_VARIANTS), real=True),
}
EXPECTED = {"toy": "1 minute", "short": "4 minutes", "full": "some minutes of a GPU, or 2 hours"}


def train_all(jobs: Sequence[Job]) -> dict[str, Any]:
    """Train the seeds of one variant as the program does, and the first again; return what a row tells of them."""
    from convnet.training.train import train_job

    seconds, rates, accuracies = [], [], []
    for job in jobs:
        start = time.perf_counter()
        train_job(job)
        seconds.append(time.perf_counter() - start)
        rates.append(read_json(job.result / "timing.json")["images_per_second"])
        predictions = load_predictions(job.result / "predictions.npz")[job.seed]["validation"]
        accuracies.append(float(np.mean(predictions.probabilities.argmax(axis=1) == predictions.labels)))
    weights = _weights_of(jobs[0])
    train_job(jobs[0])
    return {
        "images_per_second": rates,
        "seconds": seconds,
        "accuracies": accuracies,
        "repeatable": _weights_of(jobs[0]) == weights,
    }


def _weights_of(job: Job) -> str:
    return str(read_json(job.result / "facts.json")["weights_digest"])


def feeding(job: Job, repeats: int) -> dict[str, list[float]]:
    """Return images/s of each way to feed the job's model, taken in turns."""
    from bench.lib.feeding import Feeder

    ways = ["limit", "as_training"]
    if job.recipe.kind == "pixels":
        ways += ["single_steps", "device_arrays"]
    feeder = Feeder(job)
    feeder.warm_up(*ways)
    return alternate({way: getattr(feeder, way) for way in ways}, repeats, f"feeding {job.recipe.variant}")


def pixel_jobs(arrays: Path, scale: Scale) -> dict[str, list[Job]]:
    """Return the jobs of the pixel variants."""
    size = tuple(read_json(arrays / "dataset.json")["image_size"])
    recipes = {variant: PIXEL_VARIANTS[variant].recipe(size, scale.epochs) for variant in scale.variants}
    return {
        variant: [make_job(recipe, arrays, seed) for seed in range(scale.seeds)] for variant, recipe in recipes.items()
    }


def transfer_jobs(arrays: Path, folder: Path, weights: Path, scale: Scale) -> dict[str, list[Job]]:
    """Compute the features once and return the jobs of the transfer variants."""
    from convnet.features.extraction import extract_features

    settings = Backbone(
        architecture="InceptionV3", weights=Weights(url=weights.name), seen="", input_range=(-1.0, 1.0),
        smallest_image=75, last_layer=LAST_LAYER, trainable_from=TRAINABLE_FROM, explain_layers=(),
    )  # fmt: skip
    size = tuple(read_json(arrays / "dataset.json")["image_size"])
    start = time.perf_counter()
    frozen = UsedBackbone("inception_v3", settings, weights, LAST_LAYER)
    extract_features(arrays, size, frozen, folder / "features")
    print(f"features: {time.perf_counter() - start:.1f} s, paid once")
    jobs = {}
    for variant, pooling, dropout in (
        ("transfer", "flatten", 0.0),
        ("transfer_dropout", "flatten", 0.2),
        ("transfer_average", "average", 0.0),
    ):
        used = UsedBackbone("inception_v3", settings, weights, LAST_LAYER)
        recipe = head_recipe(size, scale.epochs, pooling, dropout, used)
        jobs[variant] = [
            make_job(recipe, arrays, seed, features=folder / "features", backbone=used) for seed in range(scale.seeds)
        ]
    return jobs


def fine_tune_jobs(starts: Sequence[Job]) -> list[Job]:
    """Return the jobs that go on from trained transfer jobs with the backbone's upper part unfrozen."""
    return [
        replace(
            start,
            recipe=_tuned(start.recipe),
            features=None,
            start_model=start.result / "model.keras",
            start_digest=read_json(start.result / "facts.json")["weights_digest"],
        )
        for start in starts
    ]


def _tuned(recipe: Recipe) -> FineTuneRecipe:
    assert isinstance(recipe, HeadRecipe)
    kept = {name: getattr(recipe, name) for name in HeadRecipe.model_fields if name not in ("kind", "augmented_views")}
    fit = recipe.fit.model_copy(update={"learning_rate": 0.00001, "epochs": 3})
    changed = {"variant": "fine_tune", "start": recipe.variant, "trainable_from": TRAINABLE_FROM, "fit": fit}
    return FineTuneRecipe(**(kept | changed))


def agreement(accuracies: Sequence[float], others: Sequence[float]) -> dict[str, Any]:
    """Return the difference of two means of accuracies over seeds, and its 95 % interval (Welch)."""
    difference = float(np.mean(accuracies) - np.mean(others))
    told: dict[str, Any] = {"difference": round(difference, 4), "interval": None, "agrees": None}
    if min(len(accuracies), len(others)) > 1 and np.ptp(accuracies) + np.ptp(others) > 0:
        low, high = stats.ttest_ind(accuracies, others, equal_var=False).confidence_interval()
        told |= {"interval": [round(float(low), 4), round(float(high), 4)], "agrees": bool(low <= 0 <= high)}
    return told


def main() -> None:
    """Train every variant, try the ways to feed it, write the result."""
    parser = make_parser(__doc__)
    parser.add_argument("--arrays", type=Path, help="folder of the prepare stage; default: images made for this run")
    parser.add_argument("--weights", type=Path, help="InceptionV3's weight file, for the transfer variants")
    parser.add_argument("--variants", nargs="+", choices=sorted(PIXEL_VARIANTS), help="pixel variants; default: all")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--against", type=Path, help="result file of a run on another device")
    arguments = parser.parse_args()
    announce(arguments.scale, EXPECTED)
    given = {name: value for name, value in vars(arguments).items() if name in Scale._fields and value is not None}
    scale = SCALES[arguments.scale]._replace(**given)
    with tempfile.TemporaryDirectory(prefix="gpu-") as name:
        _measure(arguments, scale, Path(name))


def _measure(arguments: argparse.Namespace, scale: Scale, folder: Path) -> None:
    # Before anything imports Keras.
    backend = os.environ.setdefault("KERAS_BACKEND", "jax" if importlib.util.find_spec("jax") else "tensorflow")
    device = configure_device(threads=usable_cores(), precision="auto")
    arrays, pictures = _arrays(arguments.arrays, scale, folder)
    weights = arguments.weights and arguments.weights.resolve()
    others = {row["variant"]: row for row in read_json(arguments.against)["rows"]} if arguments.against else {}
    arguments.out = arguments.out.resolve()
    os.chdir(folder)
    jobs = pixel_jobs(arrays, scale)
    if weights:
        jobs |= transfer_jobs(arrays, folder, weights, scale)
    rows = []
    for variant in [*jobs, *(["fine_tune"] if weights else [])]:
        of_variant = jobs[variant] if variant in jobs else fine_tune_jobs(jobs["transfer"])
        rows.append(_row(of_variant, variant, backend, scale.repeats, others.get(variant)))
        # After every variant: a machine may be lent for a time.
        write_result(
            arguments,
            rows,
            name=f"gpu-{backend}",
            told=len(rows) - 1,
            pictures=pictures,
            backend=backend,
            device=device.name,
            precision=device.precision,
        )


def _arrays(given: Path | None, scale: Scale, folder: Path) -> tuple[Path, str]:
    """Return the folder of the arrays and the words for their images; without a folder, they are made in `folder`."""
    if given:
        return given.resolve(), str(given)
    arrays, archives = folder / "arrays", folder / "archives"
    pictures = bring_archive(archives, 2 * (scale.images_per_class or 1000), scale.image_size, real=scale.real)
    ingest(archives, arrays, scale.image_size, scale.images_per_class)
    return arrays.resolve(), pictures


def _row(jobs: Sequence[Job], variant: str, backend: str, repeats: int, other: dict[str, Any] | None) -> dict[str, Any]:
    """Train a variant, feed it each way, and return its row; `other` is the row of a run elsewhere."""
    trained = train_all(jobs)
    fed = feeding(jobs[0], repeats)
    limit = float(np.median(fed["limit"]))
    return compare(
        f"{variant}, {backend}",
        "images/s",
        fed["as_training"],
        fed["limit"],
        other_name="fit on one constant batch on the device",
        target=0.9,
        more_is_better=True,
        variant=variant,
        seconds_of_jobs=[round(value, 2) for value in trained["seconds"]],
        images_per_second_of_jobs=trained["images_per_second"],
        equal_weights_when_trained_again=trained["repeatable"],
        share_of_limit={way: round(float(np.median(fed[way])) / limit, 3) for way in fed},
        validation_accuracies=trained["accuracies"],
        agreement=agreement(trained["accuracies"], other["validation_accuracies"]) if other else None,
    )


if __name__ == "__main__":
    main()
