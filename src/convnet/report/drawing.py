"""Drawing that several charts share: panels, axes of percentages, dots and lines over seeds, images and tiles."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from convnet.report.style import WIDTH, Style, label, new_figure

PANEL_HEIGHT = 2.7  # inches, of one row of panels
COLUMNS = 3  # panels side by side
GALLERY_COLUMNS = 4
TILE_COLUMNS = 16
TITLE_HEIGHT = 0.6  # inches

Points = Mapping[float, Sequence[float]]  # of one variant: x -> shares, one per seed


def panels(
    count: int, *, columns: int = COLUMNS, height: float = PANEL_HEIGHT, share_y: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure with exactly `count` panels, none of them empty; 4 panels form 2 x 2."""
    columns = 2 if count == 4 and columns == 3 else min(columns, count)
    rows = math.ceil(count / columns)
    figure = new_figure(WIDTH if columns > 1 else WIDTH * 0.75, height * rows + 0.9)
    axes: list[Axes] = []
    for i in range(count):
        axes.append(figure.add_subplot(rows, columns, i + 1, sharey=axes[0] if axes and share_y else None))
    return figure, axes


def percent_axis(axis: Axis, decimals: int = 0) -> None:
    """Label shares as percentages; steps of 2.5 are avoided, because their labels would be rounded."""
    axis.set_major_locator(MaxNLocator("auto", steps=(1, 2, 5, 10)))
    axis.set_major_formatter(PercentFormatter(1.0, decimals=decimals, symbol=" %"))


def plot_dots(
    ax: Axes,
    values: Mapping[str, Sequence[float]],
    styles: Mapping[str, Style],
    intervals: Mapping[str, Sequence[float]],
) -> None:
    """Draw a row per variant: a dot per seed, the mean as a bar across, and its interval as a line.

    Values and intervals are shares or differences of shares. An interval that is NaN is not drawn.
    """
    for row, (name, seeds) in enumerate(values.items()):
        style = styles[name]
        ax.plot(intervals[name], [row, row], color=style.colour, linewidth=2.0, alpha=0.5, solid_capstyle="butt")
        if len(seeds) > 1:
            ax.plot([fmean(seeds)] * 2, [row - 0.28, row + 0.28], color=style.colour, linewidth=3.0)
        offsets = row + np.linspace(-0.14, 0.14, len(seeds)) if len(seeds) > 1 else [row]
        dots: dict[str, Any] = {
            "marker": style.marker,
            "markersize": 6,
            "markerfacecolor": "white",
            "markeredgecolor": style.colour,
        }
        ax.plot(list(seeds), list(offsets), linestyle="none", **dots)
    ax.set_yticks(range(len(values)), [label(name, 28) for name in values])
    ax.set_ylim(len(values) - 0.4, -0.6)
    percent_axis(ax.xaxis)
    ax.grid(axis="y", visible=False)


def plot_points(ax: Axes, lines: Mapping[str, Points], styles: Mapping[str, Style]) -> None:
    """Draw shares against a number: a line through the means of each variant, a dot per seed."""
    for name, points in lines.items():
        style = styles[name]
        means = [fmean(seeds) for seeds in points.values()]
        ax.plot(
            list(points), means, color=style.colour, linestyle=style.dash, marker=style.marker, label=label(name, 28)
        )
        dots = [(x, value) for x, seeds in points.items() if len(seeds) > 1 for value in seeds]
        if dots:
            ax.plot(*zip(*dots, strict=True), linestyle="none", marker=".", markersize=3, color=style.colour, alpha=0.6)
    low, high = ax.get_ylim()
    percent_axis(ax.yaxis, decimals=0 if high - low > 0.06 else 1)


def show_image(ax: Axes, image: NDArray[Any]) -> None:
    """Show an image (height, width, 3) without axes; small ones keep their pixels."""
    ax.imshow(image, interpolation="nearest" if max(image.shape[:2]) < 400 else "auto")
    ax.set_axis_off()


def gallery(count: int, *, lines: int) -> tuple[Figure, list[Axes]]:
    """Return a figure of `count` places for images, with room for so many lines of text above each."""
    columns = min(GALLERY_COLUMNS, count)
    rows = math.ceil(count / columns)
    figure = new_figure(WIDTH, (WIDTH / GALLERY_COLUMNS + 0.17 * lines) * rows + TITLE_HEIGHT)
    return figure, [figure.add_subplot(rows, columns, i + 1) for i in range(count)]


def tiled(tiles: Sequence[NDArray[Any]], background: float) -> NDArray[Any]:
    """Return tiles (height, width, 3) side by side, 16 in a row, each with a line of `background` below and right."""
    height, width = tiles[0].shape[:2]
    columns = min(TILE_COLUMNS, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    image = np.full((rows * (height + 1), columns * (width + 1), 3), background, dtype=tiles[0].dtype)
    for place, tile in enumerate(tiles):
        top, left = place // columns * (height + 1), place % columns * (width + 1)
        image[top : top + height, left : left + width] = tile
    return image
