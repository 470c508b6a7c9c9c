"""Images to measure on, and the course's networks as jobs of this program."""

import os
import random
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from convnet.data.archives import open_archive, read_members
from convnet.data.arrays import prepare_arrays
from convnet.data.decoding import DEFAULT_LIMITS
from convnet.data.manifest import build_manifest
from convnet.data.sources import DATA_VARIABLE, data_folder
from convnet.jobs.job import Job, UsedBackbone
from convnet.params.data import Split
from convnet.params.recipe import HeadRecipe, PixelRecipe, Recipe
from convnet.params.training import Augmentation, Fit, Network
from convnet.rendering.datasets import render_archive
from convnet.system.files import read_json, write_json
from convnet.system.processes import usable_cores

PROJECT = Path(__file__).parents[2]
REAL_ARCHIVE = "cats_and_dogs_filtered.zip"
BATCH_SIZE = 20  # of the course
CHECKPOINT_SECONDS = 5.0  # as committed in params.yaml
SMALL, LARGE = (16, 32, 64), (32, 64, 128, 128)  # filters of the course's two networks
LEARNING_RATES = {SMALL: 0.001, LARGE: 0.0001}
# The course's; a shear of 0.2 is degrees for ImageDataGenerator and a proportion here.
AUGMENTATION = Augmentation(
    rotation=40.0, width_shift=0.2, height_shift=0.2, shear=0.2, zoom=0.2,
    horizontal_flip=True, vertical_flip=False, fill="nearest",
)  # fmt: skip
# Nearly all of an official validation set stays one, as in the course; a test split there must be.
RULES = Split(
    validation=0.3, test=0.1, test_from_validation=0.02, seed=0, near_duplicate_distance=8, repair_leaks=False,
    strict=False,
)  # fmt: skip


def bring_archive(folder: Path, images_per_class: int, image_size: tuple[int, int], *, real: bool) -> str:
    """Put one archive and sources.json into `folder`, as the download stage does.

    Args:
        folder: where to.
        images_per_class: images to draw.
        image_size: (height, width) of them.
        real: take the course's cats and dogs from the folder that CONVNET_DATA names, if it does.

    Returns:
        What the images are, for the result file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    photographs = data_folder() if real else None
    if photographs is not None:
        (folder / REAL_ARCHIVE).symlink_to((photographs / REAL_ARCHIVE).resolve())
        file, kind, told = REAL_ARCHIVE, "photographs", f"photographs of {REAL_ARCHIVE}"
    else:
        if real:
            print(f"{DATA_VARIABLE} is not set: measuring on rendered images", file=sys.stderr)
        file, kind = "pets.zip", "rendered"
        told = f"rendered pets, {images_per_class} per class, {image_size[0]}x{image_size[1]}"
        render_archive("pets", images_per_class, 0, image_size, folder / file)
    source = {"file": file, "split": None, "sha256": "", "bytes": (folder / file).stat().st_size}
    write_json(folder / "sources.json", {"dataset": "bench", "kind": kind, "sources": [source]})
    return told


def ingest(archives: Path, arrays: Path, image_size: tuple[int, int], most: int | None = None) -> pd.DataFrame:
    """Verify, divide and pack the images as the split and prepare stages do; return the rows that are used.

    Args:
        archives: from `bring_archive`.
        arrays: folder to write.
        image_size: (height, width) of the arrays.
        most: at most so many training images of each class, and a quarter of that in the other splits; None: all.
    """
    manifest, _ = build_manifest(archives, limits=DEFAULT_LIMITS, split=RULES)
    used = manifest[manifest["verdict"] == "accepted"]
    if most is not None:
        limit = used["split"].map({"train": most}).fillna(max(1, most // 4))
        used = used[used.groupby(["split", "class"]).cumcount() < limit]
    prepare_arrays(used, archives, image_size, DEFAULT_LIMITS, arrays)
    return used


def unpack(rows: pd.DataFrame, archives: Path, folder: Path) -> None:
    """Write the same images as files in `<split>/<class>/`, as flow_from_directory wants them."""
    columns = (rows[name] for name in ("archive", "member", "split", "class"))
    places = {(archive, member): (split, name) for archive, member, split, name in zip(*columns, strict=True)}
    for number, (key, content) in enumerate(read_members(archives, places)):
        assert isinstance(content, bytes)  # the manifest accepted it
        path = folder.joinpath(*places[key]) / f"{number:06d}{Path(key[1]).suffix.lower()}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def repeat_archive(archives: Path, images: int, destination: Path) -> None:
    """Write an archive of `images` members by repeating those of another, each in a class folder of its class."""
    import zipfile

    origin = read_json(archives / "sources.json")
    (file,) = (source["file"] for source in origin["sources"])
    with open_archive(archives / file) as archive:
        contents = [(name, data) for name, data in archive.read_all() if isinstance(data, bytes)]
    contents = [(name, data) for name, data in contents if Path(name).suffix.lower() in (".jpg", ".jpeg", ".png")]
    random.Random(0).shuffle(contents)  # so that few of them hold every class too
    destination.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(destination / "repeated.zip", "w", zipfile.ZIP_STORED) as repeated:
        for number in range(images):
            name, data = contents[number % len(contents)]
            # Bytes after the end of a JPEG are ignored, and make every file another one, as in real sets.
            content = data + number.to_bytes(4, "big") if name.lower().endswith((".jpg", ".jpeg")) else data
            class_name = Path(name).parent.name
            repeated.writestr(zipfile.ZipInfo(f"pictures/{class_name}/{number:06d}{Path(name).suffix}"), content)
    source = {"file": "repeated.zip", "split": None, "sha256": "", "bytes": 0}
    write_json(destination / "sources.json", {"dataset": "bench", "kind": origin["kind"], "sources": [source]})


def cnn_recipe(
    filters: tuple[int, ...], image_size: tuple[int, int], epochs: int, *, augmented: bool, dropout: float = 0.0
) -> PixelRecipe:
    """Return the course's CNN as a recipe."""
    return PixelRecipe(
        dataset="bench", variant=recipe_name(filters, augmented), image_size=image_size,
        network=Network(filters=filters, dense=512), fit=fit(LEARNING_RATES[filters], epochs), dropout=dropout,
        augmentation=AUGMENTATION if augmented else None,
    )  # fmt: skip


def recipe_name(filters: tuple[int, ...], augmented: bool) -> str:
    """Return what the course's network is called in tables."""
    return f"{'augmented' if augmented else 'baseline'} {'-'.join(map(str, filters))}"


def head_recipe(
    image_size: tuple[int, int], epochs: int, pooling: Any, dropout: float, used: UsedBackbone
) -> HeadRecipe:
    """Return the course's head on a frozen backbone as a recipe."""
    return HeadRecipe(
        dataset="bench", variant=f"transfer {pooling} dropout {dropout:g}", image_size=image_size,
        dense=1024, fit=fit(0.0001, epochs), dropout=dropout, augmentation=None,
        backbone=used.name, last_layer=used.last_layer, pooling=pooling,
    )  # fmt: skip


def fit(learning_rate: float, epochs: int) -> Fit:
    """Return the course's way to train."""
    return Fit(
        optimizer="rmsprop", learning_rate=learning_rate, learning_rate_schedule="constant", batch_size=BATCH_SIZE,
        epochs=epochs, labels="sparse", precision="auto", early_stopping=None, class_weights=False,
    )  # fmt: skip


def make_job(recipe: Recipe, arrays: Path, seed: int, *, threads: int | None = None, **more: Any) -> Job:
    """Return a job on the arrays of `ingest`, with so many threads (None: one per core)."""
    described = read_json(arrays / "dataset.json")
    return Job(
        recipe=recipe, seed=seed, classes=tuple(described["classes"]), arrays=arrays,
        data_digest=described["digest"], threads=threads or usable_cores(),
        seconds_between_checkpoints=CHECKPOINT_SECONDS, **more,
    )  # fmt: skip


class Trained(NamedTuple):
    """What one training cost and reached."""

    seconds: float  # from building the model to what is kept of it
    accuracy: float  # validation, after the last epoch
    in_epochs: float  # the part of the seconds that all epochs take, validation included


def trained_job(job: Job, seconds: float) -> Trained:
    """Return what a finished job of this program cost and reached; the seconds are the caller's."""
    accuracy = read_json(job.result / "history.json")[-1]["validation_accuracy"]
    return Trained(seconds, accuracy, read_json(job.result / "timing.json")["seconds_training"])


def copy_project(target: Path, changes: Mapping[str, Any]) -> dict[str, str]:
    """Copy the project to a folder with its own git history and DVC cache, and change its params.yaml.

    Args:
        target: a folder that does not exist.
        changes: values by dotted key.

    Returns:
        The environment in which to run there.
    """
    ignored = {".git", ".venv", ".jobs", "data", "models", "metrics", "reports", "dvc.lock", ".downloads"}
    caches = {"cache", "tmp", "config.local", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}

    def not_copied(folder: str, names: list[str]) -> set[str]:
        if Path(folder) == PROJECT:
            return (ignored | caches).intersection(names)
        return caches.intersection(names) if Path(folder).name == ".dvc" else {"__pycache__"}

    shutil.copytree(PROJECT, target, ignore=not_copied)
    (target / "seeds.yaml").write_text("{}\n", "utf-8")  # as many seeds as the settings name
    change_params(target, changes)
    return run_environment(target)


def run_environment(project: Path) -> dict[str, str]:
    """Return the environment in which dvc and convnet run in such a copy."""
    home = project.parent / f"{project.name}-home"
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(project / "src"),
        "DVC_NO_ANALYTICS": "1",
        "DVC_GLOBAL_CONFIG_DIR": str(home / "global"),
        "DVC_SITE_CACHE_DIR": str(home / "cache"),
    }


def change_params(project: Path, changes: Mapping[str, Any]) -> None:
    """Set values in params.yaml by dotted key."""
    path = project / "params.yaml"
    settings = yaml.safe_load(path.read_text("utf-8"))
    for key, value in changes.items():
        *sections, last = key.split(".")
        section = settings
        for name in sections:
            section = section.setdefault(name, {})
        section[last] = value
    path.write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")
