"""Accuracy on perturbed validation images, a panel per perturbation."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from convnet.comparison.statistics import wilson_interval
from convnet.report.chart import Chart, Numbers, shares_text
from convnet.report.drawing import Points, panels, plot_points
from convnet.report.style import STYLE, Style, label
from convnet.system.language import mark, tr

APART = 0.08  # strengths, between the intervals of two variants


def curves(rows: Sequence[Mapping[str, Any]], split: str) -> dict[str, dict[str, Points]]:
    """Return perturbation -> variant -> strength -> accuracies of the seeds, each from the original (0) on."""
    own = [row for row in rows if row["split"] == split]
    originals = {row["variant"]: row["accuracy"] for row in own if row["strength"] == 0}
    found: dict[str, dict[str, dict[float, Sequence[float]]]] = {}
    for row in sorted(own, key=lambda row: row["strength"]):  # stable: perturbations and variants keep their order
        if row["strength"]:
            lines = found.setdefault(row["perturbation"], {})
            lines.setdefault(row["variant"], {0.0: originals[row["variant"]]})[row["strength"]] = row["accuracy"]
    return {name: dict(lines) for name, lines in found.items()}


def interval_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row per copy of the images and variant: the mean over seeds, with Wilson's interval over the images."""
    table = pd.DataFrame(rows)
    table["accuracy"] = table["accuracy"].map(fmean)
    ends = [wilson_interval(share, n) for share, n in zip(table["accuracy"], table["n"], strict=True)]
    return table.assign(interval_low=[end.lower for end in ends], interval_high=[end.upper for end in ends])


def plot_intervals(ax: Axes, table: pd.DataFrame, styles: Mapping[str, Style]) -> None:
    """Draw the interval of each variant at its greatest strength, side by side."""
    strongest = table[table["strength"] == table["strength"].max()]
    for place, row in enumerate(strongest.to_dict("records")):
        x = row["strength"] + APART * (place + 1)
        colour = styles[row["variant"]].colour
        ax.plot([x, x], [row["interval_low"], row["interval_high"]], color=colour, linewidth=1.5, alpha=0.6)


@matplotlib.rc_context(STYLE)
def charts(numbers: Numbers) -> list[Chart]:
    """Return accuracy against the strength of each perturbation, or nothing where it was not measured."""
    if not numbers.robustness:
        return []
    by_perturbation = curves(numbers.robustness, "validation")
    table = interval_table(numbers.robustness)
    figure, axes = panels(len(by_perturbation), share_y=True)
    for ax, (perturbation, lines) in zip(axes, by_perturbation.items(), strict=True):
        plot_points(ax, lines, numbers.styles)
        plot_intervals(ax, table[table["perturbation"] == perturbation], numbers.styles)
        ax.set_title(label(tr(perturbation), 28))
        ax.set(xlabel=tr("strength"), ylabel=tr("validation accuracy"))
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    end = mark("{kind} at strength {strength:g}, {variant}")
    ends = {
        tr(end, kind=tr(perturbation), strength=max(points), variant=variant): fmean(points[max(points)])
        for perturbation, lines in by_perturbation.items()
        for variant, points in lines.items()
    }
    columns = ["perturbation", "strength", "variant", "n", "accuracy", "interval_low", "interval_high"]
    return [
        Chart(
            "robustness",
            "augmentation",
            numbers.title(tr("Accuracy on perturbed validation images")),
            shares_text(tr("Validation accuracy at the greatest strength"), ends),
            tr(
                "The validation images, changed more and more; strength 0 is the original. Lines join means, dots are "
                "seeds. Lines on the right are 95 % intervals at the greatest strength; they count the sample of "
                "images. A variant that falls early has learnt a property of the images, not the object. A large "
                "backbone is measured at the greatest strength only."
            ),
            table.assign(perturbation=table["perturbation"].map(tr))[columns],
            figure,
        )
    ]
