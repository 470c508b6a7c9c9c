"""Reliability diagrams on test images, a panel per variant."""

from statistics import fmean
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes

from convnet.report.chart import Chart, Numbers, of_one_dataset, shares_text
from convnet.report.drawing import COLUMNS, panels, percent_axis
from convnet.report.style import GREY, STYLE, WIDTH, Style, label
from convnet.report.tables import by_variant, reliability_table
from convnet.system.formats import percent
from convnet.system.language import tr


def pooled(bins: pd.DataFrame) -> pd.DataFrame:
    """Return the bins of all seeds together, ascending: n is the sum, confidence and accuracy are means by n."""
    means = ["confidence", "accuracy"]
    weighted = bins.assign(**{name: bins[name] * bins["n"] for name in means})
    total = weighted.groupby(["lower", "upper"], as_index=False)[["n", *means]].sum()
    return total.assign(**{name: total[name] / total["n"] for name in means})


def plot_reliability(ax: Axes, bins: pd.DataFrame, style: Style) -> None:
    """Draw a reliability diagram (Guo et al. 2017): accuracy against confidence; the diagonal is perfect calibration.

    The area of a marker grows with n. The bins are ascending; none of them is empty.
    """
    ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1.0)
    ax.plot(bins["confidence"], bins["accuracy"], color=style.colour, linewidth=1.2)
    areas = 15 + 85 * bins["n"] / bins["n"].max()
    # Not clipped, because the marker of the highest confidence is on the edge.
    look: dict[str, Any] = {"color": style.colour, "marker": style.marker, "zorder": 3, "clip_on": False}
    ax.scatter(bins["confidence"], bins["accuracy"], s=areas, **look)
    ax.set(xlim=(0, 1.03), ylim=(0, 1.03), aspect="equal")
    for axis in (ax.xaxis, ax.yaxis):
        percent_axis(axis)
        axis.set_ticks([0, 0.5, 1])


@matplotlib.rc_context(STYLE)
def charts(numbers: Numbers) -> list[Chart]:
    """Return a reliability diagram per variant, the test images of all seeds pooled."""
    table = of_one_dataset(reliability_table(numbers.evaluations))
    errors = {e.variant: fmean(run.splits["test"].calibration_error for run in e.seeds) for e in numbers.evaluations}
    figure, axes = panels(len(errors), height=WIDTH / COLUMNS)
    for ax, (variant, bins) in zip(axes, by_variant(table).items(), strict=True):
        plot_reliability(ax, pooled(bins), numbers.styles[variant])
        ax.set_title(f"{label(variant, 28)}\n{tr('calibration error')} {percent(errors[variant])}")
        ax.set(xlabel=tr("confidence"), ylabel=tr("accuracy"))
    return [
        Chart(
            "reliability",
            "mistakes",
            numbers.title(tr("Reliability on test images")),
            shares_text(tr("Expected calibration error on test images"), errors),
            tr(
                "Does the confidence match the accuracy? Markers below the diagonal are overconfident. Their area is "
                "the number of images. Seeds are pooled."
            ),
            table,
            figure,
        )
    ]
