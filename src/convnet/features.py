"""Run a frozen backbone once over every image and keep what it says, for all heads and seeds to share."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from convnet.arrays import load_arrays
from convnet.augmentation import RandomAffine, reset_seed_generators
from convnet.data import prediction_batch
from convnet.device import machine_facts
from convnet.errors import UserError
from convnet.models import cut, layer_table, load_backbone
from convnet.params import Backbone
from convnet.plans import Views
from convnet.predictions import SPLITS
from convnet.progress import progress
from convnet.storage import atomic_path, file_digest, json_digest, write_json

MOST_AT_ONCE = 50  # images; bounds memory whatever the size of the dataset
LARGEST_FLOAT16 = 65504.0


def extract_features(
    arrays: Path,
    image_size: tuple[int, int],
    name: str,
    backbone: Backbone,
    last_layer: str,
    weights: Path,
    views: Views | None,
    destination: Path,
) -> None:
    """Write `<split>.npy`, float16 (n, height, width, channels), and `<split>_views.npy` where asked, to `destination`.

    Memory stays bounded: images are read, and features written, a batch at a time.

    Raises:
        UserError: `last_layer` names no layer, or the weight file does not fit the architecture.
    """
    start = time.monotonic()
    whole = load_backbone(name, backbone, weights, image_size)
    shortened = cut(whole, last_layer, f"backbones.{name}.last_layer")
    inputs = keras.Input((*image_size, 3))
    low, high = backbone.input_range
    scaled = keras.layers.Rescaling((high - low) / 255, offset=low)(inputs)
    model = keras.Model(inputs, shortened(scaled, training=False))
    augment = RandomAffine(**views.knobs.model_dump(), seed=views.seed) if views else None
    files: dict[str, str] = {}
    images_seen = 0
    for split in SPLITS:
        images = len(load_arrays(arrays, split).labels)
        files[split] = _write(destination / f"{split}.npy", images, _run(model, arrays, split, images))
        images_seen += images
        if views and augment and split in views.splits:
            rows = _run_views(model, augment, views, arrays, split, images)
            files[f"{split}_views"] = _write(destination / f"{split}_views.npy", images * views.count, rows)
            images_seen += images * views.count
    seconds = time.monotonic() - start
    write_json(destination / "layers.json", layer_table(whole, last_layer))
    write_json(
        destination / "features.json",
        {
            "backbone": name,
            "last_layer": last_layer,
            "shape": list(shortened.output_shape[1:]),
            "parameters": int(shortened.count_params()),
            "weights_sha256": file_digest(weights),
            "files": files,
            "digest": json_digest(files),
        },
    )
    timing = {
        "seconds": round(seconds, 3),
        "images": images_seen,
        "images_per_second": round(images_seen / seconds, 1),
        "machine": machine_facts(),
    }
    write_json(destination / "timing.json", timing)


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
        # Mapped anew for each batch, so that pages already read do not stay resident.
        yield np.array(np.load(path, mmap_mode="r")[first : first + batch])


def _write(path: Path, rows: int, batches: Iterator[NDArray[Any]]) -> str:
    """Stream float16 batches into one .npy file of `rows` rows; return its SHA-256."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for number, batch in enumerate(batches):
            if not np.isfinite(batch).all():  # a relu would turn NaN into 0, and training would never notice
                raise UserError(f"{path.name}: the backbone gave numbers that are none; check its weight file")
            if number == 0:
                header = {"descr": "<f2", "fortran_order": False, "shape": (rows, *batch.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.clip(batch, -LARGEST_FLOAT16, LARGEST_FLOAT16).astype("<f2").tobytes())
    return file_digest(path)
