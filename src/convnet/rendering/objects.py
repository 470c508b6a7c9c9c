"""Draw plain objects for the source dataset, with edges, stripes, prongs and round parts for a backbone to learn."""

import math
from collections.abc import Callable
from itertools import pairwise

from numpy.random import Generator

from convnet.rendering.canvas import Canvas, Point
from convnet.rendering.colours import add_texture, any_colour, shade


def _spoke(angle: float, radius: float) -> Point:
    return math.sin(angle) * radius, -math.cos(angle) * radius


def draw_fish(canvas: Canvas, rng: Generator) -> None:
    """Draw a fish from the side."""
    colour, fin = any_colour(rng), any_colour(rng)
    height = rng.uniform(0.35, 0.6)
    canvas.polygon([(0.5, 0), (1.05, -height), (0.9, 0), (1.05, height)], fin)
    canvas.polygon([(-0.3, -height * 0.7), (0.1, -height - 0.35), (0.4, -height * 0.5)], fin)
    side = [(-0.5, height), (0.3, height * 0.7)]
    canvas.blob([(-1.0, 0), *((x, -y) for x, y in side), (0.8, 0), *reversed(side)], colour)
    add_texture(canvas.image, rng)
    canvas.ellipse((-0.6, -0.12), (0.13, 0.13), (240, 240, 230))
    canvas.ellipse((-0.6, -0.12), (0.06, 0.06), (20, 20, 20))
    canvas.stroke([(-0.4, -height * 0.6), (-0.3, 0), (-0.4, height * 0.6)], 0.05, shade(colour, 0.6))


def draw_cactus(canvas: Canvas, rng: Generator) -> None:
    """Draw a cactus with two or three arms in a pot."""
    colour, pot = any_colour(rng), any_colour(rng)
    width = rng.uniform(0.3, 0.42)
    canvas.stroke([(0, 0.7), (0, -0.75)], width, colour)
    for side in (-1, 1)[: 1 + int(rng.integers(2))]:
        height = rng.uniform(-0.1, 0.4)
        elbow = side * rng.uniform(0.45, 0.65)
        tip = height - rng.uniform(0.35, 0.7)
        canvas.stroke([(0, height), (elbow, height), (elbow, tip)], width * 0.7, colour)
    add_texture(canvas.image, rng)
    canvas.polygon([(-0.5, 0.55), (0.5, 0.55), (0.36, 1.05), (-0.36, 1.05)], pot)


def draw_fork(canvas: Canvas, rng: Generator) -> None:
    """Draw a fork with three or four prongs."""
    colour = any_colour(rng)
    prongs = int(rng.integers(3, 5))
    width = rng.uniform(0.1, 0.16)
    reach = rng.uniform(0.3, 0.45)
    for place in range(prongs):
        x = reach * (2 * place / (prongs - 1) - 1)
        canvas.stroke([(x, -0.2), (x, -1.0)], width, colour)
    canvas.blob([(-reach - 0.08, -0.35), (reach + 0.08, -0.35), (reach, 0.05), (0, 0.25), (-reach, 0.05)], colour)
    canvas.stroke([(0, 0.1), (0, 1.05)], rng.uniform(0.18, 0.3), colour)
    add_texture(canvas.image, rng)


def draw_starfish(canvas: Canvas, rng: Generator) -> None:
    """Draw a starfish: five fat arms."""
    colour = any_colour(rng)
    width = rng.uniform(0.26, 0.42)
    for arm in range(5):
        canvas.stroke([(0, 0), _spoke(arm * math.tau / 5 + rng.uniform(-0.12, 0.12), 0.9)], width, colour)
    canvas.ellipse((0, 0), (0.4, 0.4), colour)
    add_texture(canvas.image, rng)
    for arm in range(5):
        canvas.ellipse(_spoke(arm * math.tau / 5, 0.45), (0.06, 0.06), shade(colour, 0.6))


def draw_umbrella(canvas: Canvas, rng: Generator) -> None:
    """Draw an open umbrella with coloured panels and a hooked handle."""
    first, second = any_colour(rng), any_colour(rng)
    handle = shade(any_colour(rng), 0.7)
    hook = 0.25 if rng.random() < 0.5 else -0.25
    canvas.stroke([(0, -0.9), (0, 0.85), (hook * 0.5, 1.0), (hook, 0.85)], 0.09, handle)
    depth = rng.uniform(0.6, 0.85)
    rim = [-1.0, -0.6, -0.2, 0.2, 0.6, 1.0]
    for place, (left, right) in enumerate(pairwise(rim)):
        crown = [(left, 0.0), (left * 0.85, -depth * 0.5), (0, -depth), (right * 0.85, -depth * 0.5), (right, 0.0)]
        canvas.polygon([*crown, ((left + right) / 2, -0.12)], second if place % 2 else first)
    add_texture(canvas.image, rng)


def draw_key(canvas: Canvas, rng: Generator) -> None:
    """Draw a key: a ring, a shaft and two or three teeth."""
    colour = any_colour(rng)
    radius = rng.uniform(0.34, 0.46)
    canvas.stroke([(0, -0.3), (0, 1.0)], 0.16, colour)
    for tooth in range(int(rng.integers(2, 4))):
        canvas.stroke([(0, 0.92 - 0.25 * tooth), (rng.uniform(0.25, 0.42), 0.92 - 0.25 * tooth)], 0.14, colour)
    canvas.ellipse((0, -0.6), (radius, radius), colour)
    add_texture(canvas.image, rng)
    canvas.ellipse((0, -0.6), (radius * 0.55, radius * 0.55), any_colour(rng))


OBJECTS: dict[str, Callable[[Canvas, Generator], None]] = {
    "cactuses": draw_cactus,
    "fish": draw_fish,
    "forks": draw_fork,
    "keys": draw_key,
    "starfish": draw_starfish,
    "umbrellas": draw_umbrella,
}
