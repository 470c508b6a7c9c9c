"""Colours and textures, independent of the class."""

import colorsys
import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from convnet.rendering.canvas import Colour

# (hue, saturation, value) of coats: black, grey, pale grey, cream, ginger, brown, dark brown.
COATS = (
    (0.08, 0.15, 0.22),
    (0.60, 0.08, 0.52),
    (0.10, 0.10, 0.72),
    (0.11, 0.40, 0.70),
    (0.07, 0.70, 0.75),
    (0.07, 0.50, 0.55),
    (0.05, 0.50, 0.36),
)
SKINS = ((0.06, 0.30, 0.93), (0.06, 0.40, 0.82), (0.06, 0.50, 0.66), (0.06, 0.52, 0.48), (0.05, 0.50, 0.34))


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """Return the RGB colour (0..255) of a hue (wraps at 1), saturation and value (clipped to 0..1)."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0))
    return round(red * 255), round(green * 255), round(blue * 255)


def shade(colour: Colour, factor: float) -> Colour:
    """Return `colour` times `factor`, clipped to 0..255."""
    red, green, blue = (min(255, round(channel * factor)) for channel in colour)
    return red, green, blue


def any_colour(rng: Generator) -> Colour:
    """Return a colour of any hue, half of them dull as coats and skins, so that colour does not reveal the object."""
    if rng.random() < 0.5:
        return near(COATS + SKINS, rng)
    return hsv(rng.random(), rng.uniform(0.1, 0.8), rng.uniform(0.25, 0.95))


def near(palette: tuple[tuple[float, float, float], ...], rng: Generator) -> Colour:
    """Return a colour close to one of `palette` (hue, saturation, value)."""
    hue, saturation, value = palette[int(rng.integers(len(palette)))]
    return hsv(hue + rng.uniform(-0.03, 0.03), saturation * rng.uniform(0.7, 1.3), value * rng.uniform(0.8, 1.15))


def smooth_noise(rng: Generator, cells: tuple[int, int], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return random hills in [-1, 1], float32 (height, width), about as many as `cells` (rows, columns)."""
    grid = Image.fromarray(rng.integers(0, 256, cells, dtype=np.uint8))
    # Pillow resizes 8-bit images in whole numbers: the same on every processor.
    hills = np.asarray(grid.resize((size[1], size[0]), Image.Resampling.BICUBIC), dtype=np.float32)
    return hills / np.float32(127.5) - np.float32(1.0)


def add_texture(layer: Image.Image, rng: Generator, strength: float = 1.0) -> None:
    """Texture the drawing on `layer` (RGBA): plain, grained, striped or patched.

    Args:
        layer: changed in place; transparent pixels stay so.
        rng: decides the kind of coat, its direction and its contrast.
        strength: 1 for fur, less for smoother surfaces.
    """
    height, width = layer.height, layer.width
    kind = rng.integers(4)
    contrast = np.float32(strength * rng.uniform(0.05, 0.2))
    if kind == 0:
        wave = smooth_noise(rng, (6, 6), (height, width)) * np.float32(0.5)
    elif kind == 1:
        cells = (40, 12) if rng.random() < 0.5 else (12, 40)
        wave = smooth_noise(rng, cells, (height, width))
    elif kind == 2:
        turn, period = rng.uniform(0, math.pi), rng.uniform(0.06, 0.16)
        rows = np.arange(height, dtype=np.float32)[:, None] / np.float32(height)
        columns = np.arange(width, dtype=np.float32)[None, :] / np.float32(height)
        phase = (rows * np.float32(math.cos(turn)) + columns * np.float32(math.sin(turn))) / np.float32(period)
        phase = phase + smooth_noise(rng, (4, 4), (height, width)) * np.float32(0.6)
        wave = np.abs(phase % np.float32(2.0) - np.float32(1.0)) * np.float32(2.0) - np.float32(1.0)
    else:
        wave = np.where(smooth_noise(rng, (7, 7), (height, width)) > 0.15, np.float32(-1.0), np.float32(0.4))
    pixels = np.array(layer)
    coat = pixels[..., :3] * (np.float32(1.0) + contrast * wave)[..., None]
    pixels[..., :3] = np.clip(coat, 0, 255).astype(np.uint8)
    layer.paste(Image.fromarray(pixels))
