"""Confusion matrices on test images, a panel per variant."""

from collections.abc import Sequence
from statistics import fmean

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from convnet.report.chart import Chart, Numbers, of_one_dataset, shares_text
from convnet.report.drawing import COLUMNS, panels
from convnet.report.style import SMALL_POINTS, STYLE, WIDTH, label
from convnet.report.tables import by_variant, confusion_table

MOST_WITH_SHARES = 6  # classes: smaller cells hold the count only
MOST_WITH_TEXT = 12  # classes: still smaller cells hold no legible text


def plot_confusion(ax: Axes, counts: Sequence[Sequence[int]], classes: Sequence[str]) -> None:
    """Draw counts (classes, classes), rows true and columns predicted, coloured by the share of the row."""
    matrix = np.asarray(counts, dtype=np.int64)
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    ax.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    if len(classes) <= MOST_WITH_TEXT:
        for (i, j), count in np.ndenumerate(matrix):
            text = f"{count}\n{100 * shares[i, j]:.0f} %" if len(classes) <= MOST_WITH_SHARES else f"{count}"
            ink = "white" if shares[i, j] > 0.55 else "black"
            ax.text(j, i, text, ha="center", va="center", color=ink, fontsize=SMALL_POINTS)
    names = [label(name, 14) for name in classes]
    ax.set_xticks(range(len(classes)), names, rotation=0 if max(map(len, names)) * len(names) < 24 else 90)
    ax.set_yticks(range(len(classes)), names)
    ax.set(xlabel="predicted", ylabel="true")
    ax.grid(visible=False)


@matplotlib.rc_context(STYLE)
def charts(numbers: Numbers) -> list[Chart]:
    """Return a confusion matrix per variant, counts summed over seeds."""
    classes = numbers.evaluations[0].classes
    table = of_one_dataset(confusion_table(numbers.evaluations))
    columns = COLUMNS if len(classes) <= 4 else 2 if len(classes) <= 7 else 1
    figure, axes = panels(len(numbers.evaluations), columns=columns, height=WIDTH / columns * 0.95)
    for ax, (variant, cells) in zip(axes, by_variant(table).items(), strict=True):
        plot_confusion(ax, cells["count"].to_numpy().reshape(len(classes), len(classes)).tolist(), classes)
        ax.set_title(label(variant, 28))
    shares = {e.variant: fmean(run.splits["test"].accuracy for run in e.seeds) for e in numbers.evaluations}
    return [
        Chart(
            "confusion",
            "mistakes",
            numbers.title("Test images by true and predicted class"),
            shares_text("Share of test images predicted as their true class", shares),
            "Rows are true classes, columns predicted ones. Counts are summed over seeds; percentages are of the row.",
            table,
            figure,
        )
    ]
