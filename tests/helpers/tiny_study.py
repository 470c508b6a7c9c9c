"""A tiny study: packed arrays that a network learns in a second, settings to match, and stages run on them.

Every class has its own colour, so that learning shows after few epochs and survives augmentation.
"""

import copy
import functools
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

import convnet
from convnet.jobs.job import Job
from convnet.jobs.planning import plan_jobs
from convnet.params.load import load_params
from convnet.params.schema import Params
from convnet.system.files import file_digest

PROJECT = Path(__file__).parents[2]
CLASSES = ("blue", "green", "red")
IMAGE_SIZE = (16, 16)
# The validation images are 16 and a copy of each, so that the half that chooses the epoch holds all 16.
COUNTS = {"train": 40, "validation": 32, "test": 15}

# What makes the committed params.yaml tiny. Variants stay as they are committed.
TINY: Mapping[str, Any] = {
    "run.datasets": ["tiny"],
    "run.pixel_variants": ["baseline"],
    "run.feature_variants": ["transfer"],
    "run.fine_tune_variants": ["fine_tune"],
    "run.seeds": [0],
    "datasets.tiny": {
        "kind": "rendered",
        "source": {"folder": "pictures"},
        "image_size": list(IMAGE_SIZE),
        "backbone": "compact",
    },
    "network": {"filters": [4, 8], "dense": 16},
    "training.epochs": 2,
    "training.batch_size": 8,
    "training.precision": "float32",
    "transfer.epochs": 2,
    "transfer.batch_size": 8,
    "transfer.dense": 16,
    "transfer.learning_rate": 0.001,
    "transfer.precision": "float32",
    "fine_tune.epochs": 1,
    "fine_tune.batch_size": 8,
    "fine_tune.learning_rate": 0.001,
    "fine_tune.precision": "float32",
    "backbones.compact.smallest_image": 16,
    "backbones.compact.last_layer": "block2_pool",
    "backbones.compact.trainable_from": "block2_conv",
    "backbones.compact.pretrain.filters": [4, 8],
    "backbones.compact.explain_layers": ["block1_relu"],
    "checkpoints.seconds_between": 0.0,  # after every epoch
    "engine.threads_per_job": 2,
}


def start_keras() -> None:
    """Fix threads and determinism before any test runs an operation; modules that use Keras call it when imported."""
    from convnet.backend.device import configure_device

    configure_device(threads=2, precision="float32")


def write_arrays(
    folder: Path,
    classes: int = 2,
    image_size: tuple[int, int] = IMAGE_SIZE,
    counts: Mapping[str, int] = COUNTS,
    seed: int = 0,
) -> Path:
    """Write what the prepare stage writes, and return the folder."""
    digest, first = hashlib.sha256(), 0
    for number, (split, count) in enumerate(counts.items()):
        generator = np.random.default_rng([seed, number])
        drawn = np.arange(count, dtype=np.int64)
        if split == "validation" and counts is COUNTS:
            drawn = drawn // 4 * 2 + drawn % 2  # 0, 1, 0, 1, 2, 3, 2, 3: every other image of a class
        labels = drawn % classes
        images = generator.integers(0, 120, (drawn.max() + 1, *image_size, 3))[drawn]
        images[np.arange(count), :, :, labels] += 60
        arrays: dict[str, NDArray[Any]] = {
            "images": images.astype(np.uint8),
            "labels": labels,
            "groups": np.arange(first, first + count, dtype=np.int64),
        }
        (folder / split).mkdir(parents=True, exist_ok=True)
        for name, array in arrays.items():
            np.save(folder / split / f"{name}.npy", array)
            digest.update(array.tobytes())
        members = [f"{CLASSES[label]}/{split}-{row}.png" for row, label in enumerate(labels)]
        (folder / split / "members.json").write_text(json.dumps(members))
        first += count
    described = {
        "dataset": "tiny",
        "kind": "rendered",
        "classes": list(CLASSES[:classes]),
        "image_size": list(image_size),
        "counts": dict(counts),
        "digest": digest.hexdigest(),
    }
    (folder / "dataset.json").write_text(json.dumps(described))
    return folder


def content(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the committed params.yaml, made tiny, with further changes by dotted key."""
    settings = committed()
    for key, value in {**TINY, **(changes or {})}.items():
        change(settings, key, copy.deepcopy(value))  # a later key may change what is in it
    return settings


def committed() -> dict[str, Any]:
    """Return the committed params.yaml as plain values."""
    return copy.deepcopy(_committed())


@functools.cache
def _committed() -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load((PROJECT / "params.yaml").read_text("utf-8"))
    return settings


def change(settings: dict[str, Any], key: str, value: Any) -> None:
    """Set one value by its dotted key."""
    *path, last = key.split(".")
    for part in path:
        settings = settings.setdefault(part, {})
    settings[last] = value


def as_yaml(settings: Any) -> str:
    """Return settings as YAML, written by the fast library where there is one."""
    return yaml.dump(settings, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper))


def write_params(folder: Path, changes: Mapping[str, Any] | None = None) -> Path:
    """Write a tiny params.yaml into `folder` and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "params.yaml"
    path.write_text(as_yaml(content(changes)), "utf-8")
    return path


def params(folder: Path, changes: Mapping[str, Any] | None = None) -> Params:
    """Return tiny settings, read from a file as the stages read them."""
    return load_params(write_params(folder, changes))


def pixel_jobs(
    folder: Path, variant: str = "baseline", seeds: Sequence[int] = (0,), classes: int = 2, **changes: Any
) -> list[Job]:
    """Return one job per seed on tiny arrays in `folder`; `changes` override the training section."""
    arrays = folder / f"arrays-{classes}"
    if not arrays.exists():
        write_arrays(arrays, classes)
    settings = {f"training.{key}": value for key, value in changes.items()}
    run = {"run.pixel_variants": [variant], "run.seeds": list(seeds)}
    return plan_jobs(params(folder, run | settings), variant, arrays)


# A run of pixel variants: the train stage then needs neither features nor a backbone.
PIXELS_ONLY: Mapping[str, Any] = {"run.feature_variants": [], "run.fine_tune_variants": []}
TRAIN = ("train", "arrays", "features", "backbone", "models")

# What jobs in several processes need.
CHANGES: Mapping[str, Any] = {
    **PIXELS_ONLY,
    "engine.threads_per_job": 1,
    "run.seeds": [0, 1],
    "variants.endless": {"epochs": 10_000},
    "variants.impossible": {"epochs": 3},  # its arrays are missing, as the driver has it
    "run.pixel_variants": ["baseline", "endless", "impossible"],
}

# Everything that draws or remembers at once. With this learning rate and these images, seed 0 learns in all ten epochs,
# while seed 1 stops after three and restores the first.
HARD_IMAGES = 12  # seed of `write_arrays`
HARD: Mapping[str, Any] = {
    **PIXELS_ONLY,
    "run.pixel_variants": ["hard"],
    "run.seeds": [0, 1],
    "variants.hard": {"augmentation": True, "dropout": 0.5},
    "training.epochs": 10,
    "training.learning_rate": 0.02,
    "training.learning_rate_schedule": "cosine",
    "training.early_stopping": 2,
    "engine.parallel_jobs": 1,  # on a machine of many cores too: a kill is timed in the process that trains
}

# The same to a plateau. Seed 0 improves until the cap starts its cooldown; seed 1 returns to its first epoch.
PLATEAU: Mapping[str, Any] = {
    **HARD,
    "training.length": "plateau",
    "training.patience": 2,
    "training.learning_rate_schedule": "constant",
    "training.early_stopping": None,
}
SWITCHES = {0: 8, 1: 3}  # seed -> epochs before the cooldown


def hard_study(folder: Path, changes: Mapping[str, Any] = HARD) -> Path:
    """Write the settings and arrays of the hard variant, and return the folder."""
    write_params(folder, changes)
    write_arrays(folder / "arrays", seed=HARD_IMAGES)
    return folder


def train_hard(folder: Path, kill_at: tuple[str, str, int] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the train stage on the hard variant in a new process."""
    return run_stage(folder, *TRAIN, kill_at=kill_at)


@functools.cache
def unbroken(base: Path) -> Path:
    """Return a folder in which the hard variant was trained without interruption, once per test session."""
    folder = hard_study(base / "unbroken")
    done = train_hard(folder)
    assert done.returncode == 0, done.stderr
    return folder


def write_backbone(folder: Path) -> Path:
    """Write what the backbone stage leaves of a compact backbone, with weights and statistics drawn at random."""
    from convnet.models.backbones import build_source_classifier

    model = build_source_classifier(IMAGE_SIZE, (4, 8), classes=5)
    generator = np.random.default_rng(0)
    for variable in model.variables:
        low = 0.5 if variable.name in ("gamma", "moving_variance") else -0.5
        variable.assign(generator.uniform(low, low + 1, variable.shape))
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / "source.keras")
    weights = folder / "source.keras"
    described = {"needed": True, "backbone": "compact", "file": weights.name, "sha256": file_digest(weights)}
    (folder / "backbone.json").write_text(json.dumps(described))
    return folder


def robustness(params: Params, arrays: Path, models: Path) -> dict[str, Any]:
    """Measure every variant on perturbed copies; return variant -> rows, and only those that have rows."""
    from convnet.analysis.robustness import measure_part
    from convnet.analysis.robustness_extent import robustness_parts

    parts = robustness_parts(params, "tiny")
    measured = [item for part in parts for item in measure_part(params, "tiny", arrays, models, part).items()]
    return {name: rows for name, rows in measured if rows}


# Run in a new interpreter: starts a program and kills the process, without any cleanup, the n-th time the interpreter
# announces an event whose arguments hold a text. "os.rename" of a state is the moment between writing and naming it.
KILLED = """
import os, runpy, signal, sys
event, text, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
seen = 0
def hook(name, arguments):
    global seen
    if name == event and text in " ".join(map(str, arguments)):
        seen += 1
        if seen == count:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
sys.argv = sys.argv[4:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def environment() -> dict[str, str]:
    """Return the environment in which a stage runs in a folder of its own."""
    return os.environ | {"PYTHONPATH": str(Path(convnet.__file__).parents[1]), "TF_CPP_MIN_LOG_LEVEL": "3"}


def stage_command(stage: str, *arguments: str | Path) -> list[str]:
    """Return the command line of a stage."""
    return [str(PROJECT / "stages" / f"{stage}.py"), *map(str, arguments)]


def run_stage(
    folder: Path, stage: str, *arguments: str | Path, kill_at: tuple[str, str, int] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a stage in `folder`; `kill_at` names an audit event, a text in its arguments, and the how-manieth one."""
    killer = ["-c", KILLED, *map(str, kill_at)] if kill_at else []
    command = [sys.executable, *killer, *stage_command(stage, *arguments)]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    if kill_at:
        assert done.returncode == -signal.SIGKILL, f"ended with {done.returncode} before {kill_at}\n{done.stderr}"
    return done
