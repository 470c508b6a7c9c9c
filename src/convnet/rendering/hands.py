"""Hands: a palm, a forearm and five fingers, each stretched or folded."""

import math

from numpy.random import Generator

from convnet.rendering.canvas import Canvas, Colour, Point
from convnet.rendering.colours import SKINS, add_texture, any_colour, near, shade

# Which of index, middle, ring and little finger are stretched; the thumb is stretched in paper only.
GESTURES = {
    "rock": (False, False, False, False),
    "paper": (True, True, True, True),
    "scissors": (True, True, False, False),
}
# A fist is drawn nearer than an open hand, so that the number of hand pixels does not reveal the gesture.
NEARNESS = {"rock": 1.3, "paper": 0.95, "scissors": 1.12}

KNUCKLES = ((-0.36, -0.2), (-0.12, -0.28), (0.12, -0.25), (0.34, -0.14))
LENGTHS = (0.78, 0.88, 0.8, 0.6)


def draw_hand(canvas: Canvas, gesture: str, rng: Generator) -> None:
    """Draw a hand that shows `gesture` (rock, paper or scissors), forearm down, on the RGBA image of `canvas`."""
    skin = near(SKINS, rng)
    edge = shade(skin, rng.uniform(0.5, 0.75))
    hand = canvas.moved((0.0, 0.15), NEARNESS[gesture] * rng.uniform(0.9, 1.1))
    _forearm(hand, skin, edge, rng)
    stretched = GESTURES[gesture]
    spread = rng.uniform(0.03, 0.2)
    if gesture == "scissors":
        spread = rng.uniform(0.16, 0.5)
    width = rng.uniform(0.19, 0.24)
    lean = rng.uniform(-0.15, 0.15)
    middle = sum(place for place, straight in enumerate(stretched) if straight) / max(1, sum(stretched))
    for place, straight in enumerate(stretched):
        if straight:
            direction = lean + (place - middle) * spread + rng.uniform(-0.05, 0.05)
            length = LENGTHS[place] * rng.uniform(0.9, 1.1)
            _finger(hand, KNUCKLES[place], direction, length, width, skin, edge, rng)
    hand.outline = edge
    hand.blob([(-0.45, -0.3), (0.0, -0.4), (0.42, -0.25), (0.46, 0.2), (0.3, 0.6), (-0.3, 0.6), (-0.48, 0.2)], skin)
    add_texture(canvas.image, rng, 0.35)
    from_behind = rng.random() < 0.5
    _folded(hand, stretched, skin, edge, from_behind, width)
    if gesture == "paper":
        _finger(hand, (-0.38, 0.25), -rng.uniform(0.3, 1.1), 0.6, width, skin, edge, rng)
    elif not from_behind:
        hand.stroke([(-0.42, 0.3), (-0.3, 0.08), (rng.uniform(-0.05, 0.2), 0.1)], width + 0.06, edge)
        hand.stroke([(-0.42, 0.3), (-0.3, 0.08), (rng.uniform(-0.05, 0.2), 0.1)], width, shade(skin, 1.05))


def _forearm(canvas: Canvas, skin: Colour, edge: Colour, rng: Generator) -> None:
    bend = rng.uniform(-0.3, 0.3)
    canvas.stroke([(0, 0.4), (bend, 2.4)], 0.62, edge)
    canvas.stroke([(0, 0.4), (bend, 2.4)], 0.56, skin)
    if rng.random() < 0.6:
        start = rng.uniform(0.35, 0.8)
        cuff = (bend * start, 0.4 + 2.0 * start * 0.8)
        canvas.stroke([cuff, (bend, 2.4)], 0.75, any_colour(rng))


def _finger(
    canvas: Canvas, base: Point, angle: float, length: float, width: float, skin: Colour, edge: Colour, rng: Generator
) -> None:
    bend = rng.uniform(-0.12, 0.12)
    joint = (base[0] + math.sin(angle) * length * 0.5, base[1] - math.cos(angle) * length * 0.5)
    tip = (joint[0] + math.sin(angle + bend) * length * 0.5, joint[1] - math.cos(angle + bend) * length * 0.5)
    canvas.stroke([base, joint, tip], width + 0.06, edge)
    canvas.stroke([base, joint, tip], width, skin)
    canvas.stroke([(joint[0] - 0.05, joint[1]), (joint[0] + 0.05, joint[1])], 0.03, edge)


def _folded(
    canvas: Canvas, stretched: tuple[bool, ...], skin: Colour, edge: Colour, from_behind: bool, width: float
) -> None:
    for (x, y), straight in zip(KNUCKLES, stretched, strict=True):
        if straight:
            continue
        if from_behind:
            canvas.ellipse((x, y - 0.06), (width * 0.55, width * 0.5), shade(skin, 1.05))
        else:
            canvas.stroke([(x, y), (x, y + 0.36)], width + 0.06, edge)
            canvas.stroke([(x, y), (x, y + 0.36)], width, shade(skin, 1.03))
