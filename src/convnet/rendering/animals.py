"""Draw animals from the front: a species is a row of proportions; coat, pose and markings are common to all."""

from dataclasses import dataclass

from numpy.random import Generator

from convnet.rendering.canvas import Canvas, Colour
from convnet.rendering.colours import COATS, add_texture, hsv, near, shade

Range = tuple[float, float]


@dataclass(frozen=True)
class Species:
    """The proportions of one animal; lengths in head radii."""

    ears: tuple[str, ...]  # kinds, equally likely: pricked, folded, floppy, round, long, huge
    muzzle_width: Range  # half width and half height
    muzzle_height: Range
    nose: Range  # half width
    slit_pupils: bool = False
    whiskers: float = 0.0  # probability; so is `tongue`
    tongue: float = 0.0
    tail: float = 0.2  # width; a thin tail is long
    disc_nose: bool = False  # the muzzle is one flat disc with two nostrils


CAT = Species(
    ("pricked",) * 4 + ("folded",), (0.28, 0.42), (0.20, 0.28), (0.09, 0.14), slit_pupils=True, whiskers=0.8, tail=0.16
)
DOG = Species(
    ("floppy",) * 4 + ("folded", "pricked"),
    (0.36, 0.52), (0.34, 0.48), (0.15, 0.22), whiskers=0.1, tongue=0.4, tail=0.24,
)  # fmt: skip
BEAR = Species(("round",), (0.40, 0.52), (0.30, 0.40), (0.14, 0.2), tongue=0.2, tail=0.3)
RABBIT = Species(("long",), (0.26, 0.4), (0.2, 0.28), (0.08, 0.12), whiskers=0.6, tail=0.35)
PIG = Species(("folded", "pricked", "floppy"), (0.34, 0.46), (0.24, 0.34), (0.2, 0.26), tail=0.08, disc_nose=True)
MOUSE = Species(("huge",), (0.2, 0.3), (0.28, 0.4), (0.1, 0.15), whiskers=0.8, tail=0.08)


def draw_animal(canvas: Canvas, species: Species, rng: Generator) -> None:
    """Draw one animal of `species` on the RGBA image of `canvas`: the head, and a sitting body one time in four."""
    coat = near(COATS, rng)
    second = near(COATS, rng) if rng.random() < 0.4 else shade(coat, rng.uniform(1.1, 1.5))
    canvas.outline = shade(coat, 0.45) if rng.random() < 0.9 else None
    sitting = rng.random() < 0.25
    if sitting:
        _body(canvas.moved((0.0, 0.35), 0.8), species, coat, second, rng)
    head = canvas.moved(
        (rng.uniform(-0.15, 0.15), -0.4) if sitting else (0.0, 0.1),
        rng.uniform(0.6, 0.7) if sitting else rng.uniform(0.75, 0.9),
        rng.uniform(-0.25, 0.25),
    )
    _head(head, species, coat, second, rng)


def _body(canvas: Canvas, species: Species, coat: Colour, second: Colour, rng: Generator) -> None:
    side = 1 if rng.random() < 0.5 else -1
    reach = rng.uniform(0.5, 0.8) + (0.2 - species.tail)
    lift = rng.uniform(-0.5, 0.3)
    canvas.stroke([(0.3 * side, 0.7), ((0.4 + reach) * side, 0.7), ((0.5 + reach) * side, lift)], species.tail, coat)
    width = rng.uniform(0.5, 0.68)
    canvas.blob([(0, -0.5), (width * 0.8, 0), (width, 0.7), (0, 0.95), (-width, 0.7), (-width * 0.8, 0)], coat)
    if rng.random() < 0.5:
        canvas.ellipse((0, 0.1), (width * 0.45, 0.45), second)
    for x in (-0.2, 0.2):
        canvas.stroke([(x, 0.2), (x * 1.1, 0.9)], 0.22, shade(coat, 0.85))
        canvas.ellipse((x * 1.2, 0.93), (0.17, 0.1), second)


def _head(canvas: Canvas, species: Species, coat: Colour, second: Colour, rng: Generator) -> None:
    kind = species.ears[int(rng.integers(len(species.ears)))]
    ear_coat = shade(coat, rng.uniform(0.5, 0.85))
    inner = hsv(0.98, 0.35, 0.75) if rng.random() < 0.6 else shade(coat, 0.7)
    ear = rng.uniform(0.85, 1.15)
    if kind != "floppy":
        _ears(canvas, kind, ear, ear_coat, inner)
    width, height = rng.uniform(0.82, 1.0), rng.uniform(0.78, 0.95)
    jaw = rng.uniform(0.6, 0.95)
    canvas.blob(
        [
            (0, -height), (width * 0.75, -height * 0.7), (width, 0), (width * jaw, height * 0.6),
            (0, height), (-width * jaw, height * 0.6), (-width, 0), (-width * 0.75, -height * 0.7),
        ],
        coat,
    )  # fmt: skip
    if kind == "floppy":
        _ears(canvas, kind, ear, ear_coat, inner)
    turn_x, turn_y = rng.uniform(-0.22, 0.22), rng.uniform(-0.1, 0.12)
    eye_x, eye_y = rng.uniform(0.34, 0.46), -0.15 + turn_y
    marking = rng.integers(4)
    outline, canvas.outline = canvas.outline, None
    if marking == 0:
        canvas.polygon([(turn_x - 0.1, -height * 0.9), (turn_x + 0.1, -height * 0.9), (turn_x * 1.5, 0.3)], second)
    elif marking == 1:
        canvas.ellipse((turn_x + eye_x, eye_y), (0.3, 0.34), second)
    add_texture(canvas.image, rng)
    canvas.outline = outline
    _muzzle(canvas, species, second if rng.random() < 0.6 else shade(coat, 1.15), turn_x * 1.5, 0.38 + turn_y, rng)
    iris = near(((0.12, 0.7, 0.8), (0.28, 0.5, 0.7), (0.57, 0.5, 0.8), (0.07, 0.7, 0.4)), rng)
    canvas.outline = (25, 20, 20)
    size = rng.uniform(0.13, 0.2)
    for side in (-1, 1):
        x = turn_x + side * eye_x
        canvas.ellipse((x, eye_y), (size, size * rng.uniform(0.75, 1.0)), iris, side * 0.2)
        pupil = (size * 0.28, size * 0.85) if species.slit_pupils else (size * 0.6, size * 0.6)
        canvas.ellipse((x, eye_y), pupil, (15, 12, 12))


def _ears(canvas: Canvas, kind: str, size: float, coat: Colour, inner: Colour) -> None:
    for s in (-1, 1):
        if kind == "pricked":
            canvas.polygon([(s * 0.2, -0.75), (s * 0.8, -0.75 - 0.7 * size), (s * 0.92, -0.25)], coat)
            canvas.polygon([(s * 0.38, -0.8), (s * 0.74, -0.72 - 0.5 * size), (s * 0.8, -0.5)], inner)
        elif kind == "folded":
            canvas.polygon([(s * 0.3, -0.75), (s * 0.75, -1.1), (s * 1.0, -0.4)], coat)
            canvas.polygon([(s * 0.4, -0.85), (s * (0.8 + 0.25 * size), -0.5), (s * 0.8, -1.05)], inner)
        elif kind == "floppy":
            ear = [(0.45, -0.8), (0.9, -0.7), (1.0 + 0.15 * size, 0.0), (1.0, 0.7 * size), (0.75, 0.3)]
            canvas.blob([(s * x, y) for x, y in ear], coat)
        elif kind == "long":
            canvas.ellipse((s * 0.4, -1.3), (0.22, 0.8 * size), coat, s * 0.2)
            canvas.ellipse((s * 0.4, -1.3), (0.1, 0.6 * size), inner, s * 0.2)
        else:
            radius = (0.36 if kind == "round" else 0.6) * size
            canvas.ellipse((s * 0.75, -0.75), (radius, radius), coat)
            canvas.ellipse((s * 0.75, -0.75), (radius * 0.55, radius * 0.55), inner)


def _muzzle(canvas: Canvas, species: Species, colour: Colour, x: float, y: float, rng: Generator) -> None:
    width, height = rng.uniform(*species.muzzle_width), rng.uniform(*species.muzzle_height)
    nose = rng.uniform(*species.nose)
    dark = (30, 25, 25) if rng.random() < 0.7 else hsv(0.98, 0.45, 0.6)
    if rng.random() < species.tongue:
        canvas.ellipse((x, y + height * 1.05), (width * 0.4, height * 0.5), hsv(0.97, 0.6, 0.85))
    if species.disc_nose:
        canvas.ellipse((x, y), (width, height), hsv(0.97, rng.uniform(0.2, 0.5), 0.85))
        for side in (-1, 1):
            canvas.ellipse((x + side * width * 0.4, y), (0.07, 0.12), dark)
        return
    canvas.ellipse((x, y), (width, height), colour)
    top = y - height * 0.55
    canvas.polygon([(x - nose, top - nose * 0.6), (x + nose, top - nose * 0.6), (x, top + nose * 0.8)], dark)
    canvas.stroke([(x, top), (x, y + height * 0.3)], 0.05, (30, 25, 25))
    for side in (-1, 1):
        canvas.stroke([(x, y + height * 0.3), (x + side * width * 0.6, y + height * 0.6)], 0.05, (30, 25, 25))
    if rng.random() < species.whiskers:
        pale = (235, 235, 235) if rng.random() < 0.5 else (40, 40, 40)
        for side in (-1, 1):
            for slope in (-0.15, 0.02, 0.2):
                canvas.stroke([(x + side * width * 0.7, y), (x + side * (width + 0.75), y + slope)], 0.02, pale)
