"""The filters of the first layer as small images."""

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np

from convnet.report.chart import Chart, Floats
from convnet.report.drawing import TILE_COLUMNS, TITLE_HEIGHT, show_image, tiled
from convnet.report.style import SMALL_POINTS, STYLE, WIDTH, label, network_words, new_figure, title
from convnet.system.language import tr

MOST_FILTERS = 64


@matplotlib.rc_context(STYLE)
def filters_chart(kernels: Floats, layer: str, variant: str, dataset: Mapping[str, Any]) -> Chart:
    """Return kernels (height, width, 3, filters) as images; grey is 0, and all share one scale."""
    height, width, _, count = kernels.shape
    shown = min(count, MOST_FILTERS)
    scale = max(float(np.abs(kernels).max()), 1e-12)
    image = tiled([0.5 + kernels[:, :, :, i] / (2 * scale) for i in range(shown)], 1.0)
    figure = new_figure(WIDTH, WIDTH / TILE_COLUMNS * -(-shown // TILE_COLUMNS) + TITLE_HEIGHT + 0.3)
    ax = figure.add_subplot()
    show_image(ax, image)
    text = tr(
        "{layer}: {size}, {shown} of {all} filters, grey is 0",
        layer=label(layer, 40),
        size=f"{height} × {width}",  # noqa: RUF001
        shown=shown,
        all=count,
    )
    ax.set_title(text, fontsize=SMALL_POINTS, loc="left")
    words = tr("Filters of the first layer of {variant}", variant=network_words(variant))
    return Chart(
        f"filters_{variant}",
        "see",
        title(words, dataset["dataset"], dataset["kind"]),
        tr("The {count} filters of {layer} as small colour images.", count=count, layer=layer),
        tr("Grey is 0. A filter reacts most to image patches that look like the filter. All share one scale."),
        None,
        figure,
    )
