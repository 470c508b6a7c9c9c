"""Draw all around the object, independent of its class: place, background, objects in front, light, camera."""

import math

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageFilter

from convnet.rendering.canvas import Canvas, Colour, Pose
from convnet.rendering.colours import any_colour, hsv, shade, smooth_noise

Size = tuple[int, int]  # (height, width) in pixels


def random_pose(rng: Generator, size: Size) -> Pose:
    """Return a pose that prefers upright and the middle: angles within 45 degrees, most within 20."""
    side = min(size)
    return Pose(
        x=size[1] / 2 + side * rng.uniform(-0.18, 0.18),
        y=size[0] / 2 + side * rng.uniform(-0.15, 0.15),
        scale=side * rng.uniform(0.3, 0.46),
        angle=math.radians(45) * (rng.random() + rng.random() - 1.0),
        shear=rng.uniform(-0.15, 0.15),
        mirrored=bool(rng.random() < 0.5),
    )


def background(rng: Generator, size: Size) -> Image.Image:
    """Return an RGB background (height, width): two colours that flow into each other, and clutter on it."""
    first, second = (np.array(_pale(rng), dtype=np.float32) for _ in range(2))
    cells = int(rng.integers(2, 7))
    mix = smooth_noise(rng, (cells, cells), size)[..., None] * np.float32(0.5) + np.float32(0.5)
    image = Image.fromarray((first * mix + second * (1 - mix)).astype(np.uint8))
    for _ in range(int(rng.integers(0, 5))):
        _clutter(image, rng, float(rng.uniform(0.06, 0.22)))
    return image


def _pale(rng: Generator) -> Colour:
    return hsv(rng.random(), rng.uniform(0.05, 0.45), rng.uniform(0.6, 1.0))


def put_in_front(image: Image.Image, rng: Generator) -> None:
    """Hide a part of the object, three times in ten, behind another near the edge of the image."""
    if rng.random() < 0.3:
        _clutter(image, rng, float(rng.uniform(0.12, 0.2)), margin=True)


def _clutter(image: Image.Image, rng: Generator, share: float, margin: bool = False) -> None:
    side = min(image.size)
    x, y = rng.random(), rng.random()
    if margin and rng.random() < 0.5:
        x = 0.12 if x < 0.5 else 0.88
    elif margin:
        y = 0.12 if y < 0.5 else 0.88
    pose = Pose(image.width * x, image.height * y, side * share, rng.uniform(0, math.tau))
    colour = any_colour(rng)
    canvas = Canvas(image, pose, shade(colour, 0.5) if rng.random() < 0.4 else None)
    kind = rng.integers(6)
    if kind == 0:
        canvas.ellipse((0, 0), (1, rng.uniform(0.5, 1)), colour)
    elif kind == 1:
        canvas.polygon([(-0.6, 0.5), (0, rng.uniform(-1.2, -0.6)), (0.6, 0.5)], colour)
    elif kind == 2:
        canvas.polygon([(-0.9, -0.5), (0.9, -0.5), (0.9, 0.5), (-0.9, 0.5)], colour)
    elif kind == 3:
        canvas.stroke([(-1.4, 0), (0, rng.uniform(-0.5, 0.5)), (1.4, 0)], rng.uniform(0.1, 0.5), colour)
    elif kind == 4:
        for x in (-0.5, 0.0, 0.5)[: 2 + int(rng.integers(2))]:
            canvas.stroke([(x * 0.8, 0.9), (x, -0.9)], 0.3, colour)
    else:
        canvas.ellipse((0, 0), (0.7, 0.7), colour)
        canvas.ellipse((0, 0), (0.35, 0.35), any_colour(rng))


def compose(scenery: Image.Image, layer: Image.Image, rng: Generator) -> Image.Image:
    """Return the object `layer` (RGBA) laid on `scenery` (RGB), with a soft shadow half of the time."""
    alpha = layer.getchannel("A")
    if rng.random() < 0.5:
        side = min(scenery.size)
        shift = (int(rng.integers(-side // 12, side // 12 + 1)), side // 24)
        shadow = Image.new("L", alpha.size)
        shadow.paste(alpha.point(lambda value: value * 0.45), shift)
        scenery.paste((15, 15, 20), (0, 0), shadow.filter(ImageFilter.BoxBlur(side / 40)))
    scenery.paste(layer, (0, 0), alpha)
    return scenery


def photograph(image: Image.Image, rng: Generator) -> Image.Image:
    """Return `image` with uneven light, contrast, colour cast, blur and sensor noise, as from a cheap camera."""
    blur = rng.uniform(0.0, 0.7) * min(image.size) / 64
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(blur))
    height, width = image.height, image.width
    light = 1 + np.float32(rng.uniform(0.05, 0.25)) * smooth_noise(rng, (2, 2), (height, width))
    cast = rng.uniform(0.9, 1.1, 3).astype(np.float32) * np.float32(rng.uniform(0.8, 1.1))
    contrast, grain = np.float32(rng.uniform(0.8, 1.1)), np.float32(rng.uniform(1.0, 6.0))
    # The sum of two even draws is close to normal, and whole numbers are the same on every processor.
    noise = rng.integers(-128, 128, (2, height, width, 3), dtype=np.int16).sum(axis=0) * (grain / np.float32(105.0))
    pixels = np.asarray(image, dtype=np.float32)
    seen = ((pixels - 128) * contrast + 128) * light[..., None] * cast + noise
    return Image.fromarray(np.clip(seen, 0, 255).astype(np.uint8))
