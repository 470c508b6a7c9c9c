"""Confusion matrices on test images, a panel per variant; of many classes the most confused pairs instead."""

from collections.abc import Sequence
from statistics import fmean

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from convnet.report.chart import Chart, Numbers, of_one_dataset, shares_text
from convnet.report.drawing import COLUMNS, panels
from convnet.report.style import SMALL_POINTS, STYLE, WIDTH, label, new_figure
from convnet.report.tables import by_variant, confusion_table
from convnet.system.language import mark, tr

MOST_WITH_SHARES = 6  # classes: smaller cells hold the count only
MOST_WITH_TEXT = 12  # classes: a matrix of more classes is not legible
PAIRS = 20  # shown of many classes


def plot_confusion(ax: Axes, counts: Sequence[Sequence[int]], classes: Sequence[str]) -> None:
    """Draw counts (classes, classes), rows true and columns predicted, coloured by the share of the row."""
    matrix = np.asarray(counts, dtype=np.int64)
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    ax.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    for (i, j), count in np.ndenumerate(matrix):
        text = f"{count}\n{100 * shares[i, j]:.0f} %" if len(classes) <= MOST_WITH_SHARES else f"{count}"
        ink = "white" if shares[i, j] > 0.55 else "black"
        ax.text(j, i, text, ha="center", va="center", color=ink, fontsize=SMALL_POINTS)
    names = [label(name, 14) for name in classes]
    ax.set_xticks(range(len(classes)), names, rotation=0 if max(map(len, names)) * len(names) < 24 else 90)
    ax.set_yticks(range(len(classes)), names)
    ax.set(xlabel=tr("predicted"), ylabel=tr("true"))
    ax.grid(visible=False)


@matplotlib.rc_context(STYLE)
def charts(numbers: Numbers) -> list[Chart]:
    """Return a confusion matrix per variant, counts summed over seeds; of many classes a chart of pairs per variant."""
    classes = numbers.evaluations[0].classes
    table = of_one_dataset(confusion_table(numbers.evaluations))
    if len(classes) > MOST_WITH_TEXT:
        return [_pairs_chart(numbers, variant, cells) for variant, cells in by_variant(table).items()]
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
            numbers.title(tr("Test images by true and predicted class")),
            shares_text(tr("Share of test images predicted as their true class"), shares),
            tr(
                "Rows are true classes, columns predicted ones. Counts are summed over seeds; percentages are of the "
                "row."
            ),
            table,
            figure,
        )
    ]


def most_confused(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs of classes with the most mistakes, the largest count first, then by name."""
    mistakes = cells[(cells["true"] != cells["predicted"]) & (cells["count"] > 0)]
    order = mistakes.sort_values(["count", "true", "predicted"], ascending=[False, True, True], ignore_index=True)
    return order[["true", "predicted", "count", "row_share"]][:PAIRS]


def _pairs_chart(numbers: Numbers, variant: str, cells: pd.DataFrame) -> Chart:
    pairs = most_confused(cells)
    figure = new_figure(WIDTH, 1.4 + 0.28 * max(len(pairs), 1))
    ax = figure.add_subplot()
    ax.barh(range(len(pairs)), pairs["count"], color=numbers.styles[variant].colour)
    rows = pairs.to_numpy().tolist()
    ax.set_yticks(range(len(pairs)), [f"{label(true, 24)} → {label(predicted, 24)}" for true, predicted, *_ in rows])
    for place, (_, _, count, share) in enumerate(rows):
        ax.text(count, place, f" {count}, {100 * share:.0f} %", va="center", fontsize=SMALL_POINTS)
    ax.set_ylim(len(pairs) - 0.4, -0.6)
    ax.set_xlim(0, 1.15 * max(pairs["count"].max() if len(pairs) else 0, 1))
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    ax.set_xlabel(tr("test images, summed over seeds"))
    ax.grid(axis="y", visible=False)
    taken = mark("{true} taken for {predicted} {count} times")
    named = "; ".join(tr(taken, true=true, predicted=guess, count=count) for true, guess, count, _ in rows[:4])
    return Chart(
        f"confusion_{variant}",
        "mistakes",
        numbers.title(tr("Most confused classes of {variant}", variant=variant)),
        tr(
            "The {count} pairs of classes that {variant} confuses most: {pairs}.",
            count=len(rows),
            variant=variant,
            pairs=named,
        ),
        tr(
            "The true class is left of the arrow, the predicted one right of it. The share is of all test images of "
            "the true class. All pairs are in reports/tables/confusion.csv."
        ),
        pairs,
        figure,
    )
