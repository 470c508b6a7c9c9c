"""Training images beside their augmented draws, and one image under each knob."""

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from convnet.report.chart import Chart, Images
from convnet.report.drawing import TITLE_HEIGHT, show_image
from convnet.report.style import SMALL_POINTS, STYLE, WIDTH, label, new_figure, title
from convnet.system.language import tr

KNOB_COLUMNS = 7
OFF = " (off here)"  # behind the name of a knob that the study does not use


@matplotlib.rc_context(STYLE)
def knobs_chart(
    original: NDArray[np.uint8], drawn: Mapping[str, NDArray[np.uint8]], dataset: Mapping[str, Any]
) -> Chart:
    """Return one image, and the same image under each knob alone and under all together, by name."""
    images = {"original": original, **drawn}
    rows = -(-len(images) // KNOB_COLUMNS)
    height, width = original.shape[:2]
    figure = new_figure(WIDTH, (WIDTH / KNOB_COLUMNS * height / width + 0.25) * rows + TITLE_HEIGHT)
    for place, (name, image) in enumerate(images.items(), start=1):
        ax = figure.add_subplot(rows, KNOB_COLUMNS, place)
        show_image(ax, image)
        ax.set_title(label(_words(name), 26), fontsize=SMALL_POINTS)
    return Chart(
        "knobs",
        "augmentation",
        title(tr("Each knob of the augmentation alone"), dataset["dataset"], dataset["kind"]),
        tr(
            "A training image under {count} settings: {settings}.",
            count=len(drawn),
            settings=", ".join(map(_words, drawn)),
        ),
        tr(
            "One training image under each knob alone, under each way to fill the edges, and under all knobs together. "
            "Of several draws the one that changes most is shown. Does every image still show its class? A knob that "
            "changes the class harms."
        ),
        None,
        figure,
    )


def _words(name: str) -> str:
    """Return the words of a knob, such as `width_shift (off here)`."""
    knob = name.removesuffix(OFF)
    words = tr(knob.replace("_", " "))
    return words if knob == name else tr("{knob} (off here)", knob=words)


@matplotlib.rc_context(STYLE)
def augmentation_chart(originals: Images, draws: NDArray[np.uint8], dataset: Mapping[str, Any]) -> Chart:
    """Return a row per image: the original, then its draws (n, draws, height, width, 3)."""
    count, columns = draws.shape[0], draws.shape[1] + 1
    side = WIDTH / columns
    figure = new_figure(WIDTH, side * originals.shape[1] / originals.shape[2] * count + TITLE_HEIGHT + 0.3)
    for row in range(count):
        for column in range(columns):
            ax = figure.add_subplot(count, columns, row * columns + column + 1)
            show_image(ax, originals[row] if column == 0 else draws[row, column - 1])
            if row == 0:
                ax.set_title(
                    tr("original") if column == 0 else tr("draw {number}", number=column), fontsize=SMALL_POINTS
                )
    words = title(tr("Augmentation of training images"), dataset["dataset"], dataset["kind"])
    return Chart(
        "augmentation",
        "augmentation",
        words,
        tr("{images} training images and {draws} augmented draws of each.", images=count, draws=draws.shape[1]),
        tr(
            "A network that trains on pixels gets a new draw of every image in every epoch. On cached features the "
            "draws repeat after `augmented_views` epochs (params.yaml)."
        ),
        None,
        figure,
    )
