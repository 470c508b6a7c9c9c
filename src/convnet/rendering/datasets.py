"""Render datasets that need no download: `pets`, `hands`, and the `source` classes that pretrain a backbone.

Every image is a function of (dataset, class, index, seed, image_size). Only the shape of the object depends on the
class; coat, pose, place, background, light and camera do not. A small CNN overfits on a few hundred of these images,
and augmentation varies the same properties, so it helps.
"""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image

from convnet.rendering import animals, hands, objects
from convnet.rendering.canvas import Canvas
from convnet.rendering.scene import background, compose, photograph, put_in_front, random_pose
from convnet.system.errors import UserError
from convnet.system.files import atomic_path
from convnet.system.progress import progress

Painter = Callable[[Canvas, Generator], None]

SUPERSAMPLING = 2  # drawn at twice the size, then averaged: smooth edges
JPEG_QUALITY = 92  # JPEG, not PNG: the bytes of zlib differ between processors, those of libjpeg do not


def _animal(species: animals.Species) -> Painter:
    return lambda canvas, rng: animals.draw_animal(canvas, species, rng)


def _hand(gesture: str) -> Painter:
    return lambda canvas, rng: hands.draw_hand(canvas, gesture, rng)


_PAINTERS: dict[str, dict[str, Painter]] = {
    "pets": {"cats": _animal(animals.CAT), "dogs": _animal(animals.DOG)},
    "hands": {gesture: _hand(gesture) for gesture in ("paper", "rock", "scissors")},
    "source": {
        "bears": _animal(animals.BEAR),
        "mice": _animal(animals.MOUSE),
        "pigs": _animal(animals.PIG),
        "rabbits": _animal(animals.RABBIT),
        **objects.OBJECTS,
    },
}

RENDERED: dict[str, tuple[str, ...]] = {dataset: tuple(sorted(painters)) for dataset, painters in _PAINTERS.items()}


def render_image(
    dataset: str, class_name: str, index: int, seed: int, image_size: tuple[int, int] = (64, 64)
) -> Image.Image:
    """Return image number `index` of a class, RGB.

    Args:
        dataset: a key of `RENDERED`.
        class_name: one of `RENDERED[dataset]`.
        index: number of the image, 0 or more.
        seed: another seed gives other images.
        image_size: (height, width) in pixels.

    Raises:
        UserError: the dataset or class is unknown.
    """
    return render_with_mask(dataset, class_name, index, seed, image_size)[0]


def render_with_mask(
    dataset: str, class_name: str, index: int, seed: int, image_size: tuple[int, int] = (64, 64)
) -> tuple[Image.Image, Image.Image]:
    """Return an image as `render_image` does, and the mask of its object: mode L, 255 on the object, 0 elsewhere."""
    if dataset not in RENDERED:
        raise UserError(f"no rendered dataset is called {dataset!r}; choose one of {', '.join(RENDERED)}")
    if class_name not in RENDERED[dataset]:
        raise UserError(f"{dataset} has no class {class_name!r}; choose one of {', '.join(RENDERED[dataset])}")
    key = [seed, list(RENDERED).index(dataset), RENDERED[dataset].index(class_name), index]
    rng = np.random.default_rng(key)
    size = (image_size[0] * SUPERSAMPLING, image_size[1] * SUPERSAMPLING)
    layer = Image.new("RGBA", (size[1], size[0]))
    _PAINTERS[dataset][class_name](Canvas(layer, random_pose(rng, size)), rng)
    image = compose(background(rng, size), layer, rng)
    put_in_front(image, rng)
    return photograph(image.reduce(SUPERSAMPLING), rng), layer.getchannel("A").reduce(SUPERSAMPLING)


def render_archive(
    dataset: str, images_per_class: int, seed: int, image_size: tuple[int, int], destination: Path
) -> None:
    """Write a dataset as a ZIP of JPEG images, `pets/cats/cats-0001.jpg`; equal arguments give equal bytes.

    Args:
        dataset: a key of `RENDERED`.
        images_per_class: images of each class.
        seed: another seed gives other images.
        image_size: (height, width) in pixels.
        destination: the archive to write.

    Raises:
        UserError: the dataset is unknown, or the disk is full.
    """
    if dataset not in RENDERED:
        raise UserError(f"no rendered dataset is called {dataset!r}; choose one of {', '.join(RENDERED)}")
    members = [(name, index) for name in RENDERED[dataset] for index in range(images_per_class)]
    with atomic_path(destination) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, index in progress(members, total=len(members), label=f"render {dataset}"):
            file = io.BytesIO()
            render_image(dataset, name, index, seed, image_size).save(file, "JPEG", quality=JPEG_QUALITY)
            # ZipInfo without a date is 1980-01-01: no time stamp in the archive.
            archive.writestr(zipfile.ZipInfo(f"{dataset}/{name}/{name}-{index + 1:04d}.jpg"), file.getvalue())
