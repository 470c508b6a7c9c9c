"""Draw in object coordinates: every shape goes through one affine pose to Pillow.

Object coordinates: x to the right, y down, an object fills about [-1, 1] in both.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

CIRCLE = np.array([(math.cos(turn * math.tau / 24), math.sin(turn * math.tau / 24)) for turn in range(24)])  # (24, 2)

# Catmull-Rom weights of four neighbouring points at a quarter, half, ... of the way between the middle two: (4, 4).
SPLINE = np.array(
    [
        [(-t + 2 * t**2 - t**3) / 2, (2 - 5 * t**2 + 3 * t**3) / 2, (t + 4 * t**2 - 3 * t**3) / 2, (t**3 - t**2) / 2]
        for t in (0.0, 0.25, 0.5, 0.75)
    ]
)


@dataclass(frozen=True)
class Pose:
    """The place of an object in the image."""

    x: float  # pixels from the left edge to the object's origin
    y: float  # from the top edge
    scale: float  # pixels per object unit
    angle: float = 0.0  # radians, clockwise on the screen; 0 is upright
    shear: float = 0.0  # x grows by `shear` for every unit of y
    mirrored: bool = False  # left and right are swapped

    def matrix(self) -> NDArray[np.float64]:
        """Return the (2, 2) matrix that takes object coordinates to pixels, without the shift."""
        cos, sin = math.cos(self.angle) * self.scale, math.sin(self.angle) * self.scale
        side = -1.0 if self.mirrored else 1.0
        return np.array([[cos * side, cos * self.shear - sin], [sin * side, sin * self.shear + cos]])


class Canvas:
    """Draws on `image` through `pose`; `outline` is put around polygons, ellipses and blobs unless None."""

    def __init__(self, image: Image.Image, pose: Pose, outline: Colour | None = None) -> None:
        self.image = image
        self.pose = pose
        self.outline = outline
        self._draw = ImageDraw.Draw(image)
        self._matrix = pose.matrix()

    def moved(self, offset: Point, scale: float = 1.0, angle: float = 0.0) -> "Canvas":
        """Return a canvas on the same image, its origin at `offset`, scaled and turned (radians) against this one."""
        x, y = self._matrix @ np.array(offset) + (self.pose.x, self.pose.y)
        turned = self.pose.angle + (-angle if self.pose.mirrored else angle)
        pose = replace(self.pose, x=float(x), y=float(y), scale=self.pose.scale * scale, angle=turned)
        return Canvas(self.image, pose, self.outline)

    def polygon(self, points: Sequence[Point] | NDArray[np.float64], fill: Colour) -> None:
        """Fill the polygon through `points` (n, 2)."""
        pixels = self._pixels(points)
        self._draw.polygon(pixels, fill=fill)
        if self.outline is not None:
            self._draw.line(pixels + pixels[:4], fill=self.outline, width=max(1, round(self.pose.scale * 0.05)))

    def ellipse(self, centre: Point, radii: Point, fill: Colour, angle: float = 0.0) -> None:
        """Fill an ellipse, turned by `angle` radians."""
        cos, sin = math.cos(angle), math.sin(angle)
        axes = np.array([[radii[0] * cos, radii[0] * sin], [-radii[1] * sin, radii[1] * cos]])
        self.polygon(CIRCLE @ axes + centre, fill)

    def blob(self, points: Sequence[Point], fill: Colour) -> None:
        """Fill the smooth closed curve through `points` (n, 2)."""
        corners = np.asarray(points, dtype=np.float64)
        window = np.stack([np.roll(corners, shift, axis=0) for shift in (1, 0, -1, -2)])  # (4, n, 2)
        self.polygon(np.einsum("tk,knc->ntc", SPLINE, window).reshape(-1, 2), fill)

    def stroke(self, points: Sequence[Point], width: float, fill: Colour) -> None:
        """Draw an open line with round ends; `width` in object units, at least one pixel."""
        pixels = self._pixels(points)
        thickness = max(1, round(width * self.pose.scale))
        self._draw.line(pixels, fill=fill, width=thickness, joint="curve" if thickness > 2 else None)
        if thickness > 2:
            radius = thickness / 2
            for x, y in (pixels[:2], pixels[-2:]):
                self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)

    def _pixels(self, points: Sequence[Point] | NDArray[np.float64]) -> list[float]:
        # Sixteenths of a pixel: the last bits of sines differ between processors, the images must not.
        pixels = np.asarray(points, dtype=np.float64) @ self._matrix.T + (self.pose.x, self.pose.y)
        flat: list[float] = (np.round(pixels * 16) / 16).ravel().tolist()
        return flat
