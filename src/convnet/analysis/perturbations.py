"""Perturbed copies of images, to measure accuracy on images unlike the training set."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[np.uint8]

STRENGTHS = 3
# From visible to severe.
PERTURBATIONS: dict[str, tuple[float, float, float]] = {
    "rotation": (10.0, 20.0, 40.0),  # degrees, to either side
    "shift": (0.05, 0.1, 0.2),  # share of the height and width, in any direction
    "zoom": (1.1, 1.25, 1.5),  # factor: nearer or, by its inverse, farther
    "brightness": (1.25, 1.6, 2.2),  # factor: brighter or, by its inverse, darker
    "blur": (0.01, 0.02, 0.04),  # standard deviation of a Gaussian, share of the shorter side
    "jpeg": (30.0, 15.0, 7.0),  # quality, 1 to 95
    "noise": (0.05, 0.1, 0.2),  # standard deviation of Gaussian noise, share of the range 0..255
}


def perturb_all(images: Pixels, kind: str, strength: float, seed: int) -> Pixels:
    """Perturb every image by its own draw.

    Args:
        images: (n, height, width, 3).
        kind: a key of `PERTURBATIONS`.
        strength: in the unit of `PERTURBATIONS`.
        seed: the draw of image i depends on (seed, kind, i) alone; a greater strength goes farther the same way.

    Returns:
        (n, height, width, 3).
    """
    number = list(PERTURBATIONS).index(kind)
    perturbed = np.empty_like(images)
    for i, image in enumerate(images):
        perturbed[i] = perturb(image, kind, strength, np.random.SeedSequence([seed, number, i]))
    return perturbed


def perturb(image: Pixels, kind: str, strength: float, seed_sequence: np.random.SeedSequence) -> Pixels:
    """Perturb one image.

    Args:
        image: (height, width, 3).
        kind: a key of `PERTURBATIONS`.
        strength: in the unit of `PERTURBATIONS`.
        seed_sequence: decides the side of a rotation, the direction of a shift, nearer or farther, brighter or darker,
            and the noise.

    Returns:
        (height, width, 3).
    """
    return _KINDS[kind](image, strength, np.random.default_rng(seed_sequence))


def _rotate(image: Pixels, degrees: float, rng: np.random.Generator) -> Pixels:
    angle = np.radians(degrees) * _either(rng)
    cosine, sine = np.cos(angle), np.sin(angle)
    return _move(image, np.array([[cosine, -sine], [sine, cosine]]), np.zeros(2))


def _shift(image: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    height, width = image.shape[:2]
    direction = rng.uniform(0, 2 * np.pi)
    return _move(image, np.eye(2), share * np.array([width * np.cos(direction), height * np.sin(direction)]))


def _zoom(image: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    return _move(image, np.eye(2) * factor ** -_either(rng), np.zeros(2))


def _brighten(image: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    return _to_pixels(image * factor ** _either(rng))


def _blur(image: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(share * min(image.shape[:2]))))


def _compress(image: Pixels, quality: float, rng: np.random.Generator) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=round(quality))
    return np.asarray(Image.open(file))


def _add_noise(image: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    return _to_pixels(image + rng.normal(0, share * 255, image.shape))


_KINDS: dict[str, Callable[[Pixels, float, np.random.Generator], Pixels]] = {
    "rotation": _rotate,
    "shift": _shift,
    "zoom": _zoom,
    "brightness": _brighten,
    "blur": _blur,
    "jpeg": _compress,
    "noise": _add_noise,
}


def _either(rng: np.random.Generator) -> int:
    """Return -1 or 1."""
    return 1 if rng.random() < 0.5 else -1


def _move(image: Pixels, matrix: NDArray[np.float64], offset: NDArray[np.float64]) -> Pixels:
    """Read each output pixel at `matrix @ (x, y) + offset`, counted from the image's centre, bilinearly.

    The image is mirrored beyond its edge. Black corners or the streaks of "nearest", the default of the augmentation,
    would favour variants that were trained with them.
    """
    height, width = image.shape[:2]
    margin = max(height, width)  # enough for every strength above, even of a long image rotated; then Pillow's black
    padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    centre = np.array([width / 2, height / 2])  # Pillow's places: the middle of the first pixel is (0.5, 0.5)
    offset = centre + margin + offset - matrix @ centre
    coefficients = np.concatenate([matrix, offset[:, None]], axis=1).ravel().tolist()
    moved = Image.fromarray(padded).transform(
        (width, height), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
    )
    return np.asarray(moved)


def _to_pixels(values: NDArray[np.floating[Any]]) -> Pixels:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)
