"""One image and its feature maps in the layers of a network."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from convnet.report.chart import Chart, Floats
from convnet.report.drawing import TILE_COLUMNS, TITLE_HEIGHT, show_image, tiled
from convnet.report.style import SMALL_POINTS, STYLE, WIDTH, label, network_words, new_figure, title
from convnet.system.language import tr

MOST_CHANNELS = 32  # of one layer; InceptionV3's mixed7 has 768
DEAD = (200, 200, 200)  # no colour of viridis


@dataclass(frozen=True)
class Tiles:
    """The feature maps of one layer as one image."""

    image: NDArray[np.uint8]  # (rows * (height + 1), columns * (width + 1), 3), white lines between the tiles
    shown: int
    channels: int
    dead: int  # channels that have the same value everywhere


def standardise(channel: Floats) -> NDArray[np.uint8] | None:
    """Return a feature map (height, width) as grey values: (x - mean) / std * 64 + 128, clipped to 0..255.

    A map with the same value everywhere has no std and gives None. The rule is the course's.
    """
    values = np.asarray(channel, dtype=np.float64)
    deviation = values.std()
    if deviation <= 1e-12 * max(1.0, float(np.abs(values).max())):
        return None
    grey: NDArray[np.uint8] = np.clip((values - values.mean()) / deviation * 64 + 128, 0, 255).astype(np.uint8)
    return grey


def tile_channels(maps: Floats, most: int = MOST_CHANNELS) -> Tiles:
    """Return feature maps (height, width, channels) in viridis, side by side; grey tiles are dead.

    Of more than `most` channels, those with the highest mean activation are shown, dead ones last.
    """
    height, width, channels = maps.shape
    grey = [standardise(maps[:, :, i]) for i in range(channels)]
    activity = np.abs(np.asarray(maps, dtype=np.float64)).mean(axis=(0, 1))
    ranked = sorted(range(channels), key=lambda i: (grey[i] is None, -activity[i], i))
    shown = sorted(ranked[:most])
    viridis = (np.asarray(matplotlib.colormaps["viridis"](np.arange(256)))[:, :3] * 255).round().astype(np.uint8)
    dead = np.full((height, width, 3), DEAD, dtype=np.uint8)
    tiles = [dead if (tile := grey[i]) is None else viridis[tile] for i in shown]
    return Tiles(tiled(tiles, 255), len(shown), channels, sum(tile is None for tile in grey))


@matplotlib.rc_context(STYLE)
def feature_maps_chart(
    image: NDArray[np.uint8],
    layers: Mapping[str, Floats],
    variant: str,
    dataset: Mapping[str, Any],
    most: int = MOST_CHANNELS,
) -> Chart:
    """Return the image (height, width, 3) and below it the feature maps (height, width, channels) of each layer."""
    tiles = {name: tile_channels(maps, most) for name, maps in layers.items()}
    heights = [1.5]
    for of_layer, maps in zip(tiles.values(), layers.values(), strict=True):
        rows = math.ceil(of_layer.shown / TILE_COLUMNS)
        heights.append(0.45 * rows * (maps.shape[0] + 1) / (maps.shape[1] + 1) + 0.3)
    figure = new_figure(WIDTH, sum(heights) + TITLE_HEIGHT)
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    ax = figure.add_subplot(grid[0])
    show_image(ax, image)
    ax.set_title(tr("the image"))
    for row, (name, of_layer) in enumerate(tiles.items(), start=1):
        ax = figure.add_subplot(grid[row])
        show_image(ax, of_layer.image)
        ax.set_anchor("W")
        text = tr(
            "{layer}: {size}, {shown} of {all} channels shown",
            layer=label(name, 40),
            size=" × ".join(map(str, layers[name].shape[:2])),  # noqa: RUF001
            shown=of_layer.shown,
            all=of_layer.channels,
        )
        dead = tr(", {count} dead", count=of_layer.dead) if of_layer.dead else ""
        ax.set_title(text + dead, loc="left", fontsize=SMALL_POINTS)
    words = title(tr("Feature maps of {variant}", variant=network_words(variant)), dataset["dataset"], dataset["kind"])
    return Chart(
        f"feature_maps_{variant}",
        "see",
        words,
        tr(
            "One image and its feature maps in {count} layers of {variant}, from {first} on. The maps get smaller and "
            "more abstract.",
            count=len(layers),
            variant=network_words(variant),
            first=next(iter(layers)),
        ),
        tr(
            "Each tile is a channel, standardised on its own: colours show where it reacts, not how strongly. A grey "
            "tile is dead: it has the same value everywhere. Of wide layers the most active channels are shown."
        ),
        pd.DataFrame(
            {"layer": name, "channels": t.channels, "shown": t.shown, "dead": t.dead} for name, t in tiles.items()
        ),
        figure,
    )
