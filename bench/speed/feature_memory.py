"""Resident memory of the features stage: bounded by a batch, however many images there are.

    python -m bench.speed.feature_memory                 25,000 photographs of 96x96 pixels, MobileNetV2 0.35
    python -m bench.speed.feature_memory --scale full    25,000 photographs of 150x150 pixels, InceptionV3 cut at mixed7

The stage itself runs, from arrays to features on disk. The photographs of CONVNET_DATA are repeated to the count.
Weights are random: they cost the same memory.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.lib.material import PROJECT, bring_archive, change_params, ingest
from bench.lib.numbers import compare, parse_arguments, write_result
from bench.lib.sides import Side, watch
from bench.speed.peer_transfer import make_weights, start_course
from convnet.jobs.feature_plan import plan_features
from convnet.params.load import load_params
from convnet.system.files import file_digest, read_json, write_json
from convnet.system.processes import usable_cores

MEMORY_LIMIT_MIB = 2048
FEWEST = 100  # images per class that are repeated


class Scale(NamedTuple):
    """How much is measured."""

    backbone: str  # in params.yaml
    last_layer: str
    image_size: tuple[int, int]
    counts: tuple[int, ...]  # images; the first is what the others are held against
    real: bool


SCALES = {
    "toy": Scale("mobilenet_v2", "block_3_expand_relu", (32, 32), (100, 300), real=False),
    "short": Scale("mobilenet_v2", "block_13_expand_relu", (96, 96), (1_000, 25_000), real=True),
    "full": Scale("inception_v3", "mixed7", (150, 150), (1_000, 5_000, 25_000), real=True),
}


def repeat_arrays(arrays: Path, images: int, destination: Path) -> None:
    """Copy prepared arrays, the training images repeated to `images`."""
    shutil.copytree(arrays, destination)
    for path in (destination / "train").glob("*.npy"):
        few = np.load(path)
        many = np.lib.format.open_memmap(path, mode="w+", dtype=few.dtype, shape=(images, *few.shape[1:]))
        for start in range(0, images, len(few)):
            part = many[start : start + len(few)]
            part[:] = few[: len(part)]
        many.flush()
    members = read_json(destination / "train" / "members.json")
    write_json(destination / "train" / "members.json", [members[row % len(members)] for row in range(images)])
    described = read_json(destination / "dataset.json")
    described["counts"]["train"] = images
    write_json(destination / "dataset.json", described | {"digest": str(images)})


# What the features stage does once the weights of the backbone are there.
FEATURES = """
import sys
from pathlib import Path
from convnet.features.cache import bring_features
from convnet.params.load import load_params
from convnet.system.files import read_json
plan, backbone = map(Path, sys.argv[1:])
bring_features(load_params(), read_json(plan), Path("arrays"), backbone, Path("features"))
"""


def peak_mib(folder: Path, images: int) -> tuple[float, float]:
    """Run the stage on `images` images; return its peak in MiB, and images/s."""
    with tempfile.TemporaryDirectory(prefix="many-", dir=folder) as name:
        many = Path(name)
        repeat_arrays(folder / "arrays", images, many / "arrays")
        shutil.copy(folder / "params.yaml", many)
        stage: list[str | Path] = [sys.executable, "-c", FEATURES, folder / "plan.json", folder / "backbone"]
        watched = watch(stage, many, {"PYTHONPATH": str(PROJECT / "src")})
        rate = read_json(many / "features" / "timing.json")["images_per_second"]
    return watched.peak_bytes / 2**20, rate


def prepare(folder: Path, scale: Scale) -> str:
    """Put params.yaml, plan, arrays and backbone into `folder`; return what the images are."""
    pictures = bring_archive(folder / "archives", FEWEST, scale.image_size, real=scale.real)
    ingest(folder / "archives", folder / "arrays", scale.image_size, FEWEST)
    shutil.copy(PROJECT / "params.yaml", folder)
    dataset = "datasets.cats_vs_dogs"
    changes = {"run.datasets": ["cats_vs_dogs"], "engine.threads_per_job": usable_cores()}
    changes |= {f"{dataset}.image_size": list(scale.image_size), f"{dataset}.backbone": scale.backbone}
    change_params(folder, {**changes, f"{dataset}.last_layer": scale.last_layer})
    params = load_params(folder / "params.yaml")
    write_json(folder / "plan.json", plan_features(params, "cats_vs_dogs"))
    weights = folder / "backbone" / "random.weights.h5"
    weights.parent.mkdir()
    with Side(start_course) as other:
        other(make_weights, params.backbones[scale.backbone].architecture, weights)
    described = {"needed": True, "file": weights.name, "sha256": file_digest(weights)}
    write_json(weights.with_name("backbone.json"), described)
    return pictures


def main() -> None:
    """Bring the images, run the stage on more and more of them, write the result."""
    arguments = parse_arguments(__doc__, {"toy": "1 minute", "short": "3 minutes", "full": "20 minutes"})
    scale = SCALES[arguments.scale]
    with tempfile.TemporaryDirectory(prefix="feature-memory-") as name:
        folder = Path(name)
        pictures = prepare(folder, scale)
        found = {images: peak_mib(folder, images) for images in scale.counts}
    few = scale.counts[0]
    rows = [
        compare(
            f"features stage, peak of resident memory, {images:,} images",
            "MiB",
            [found[images][0]],
            [found[few][0]],
            other_name=f"{few:,} images",
            images_per_second=found[images][1],
            below_2_gib=found[images][0] < MEMORY_LIMIT_MIB,
        )
        for images in scale.counts[1:]
    ]
    write_result(arguments, rows, pictures=pictures)


if __name__ == "__main__":
    main()
