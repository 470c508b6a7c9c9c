"""Training images before and after a remedy that changes them."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

from convnet.report.chart import Chart, Images
from convnet.report.drawing import TITLE_HEIGHT, show_image
from convnet.report.style import SMALL_POINTS, STYLE, label, new_figure, title
from convnet.system.language import tr

SIDE = 1.5  # inches, of an image
LONGEST = 18  # characters above an image


@matplotlib.rc_context(STYLE)
def remedy_chart(
    remedy: str,
    sentence: str,
    variant: str,
    rows: Mapping[str, tuple[Images, Sequence[str]]],
    dataset: Mapping[str, Any],
) -> Chart:
    """Return the chart of one remedy.

    Args:
        remedy: its name.
        sentence: what it does.
        variant: the variant whose settings are drawn.
        rows: by name, images (n, height, width, 3) and the label of each; the originals first.
        dataset: its `dataset` and `kind`.
    """
    originals = next(iter(rows.values()))[0]
    count, height, width = originals.shape[:3]
    lines = 1 + max(text.count("\n") for _, texts in rows.values() for text in texts)
    row_height = SIDE * height / width + 0.17 * lines + 0.05
    figure = new_figure(SIDE * count + 0.9, row_height * len(rows) + TITLE_HEIGHT)
    for row, (name, (images, texts)) in enumerate(rows.items()):
        for column, (image, text) in enumerate(zip(images, texts, strict=True)):
            ax = figure.add_subplot(len(rows), count, row * count + column + 1)
            show_image(ax, image)
            ax.set_title("\n".join(label(line, LONGEST) for line in text.split("\n")), fontsize=SMALL_POINTS)
            if column == 0:
                ax.text(-0.06, 0.5, name, transform=ax.transAxes, rotation=90, ha="right", va="center")
    words = remedy.replace("_", " ")
    return Chart(
        f"remedy_{remedy}",
        "variants",
        title(tr("Training images with {remedy}", remedy=words), dataset["dataset"], dataset["kind"]),
        tr(
            "{count} training images, and the same images as {remedy} changes them in {epochs} epochs.",
            count=count,
            remedy=words,
            epochs=len(rows) - 1,
        ),
        tr(
            "{sentence} The settings are those of {variant}. Every epoch draws new changes.",
            sentence=sentence,
            variant=variant,
        ),
        None,
        figure,
    )
