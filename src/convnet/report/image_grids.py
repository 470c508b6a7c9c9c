"""Figures of images: what a network is given, what it makes of them, and where it is most wrong.

Every function takes arrays, so the images may come from anywhere; class and file names are untrusted text.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from convnet.report.style import SMALL_POINTS, STYLE, WIDTH, label, new_figure, title
from convnet.report.tables import TopLoss

Images = NDArray[np.uint8]  # (n, height, width, 3)
Floats = NDArray[np.floating[Any]]

GALLERY_COLUMNS = 4
TILE_COLUMNS = 16
MOST_CHANNELS = 32  # of one layer; InceptionV3's mixed7 has 768
DEAD = (200, 200, 200)  # no colour of viridis
TITLE_HEIGHT = 0.6  # inches


@dataclass(frozen=True)
class Tiles:
    """The feature maps of one layer as one image."""

    picture: NDArray[np.uint8]  # (rows * (height + 1), columns * (width + 1), 3), white lines between the tiles
    shown: int
    channels: int
    dead: int  # channels that are the same everywhere


def standardise(channel: Floats) -> NDArray[np.uint8] | None:
    """Return a feature map (height, width) as grey values: (x - mean) / std * 64 + 128, clipped to 0..255.

    None if it is the same everywhere: it has no std to divide by. The rule is the course's.
    """
    values = np.asarray(channel, dtype=np.float64)
    deviation = values.std()
    if deviation <= 1e-12 * max(1.0, float(np.abs(values).max())):
        return None
    grey: NDArray[np.uint8] = np.clip((values - values.mean()) / deviation * 64 + 128, 0, 255).astype(np.uint8)
    return grey


def tile_channels(maps: Floats, most: int = MOST_CHANNELS) -> Tiles:
    """Return the feature maps of one layer in viridis, side by side; grey tiles are dead.

    Args:
        maps: (height, width, channels) for one image.
        most: of more channels, those with the highest mean activation are shown, dead ones last, in their own order.
    """
    height, width, channels = maps.shape
    tiles = [standardise(maps[:, :, i]) for i in range(channels)]
    activity = np.abs(np.asarray(maps, dtype=np.float64)).mean(axis=(0, 1))
    ranked = sorted(range(channels), key=lambda i: (tiles[i] is None, -activity[i], i))
    shown = sorted(ranked[:most])
    columns = min(TILE_COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    picture = np.full((rows * (height + 1), columns * (width + 1), 3), 255, dtype=np.uint8)
    viridis = (np.asarray(matplotlib.colormaps["viridis"](np.arange(256)))[:, :3] * 255).round().astype(np.uint8)
    for place, i in enumerate(shown):
        top, left = place // columns * (height + 1), place % columns * (width + 1)
        tile = tiles[i]
        picture[top : top + height, left : left + width] = DEAD if tile is None else viridis[tile]
    return Tiles(picture, len(shown), channels, sum(tile is None for tile in tiles))


@matplotlib.rc_context(STYLE)
def feature_maps_figure(
    image: NDArray[np.uint8],
    layers: Mapping[str, Floats],
    variant: str,
    dataset: Mapping[str, Any],
    most: int = MOST_CHANNELS,
) -> Figure:
    """Return the image and below it the feature maps of each layer.

    Args:
        image: (height, width, 3), what the network was given.
        layers: feature maps (height, width, channels) by layer name, in the order of the network.
        variant: whose network it is.
        dataset: anything with the keys dataset and images.
        most: channels of a layer that are shown.
    """
    tiled = {name: tile_channels(maps, most) for name, maps in layers.items()}
    heights = [1.5]
    for tiles in tiled.values():
        rows, columns = math.ceil(tiles.shown / TILE_COLUMNS), min(TILE_COLUMNS, tiles.shown)
        tall = tiles.picture.shape[0] / rows / (tiles.picture.shape[1] / columns)
        heights.append(0.45 * rows * tall + 0.3)
    figure = new_figure(WIDTH, sum(heights) + TITLE_HEIGHT)
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    ax = figure.add_subplot(grid[0])
    _show(ax, image)
    ax.set_title("the image")
    for row, (name, tiles) in enumerate(tiled.items(), start=1):
        ax = figure.add_subplot(grid[row])
        _show(ax, tiles.picture)
        ax.set_anchor("W")
        height, width = layers[name].shape[:2]
        text = f"{label(name, 40)}: {height} × {width}, {tiles.shown} of {tiles.channels} channels shown"  # noqa: RUF001
        ax.set_title(text + (f", {tiles.dead} dead" if tiles.dead else ""), loc="left", fontsize=SMALL_POINTS)
    figure.suptitle(label(title(f"Feature maps of {variant}", dataset), 80))
    return figure


@matplotlib.rc_context(STYLE)
def top_losses_figure(images: Images, worst: Sequence[TopLoss], variant: str, dataset: Mapping[str, Any]) -> Figure:
    """Return the test images a variant is most wrong about, worst first, each with what it says about it.

    Args:
        images: (n, height, width, 3), in the order of `worst`.
        worst: from `tables.top_losses`.
        variant: whose network it is.
        dataset: anything with the keys dataset and images.
    """
    figure, axes = _gallery(len(worst), captions=3)
    for ax, image, loss in zip(axes, images, worst, strict=True):
        _show(ax, image)
        lines = [
            f"true: {label(loss.true, 18)}",
            f"said: {label(loss.predicted, 12)} {100 * loss.probability:.0f} %",
            label(loss.member, 24),
        ]
        ax.set_title("\n".join(lines), fontsize=SMALL_POINTS, loc="left")
    figure.suptitle(label(title(f"Highest losses of {variant}", dataset), 80))
    return figure


@matplotlib.rc_context(STYLE)
def augmentation_figure(originals: Images, draws: NDArray[np.uint8], dataset: Mapping[str, Any]) -> Figure:
    """Return a row per image: the original, then how augmentation draws it anew.

    Args:
        originals: (n, height, width, 3).
        draws: (n, draws, height, width, 3).
        dataset: anything with the keys dataset and images.
    """
    count, columns = draws.shape[0], draws.shape[1] + 1
    side = WIDTH / columns
    figure = new_figure(WIDTH, side * originals.shape[1] / originals.shape[2] * count + TITLE_HEIGHT + 0.3)
    for row in range(count):
        for column in range(columns):
            ax = figure.add_subplot(count, columns, row * columns + column + 1)
            _show(ax, originals[row] if column == 0 else draws[row, column - 1])
            if row == 0:
                ax.set_title("original" if column == 0 else f"draw {column}", fontsize=SMALL_POINTS)
    figure.suptitle(label(title("Augmentation of training images", dataset), 80))
    return figure


@matplotlib.rc_context(STYLE)
def grad_cam_figure(
    images: Images, heatmaps: Floats, captions: Sequence[str], variant: str, dataset: Mapping[str, Any]
) -> Figure:
    """Return images under their Grad-CAM heat maps (Selvaraju et al. 2017), all on one colour scale.

    Args:
        images: (n, height, width, 3).
        heatmaps: (n, rows, columns), 0 or more, of any resolution; spread over the image bilinearly.
        captions: n texts.
        variant: whose network it is.
        dataset: anything with the keys dataset and images.
    """
    figure, axes = _gallery(2 * len(images), captions=1)
    highest = max(float(heatmaps.max()), 1e-12)
    height, width = images.shape[1:3]
    drawn = None
    for i, (image, heat, caption) in enumerate(zip(images, heatmaps, captions, strict=True)):
        _show(axes[2 * i], image)
        axes[2 * i].set_title(label(caption, 24), fontsize=SMALL_POINTS, loc="left")
        _show(axes[2 * i + 1], image)
        drawn = axes[2 * i + 1].imshow(
            heat,
            cmap="inferno",
            vmin=0.0,
            vmax=highest,
            alpha=0.55,
            interpolation="bilinear",
            extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        )
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=axes, shrink=0.6, pad=0.02)
        bar.set_label("Grad-CAM, one scale for all images")
    figure.suptitle(label(title(f"Where {variant} looks", dataset), 80))
    return figure


@matplotlib.rc_context(STYLE)
def filters_figure(kernels: Floats, layer: str, variant: str, dataset: Mapping[str, Any]) -> Figure:
    """Return the filters of the first layer as small images; grey is 0, and all share one scale.

    Args:
        kernels: (height, width, 3, filters).
        layer: its name.
        variant: whose network it is.
        dataset: anything with the keys dataset and images.
    """
    height, width, _, count = kernels.shape
    shown = min(count, 2 * MOST_CHANNELS)
    scale = max(float(np.abs(kernels).max()), 1e-12)
    columns = min(TILE_COLUMNS, shown)
    rows = math.ceil(shown / columns)
    picture = np.ones((rows * (height + 1), columns * (width + 1), 3))
    for i in range(shown):
        top, left = i // columns * (height + 1), i % columns * (width + 1)
        picture[top : top + height, left : left + width] = 0.5 + kernels[:, :, :, i] / (2 * scale)
    figure = new_figure(WIDTH, WIDTH / TILE_COLUMNS * rows + TITLE_HEIGHT + 0.3)
    ax = figure.add_subplot()
    _show(ax, picture)
    text = f"{label(layer, 40)}: {height} × {width}, {shown} of {count} filters, grey is 0"  # noqa: RUF001
    ax.set_title(text, fontsize=SMALL_POINTS, loc="left")
    figure.suptitle(label(title(f"Filters of the first layer of {variant}", dataset), 80))
    return figure


def _show(ax: Axes, image: NDArray[Any]) -> None:
    ax.imshow(image, interpolation="nearest" if max(image.shape[:2]) < 400 else "auto")
    ax.set_axis_off()


def _gallery(count: int, *, captions: int) -> tuple[Figure, list[Axes]]:
    """Return a figure of `count` places for images, with room for so many lines above each."""
    columns = min(GALLERY_COLUMNS, count)
    rows = math.ceil(count / columns)
    figure = new_figure(WIDTH, (WIDTH / GALLERY_COLUMNS + 0.17 * captions) * rows + TITLE_HEIGHT)
    return figure, [figure.add_subplot(rows, columns, i + 1) for i in range(count)]
