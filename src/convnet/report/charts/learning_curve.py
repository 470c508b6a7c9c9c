"""Test accuracy and generalisation gap against the number of training images, with the power law of the error."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from convnet.evaluation.learning_curve import curve_sentence, predict_error
from convnet.report.chart import Chart, Numbers, shares_text
from convnet.report.drawing import PANEL_HEIGHT, Points, plot_points
from convnet.report.style import STYLE, WIDTH, Style, new_figure
from convnet.report.tables import clipped_interval
from convnet.system.language import mark, tr

BANDS = mark("Lines join means, dots are seeds, bands are Student's 95 % intervals of the means.")
POWER_LAW = mark("The dotted line is the fitted power law; its open marker is at twice the largest number of images.")


@dataclass(frozen=True)
class SizeCurve:
    """One variant of the size sweep."""

    accuracies: Points  # on test images, by number of training images, ascending
    gaps: Points  # accuracy on training less accuracy on validation images
    fit: tuple[float, float, float] | None  # a, b, c of the power law of the test error; None where it was refused
    sentence: str  # the gain from more images, or the reason why it is unknown

    def fitted(self, sizes: Sequence[float]) -> list[float]:
        """Return the accuracies that the power law gives for numbers of training images; NaN where it was refused."""
        if self.fit is None:
            return [math.nan] * len(sizes)
        return [1.0 - float(predict_error(np.array([self.fit]), size)[0]) for size in sizes]


def size_curves(sweep: Mapping[str, Any], rendered: bool) -> dict[str, SizeCurve]:
    """Return the curve of every variant of a size sweep, from `evaluation.learning_curve.summarise_sweep`."""
    curves = {}
    for variant, measured in sweep.items():
        points = pd.DataFrame(measured["points"]).sort_values("training_images", kind="stable")
        accuracies, gaps = (_by_size(points, name) for name in ("test_accuracy", "generalisation_gap"))
        law = measured["curve"]
        fit = None if law["refused"] else (law["a"], law["b"], law["c"])
        curves[variant] = SizeCurve(accuracies, gaps, fit, curve_sentence(law, rendered))
    return curves


def _by_size(points: pd.DataFrame, column: str) -> Points:
    found: dict[float, list[float]] = {}
    for size, value in points[["training_images", column]].to_numpy().tolist():
        found.setdefault(size, []).append(value)
    return found


def plot_bands(ax: Axes, lines: Mapping[str, Points], styles: Mapping[str, Style], lowest: float) -> None:
    """Draw Student's 95 % interval of each mean as a band, cut off at `lowest` and 1; one seed has none."""
    for name, points in lines.items():
        known = {size: seeds for size, seeds in points.items() if len(seeds) > 1}
        if known:
            lower, upper = np.array([clipped_interval(seeds, lowest) for seeds in known.values()]).T
            ax.fill_between(list(known), lower, upper, color=styles[name].colour, alpha=0.15, linewidth=0)


def plot_power_laws(ax: Axes, curves: Mapping[str, SizeCurve], styles: Mapping[str, Style]) -> None:
    """Draw the power laws that were accepted, up to twice the largest measured number of images."""
    for name, curve in curves.items():
        if curve.fit is not None:
            sizes = np.geomspace(min(curve.accuracies), 2 * max(curve.accuracies), 100).tolist()
            fitted = curve.fitted(sizes)
            # Dark and thin, so that it is visible on the line through the means.
            ax.plot(sizes, fitted, color="black", linewidth=1.0, linestyle=":", zorder=3)
            ax.plot(sizes[-1], fitted[-1], color=styles[name].colour, marker=styles[name].marker, fillstyle="none")


@matplotlib.rc_context(STYLE)
def charts(numbers: Numbers) -> list[Chart]:
    """Return the chart of the size sweep, or nothing where it was not run."""
    if not numbers.sweep:
        return []
    curves, styles = size_curves(numbers.sweep, numbers.evaluations[0].kind == "rendered"), numbers.styles
    figure = new_figure(WIDTH, 2 * PANEL_HEIGHT + 0.9)
    upper = figure.add_subplot(2, 1, 1)
    lower = figure.add_subplot(2, 1, 2, sharex=upper)
    accuracies = {name: curve.accuracies for name, curve in curves.items()}
    gaps = {name: curve.gaps for name, curve in curves.items()}
    for ax, lines, lowest in ((upper, accuracies, 0.0), (lower, gaps, -1.0)):
        plot_bands(ax, lines, styles, lowest)
        plot_points(ax, lines, styles)
    plot_power_laws(upper, curves, styles)
    upper.set_xscale("log")
    upper.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    upper.xaxis.set_minor_locator(NullLocator())
    upper.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    upper.set(ylabel=tr("test accuracy"))
    lower.set(xlabel=tr("training images (log scale)"), ylabel=tr("generalisation gap"))
    handles, names = upper.get_legend_handles_labels()
    fits = any(curve.fit for curve in curves.values())
    if fits:
        handles.append(Line2D([], [], color="black", linewidth=1.0, linestyle=":"))
        names.append(tr("power law"))
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    end = mark("{variant} with {count:,.0f} images")
    ends = {tr(end, variant=name, count=max(p)): fmean(p[max(p)]) for name, p in accuracies.items()}
    captions = [*(f"{name}: {curve.sentence}" for name, curve in curves.items()), tr(BANDS), *([tr(POWER_LAW)] * fits)]
    return [
        Chart(
            "training_size",
            "small",
            numbers.title(tr("Accuracy by number of training images")),
            shares_text(tr("Mean test accuracy"), ends),
            " ".join(captions),
            _table(curves),
            figure,
        )
    ]


def _table(curves: Mapping[str, SizeCurve]) -> pd.DataFrame:
    rows = []
    for name, curve in curves.items():
        for size, seeds in curve.accuracies.items():
            low, high = clipped_interval(seeds)
            rows.append(
                {
                    "variant": name,
                    "training_images": int(size),
                    "test_accuracy": fmean(seeds),
                    "interval_low": low,
                    "interval_high": high,
                    "power_law": curve.fitted([size])[0],
                    "generalisation_gap": fmean(curve.gaps[size]),
                }
            )
    return pd.DataFrame(rows)
