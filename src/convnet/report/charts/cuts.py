"""The accuracy of a logistic regression at several cuts of the backbone."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes

from convnet.comparison.statistics import wilson_interval
from convnet.report.chart import Chart, shares_text
from convnet.report.drawing import percent_axis
from convnet.report.style import GREY, STYLE, WIDTH, label, new_figure, title
from convnet.system.formats import percent
from convnet.system.language import tr

CUT, OTHER = "#0072B2", GREY


def cuts_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row per layer, with Wilson's interval over the validation images."""
    return pd.DataFrame(
        {
            "layer": row["layer"],
            "height": row["shape"][0],
            "width": row["shape"][1],
            "channels": row["shape"][2],
            "accuracy": row["accuracy"],
            "interval_low": wilson_interval(row["accuracy"], row["n"]).lower,
            "interval_high": wilson_interval(row["accuracy"], row["n"]).upper,
            "cut": tr("yes") if row["cut"] else tr("no"),
        }
        for row in rows
    )


def plot_cuts(ax: Axes, table: pd.DataFrame) -> None:
    """Draw a row per layer: its accuracy, the interval, and the number on the right."""
    for place, row in enumerate(table.to_dict("records")):
        colour = CUT if row["cut"] == tr("yes") else OTHER
        ax.plot([row["interval_low"], row["interval_high"]], [place, place], color=colour, linewidth=2.5)
        ax.plot(row["accuracy"], place, color=colour, marker="s" if row["cut"] == tr("yes") else "o", linestyle="none")
    names = [
        f"{label(row['layer'], 24)}{tr(' (cut)') if row['cut'] == tr('yes') else ''}\n"
        f"{row['height']} × {row['width']} × {row['channels']}"  # noqa: RUF001
        for row in table.to_dict("records")
    ]
    ax.set_yticks(range(len(table)), names)
    ax.set_ylim(len(table) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    percent_axis(ax.xaxis)
    numbers = ax.secondary_yaxis("right")
    numbers.set_yticks(range(len(table)), [percent(share) for share in table["accuracy"]])
    numbers.tick_params(length=0)
    numbers.spines["right"].set_visible(False)


@matplotlib.rc_context(STYLE)
def cuts_chart(rows: Sequence[Mapping[str, Any]], backbone: str, dataset: Mapping[str, Any]) -> Chart:
    """Return the chart of the cuts of a backbone, from the image to the end."""
    table = cuts_table(rows)
    figure = new_figure(WIDTH, 1.4 + 0.5 * len(table))
    ax = figure.add_subplot()
    plot_cuts(ax, table)
    ax.set_xlabel(tr("accuracy on {count:,} validation images, with its 95 % interval", count=rows[0]["n"]))
    return Chart(
        "cuts",
        "transfer",
        title(tr("Cuts of the backbone {backbone}", backbone=backbone), dataset["dataset"], dataset["kind"]),
        shares_text(tr("Accuracy by the last layer used"), dict(zip(table["layer"], table["accuracy"], strict=True))),
        tr(
            "A logistic regression on the mean of each feature map, for several cuts of one backbone. The first layer "
            "is nearest to the image; below its name is the size of its maps. A head on all values may reach more. The "
            "interval counts the sample of validation images."
        ),
        table,
        figure,
    )
