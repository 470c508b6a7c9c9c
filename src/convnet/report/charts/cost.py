"""Test accuracy against seconds of training."""

from collections.abc import Mapping
from statistics import fmean

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from convnet.report.chart import Chart, Numbers
from convnet.report.drawing import percent_axis
from convnet.report.style import STYLE, WIDTH, Style, label, new_figure
from convnet.report.tables import seconds_per_seed
from convnet.system.formats import percent
from convnet.system.language import mark, tr


def cost_points(numbers: Numbers) -> pd.DataFrame:
    """Return a row per variant: mean seconds of training per seed, and mean test accuracy."""
    seconds = seconds_per_seed(numbers.evaluations)
    return pd.DataFrame(
        {
            "variant": e.variant,
            "seconds_per_seed": seconds[e.variant],
            "test_accuracy": fmean(run.splits["test"].accuracy for run in e.seeds),
        }
        for e in numbers.evaluations
    )


def plot_cost(ax: Axes, points: pd.DataFrame, styles: Mapping[str, Style]) -> None:
    """Draw accuracy against seconds (log scale), a marker per row of `cost_points`."""
    for name, seconds, accuracy in points.to_numpy().tolist():
        look = styles[name]
        ax.plot(
            max(seconds, 1e-3),
            accuracy,
            color=look.colour,
            marker=look.marker,
            markersize=9,
            linestyle="none",
            label=label(name, 28),
        )
    ax.set_xscale("log")
    low, high = points["seconds_per_seed"].clip(lower=1e-3).agg(["min", "max"])
    ax.set_xlim(low / 1.6, high * 1.6)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    percent_axis(ax.yaxis, decimals=1 if points["test_accuracy"].max() - points["test_accuracy"].min() < 0.05 else 0)
    ax.set(xlabel=tr("seconds of training per seed (log scale)"), ylabel=tr("test accuracy"))


@matplotlib.rc_context(STYLE)
def charts(numbers: Numbers) -> list[Chart]:
    """Return the chart of cost against accuracy, or nothing for a single variant."""
    if len(numbers.evaluations) == 1:
        return []
    points = cost_points(numbers)
    figure = new_figure(WIDTH, 4.0)
    ax = figure.add_subplot()
    plot_cost(ax, points, numbers.styles)
    figure.legend(loc="outside lower center", ncols=3)
    end = mark("{variant} {accuracy} in {seconds:.3g} s")
    rows = points.to_numpy().tolist()
    ends = [tr(end, variant=name, accuracy=percent(share), seconds=seconds) for name, seconds, share in rows]
    return [
        Chart(
            "cost",
            "cost",
            numbers.title(tr("Cost against accuracy")),
            tr("Mean test accuracy and seconds of training per seed: {list}.", list=", ".join(ends)),
            tr(
                "Up and to the left is better. The seconds were measured on the machine named below. Fine-tuning "
                "includes the training that it starts from. The pass of the backbone over all images is not included, "
                "because the transfer variants share it."
            ),
            points,
            figure,
        )
    ]
