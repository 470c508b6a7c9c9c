"""Run a frozen backbone once over every image and store its features, which all heads and seeds share."""

import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from convnet.backend.machine import machine_facts
from convnet.data.arrays import load_arrays
from convnet.data.splits import SPLITS
from convnet.jobs.feature_plan import Views
from convnet.jobs.job import UsedBackbone
from convnet.models.augmentation import RandomAffine, reset_seed_generators
from convnet.models.backbones import layer_table, rescale
from convnet.system.errors import UserError
from convnet.system.files import atomic_path, file_digest, json_digest, write_json
from convnet.system.progress import progress
from convnet.training.batches import prediction_batch
from convnet.training.networks import cut_backbone

MOST_AT_ONCE = 50  # images; bounds memory for datasets of any size
LARGEST_FLOAT16 = 65504.0


def extract_features(arrays: Path, image_size: tuple[int, int], backbone: UsedBackbone, destination: Path) -> None:
    """Write `<split>.npy`, float16 (n, height, width, channels), features.json, layers.json and timing.json.

    Memory stays bounded: images are read, and features written, a batch at a time.

    Raises:
        UserError: see `cut_backbone`.
    """
    start = time.monotonic()
    whole, model = _pixel_model(backbone, image_size)
    counts = {split: len(load_arrays(arrays, split).labels) for split in SPLITS}
    _announce(f"{arrays.name}, {backbone.name} cut at {backbone.last_layer}", sum(counts.values()), model)
    files = {
        split: _write(destination / f"{split}.npy", images, _run(model, arrays, split, images))
        for split, images in counts.items()
    }
    _write_timing(destination / "timing.json", start, sum(counts.values()))
    write_json(destination / "layers.json", layer_table(whole, backbone.last_layer))
    write_json(
        destination / "features.json",
        {
            "backbone": backbone.name,
            "last_layer": backbone.last_layer,
            "shape": list(model.output_shape[1:]),
            "parameters": int(model.count_params()),
            "weights_sha256": file_digest(backbone.weights),
            "files": files,
            "digest": json_digest(files),
        },
    )


def extract_views(
    arrays: Path, image_size: tuple[int, int], backbone: UsedBackbone, views: Views, destination: Path
) -> None:
    """Write `<split>_views.npy`, float16 (n * count, height, width, channels), views.json and views_timing.json.

    Raises:
        UserError: see `cut_backbone`.
    """
    start = time.monotonic()
    _, model = _pixel_model(backbone, image_size)
    augment = RandomAffine(**views.knobs.model_dump(), seed=views.seed)
    files: dict[str, str] = {}
    rows = 0
    for split in views.splits:
        images = len(load_arrays(arrays, split).labels)
        drawn = _run_views(model, augment, views, arrays, split, images)
        files[f"{split}_views"] = _write(destination / f"{split}_views.npy", images * views.count, drawn)
        rows += images * views.count
    _write_timing(destination / "views_timing.json", start, rows)
    write_json(destination / "views.json", {"files": files, "digest": json_digest(files)})


def _pixel_model(backbone: UsedBackbone, image_size: tuple[int, int]) -> tuple[keras.Model, keras.Model]:
    """Return the whole network and its used part: pixels 0..255 (batch, height, width, 3) -> features."""
    whole, shortened = cut_backbone(backbone, image_size)
    inputs = keras.Input((*image_size, 3))
    scaled = rescale(backbone.settings.input_range)(inputs)
    return whole, keras.Model(inputs, shortened(scaled, training=False))


def _announce(label: str, rows: int, model: keras.Model) -> None:
    """Print the size of the features before they are made."""
    megabytes = rows * math.prod(model.output_shape[1:]) * 2 / 1e6
    print(f"features of {label}: {rows:,} images take {megabytes:,.0f} MB", file=sys.stderr)


def _write_timing(path: Path, start: float, images: int) -> None:
    seconds = time.monotonic() - start
    write_json(
        path,
        {
            "seconds": round(seconds, 3),
            "images": images,
            "images_per_second": round(images / seconds, 1),
            "machine": machine_facts(),
        },
    )


def _run(model: keras.Model, arrays: Path, split: str, images: int) -> Iterator[NDArray[Any]]:
    for batch in _image_batches(arrays, split, images, f"features of {split}"):
        yield model.predict_on_batch(batch)


def _run_views(
    model: keras.Model, augment: RandomAffine, views: Views, arrays: Path, split: str, images: int
) -> Iterator[NDArray[Any]]:
    """Yield features image by image, `count` views each: (batch * count, height, width, channels)."""
    for number, batch in enumerate(_image_batches(arrays, split, images, f"augmented features of {split}")):
        of_views = []
        for view in range(views.count):
            reset_seed_generators(augment, views.seed, number * views.count + view)
            drawn = augment(batch.astype(np.float32), training=True)
            of_views.append(model.predict_on_batch(keras.ops.convert_to_numpy(drawn)))
        stacked = np.stack(of_views, axis=1)
        yield stacked.reshape(-1, *stacked.shape[2:])


def _image_batches(arrays: Path, split: str, images: int, label: str) -> Iterator[NDArray[np.uint8]]:
    path = arrays / split / "images.npy"
    batch = min(MOST_AT_ONCE, prediction_batch(np.load(path, mmap_mode="r").shape[1:]))
    for first in progress(range(0, images, batch), total=-(-images // batch), label=label, unit="batches"):
        # Mapped again for each batch, so that pages already read do not stay resident.
        yield np.array(np.load(path, mmap_mode="r")[first : first + batch])


def _write(path: Path, rows: int, batches: Iterator[NDArray[Any]]) -> str:
    """Stream float16 batches into one .npy file of `rows` rows; return its SHA-256."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for number, batch in enumerate(batches):
            if not np.isfinite(batch).all():  # a relu would turn NaN into 0, unnoticed
                raise UserError(f"{path.name}: the backbone's output is not finite; check its weight file")
            if number == 0:
                header = {"descr": "<f2", "fortran_order": False, "shape": (rows, *batch.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.clip(batch, -LARGEST_FLOAT16, LARGEST_FLOAT16).astype("<f2").tobytes())
    return file_digest(path)
