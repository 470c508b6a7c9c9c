"""A params.yaml with which the whole pipeline runs in a copy of the project within a minute or two."""

import dataclasses
import fcntl
import html
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from helpers.clones import Clone, clone_environment
from helpers.tiny_study import change, committed

# What makes the committed params.yaml tiny; everything else stays as it is committed. The images keep 32 pixels a
# side, which is what a backbone of two blocks and the third convolution of the course's network leave room for.
TINY_RUN: Mapping[str, Any] = {
    "run.datasets": ["pets"],
    "run.pixel_variants": ["baseline", "half_dropped"],
    "run.feature_variants": ["transfer"],
    "run.fine_tune_variants": ["fine_tune"],
    "run.seeds": [0, 1],
    "variants.half_dropped": {"dropout": 0.5},  # a name that is nowhere else, to be looked for
    "datasets.pets.source.rendered.images_per_class": 20,
    "datasets.pets.source.rendered.image_size": [32, 32],
    "datasets.pets.image_size": [32, 32],
    "datasets.pets.split": {},  # the common shares: half of the training images must still fill a batch
    "datasets.hands.source.rendered.images_per_class": 20,
    "datasets.hands.source.rendered.image_size": [32, 32],
    "datasets.hands.image_size": [32, 32],
    "datasets.hands.split": {},
    "network": {"filters": [4, 8], "dense": 16},
    "training.epochs": 2,
    "training.batch_size": 8,
    "transfer.epochs": 2,
    "transfer.dense": 16,
    "fine_tune.epochs": 1,
    "backbones.compact.pretrain.images_per_class": 10,
    "backbones.compact.pretrain.image_size": [32, 32],
    "backbones.compact.pretrain.filters": [4, 8],
    "backbones.compact.pretrain.fit.epochs": 1,
    "backbones.compact.last_layer": "block2_pool",
    "backbones.compact.trainable_from": "block2_conv",
    "backbones.compact.explain_layers": ["block1_relu"],
    "sweep.enabled": True,
    "sweep.shares": [0.5, 1.0],
    "sweep.variants": ["baseline"],
    "robustness.images_per_split": 4,
    "explain.images": 2,
    "explain.draws": 2,
    "explain.channels": 4,
}


def write_tiny_params(project: Path, changes: Mapping[str, Any] | None = None) -> None:
    """Replace params.yaml of a copy of the project by its tiny form, with further changes by dotted key."""
    settings = committed()
    for key, value in {**TINY_RUN, **(changes or {})}.items():
        change(settings, key, value)
    (project / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")


def change_params(project: Path, changes: Mapping[str, Any]) -> None:
    """Set values in the params.yaml of a copy of the project by dotted key."""
    path = project / "params.yaml"
    settings = yaml.safe_load(path.read_text("utf-8"))
    for key, value in changes.items():
        change(settings, key, value)
    path.write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")


def names_in_reports(project: Path, names: Sequence[str]) -> list[str]:
    """Return the files under reports/ with one of `names` in their path or text; quotes of params.yaml do not count."""
    params = {html.escape(line.strip(), quote=False) for line in (project / "params.yaml").read_text().splitlines()}
    found = []
    for path in sorted((project / "reports").rglob("*")):
        text = ""
        if path.suffix in {".csv", ".json", ".md", ".html", ".svg"}:
            lines = path.read_text("utf-8").splitlines()
            text = "\n".join(line for line in lines if path.suffix != ".html" or line.strip() not in params)
        if any(name in text or name in path.name for name in names):
            found.append(str(path.relative_to(project)))
    return found


# Every training job in one queue; `dvc repro` then finds the results in the store.
TRAIN = ("python", "-m", "convnet.cli.main", "train")


def finished_pipeline(factory: pytest.TempPathFactory, clone_project: Callable[[Path], Clone]) -> Clone:
    """Return a copy of the project in which the whole pipeline has run: once for all tests, those of other workers too.

    A test that runs anything in it takes a copy (`copy_of`).
    """
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "pipeline"
    folder.mkdir(exist_ok=True)
    finished = folder / "finished"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            shutil.rmtree(folder / "clone", ignore_errors=True)  # another test failed to
            _run_pipeline(folder, clone_project)
            finished.touch()
    return Clone(folder / "clone", clone_environment(folder / "clone"))


def _run_pipeline(folder: Path, clone_project: Callable[[Path], Clone]) -> None:
    clone = start(clone_project(folder / "clone"))
    write_tiny_params(clone.path)
    clone.run(*TRAIN)
    clone.run("dvc", "repro")
    clone.run("git", "add", "--all")
    clone.run("git", "commit", "--quiet", "--message", "run")


def start(clone: Clone) -> Clone:
    """Delete the results of committed runs in a copy of the project, so that later results were made there."""
    shutil.rmtree(clone.path / "reports", ignore_errors=True)
    for name in ("dvc.lock", "metrics.json"):
        (clone.path / name).unlink(missing_ok=True)
    (clone.path / "seeds.yaml").write_text("{}\n", "utf-8")
    return clone


def copy_of(clone: Clone, target: Path) -> Clone:
    """Return a copy of a copy of the project, with all results."""
    # Links stay links, and files that DVC made read-only stay so.
    shutil.copytree(clone.path, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    return dataclasses.replace(clone, path=target, environment=clone.environment | {"PYTHONPATH": str(target / "src")})
