"""Figures of numbers: each `plot_` function draws, on the axes it is given, numbers that were computed before."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, PercentFormatter

from convnet.comparison.statistics import t_interval
from convnet.evaluation.learning_curve import predict_error
from convnet.report import tables
from convnet.report.style import GREY, SMALL_POINTS, STYLE, WIDTH, Style, label, new_figure, title

PANEL_HEIGHT = 2.7  # inches, of one row of panels
COLUMNS = 3  # panels side by side
TRAIN, VALIDATION = "train", "validation"
FEW_EPOCHS = 5  # up to here each epoch has a marker: a line of one epoch would not be seen, a short one hardly


@dataclass(frozen=True)
class SeedCurve:
    """One seed's training, one number per epoch."""

    epochs: tuple[int, ...]
    train: tuple[float, ...]
    validation: tuple[float, ...]


# shares, one per seed, of one variant at one strength of a perturbation or at one training size
Point = tuple[float, Sequence[float]]


@dataclass(frozen=True)
class SizeCurve:
    """One variant of the size sweep."""

    accuracies: tuple[Point, ...]  # on test images, by number of training images, ascending
    gaps: tuple[Point, ...]  # accuracy on training less accuracy on validation images
    fit: tuple[float, float, float] | None  # a, b, c of the power law of the test error; None where it was refused
    sentence: str  # what more images would bring, or why that cannot be said

    @property
    def sizes(self) -> list[float]:
        """The numbers of training images."""
        return [size for size, _ in self.accuracies]

    def fitted(self, sizes: Sequence[float]) -> list[float]:
        """Return the accuracies that the power law gives for numbers of training images; it was not refused."""
        assert self.fit is not None
        return [1.0 - float(predict_error(np.array([self.fit]), size)[0]) for size in sizes]


def learning_curves(evaluation: tables.Evaluation, metric: str) -> list[SeedCurve]:
    """Return the curves of `metric` ("accuracy" or "loss"), one per seed."""
    curves = []
    for seed in [run["seed"] for run in evaluation["seeds"]]:
        rows = [row for row in evaluation["history"] if row["seed"] == seed]
        train, validation = (tuple(row[name] for row in rows) for name in (metric, f"validation_{metric}"))
        curves.append(SeedCurve(tuple(row["epoch"] for row in rows), train, validation))
    return curves


def mean_curve(curves: Sequence[SeedCurve]) -> SeedCurve:
    """Return the mean over seeds, as far as every seed was trained: beyond, a seed that stopped would bend it."""
    epochs = min((curve.epochs for curve in curves), key=len)
    train = np.mean([curve.train[: len(epochs)] for curve in curves], axis=0)
    validation = np.mean([curve.validation[: len(epochs)] for curve in curves], axis=0)
    return SeedCurve(epochs, tuple(train.tolist()), tuple(validation.tolist()))


def plot_learning_curves(ax: Axes, curves: Sequence[SeedCurve], style: Style) -> None:
    """Draw train (dashed, grey) and validation (solid, the variant's colour): seeds thin, their mean thick.

    Args:
        ax: one panel, for one variant.
        curves: one per seed.
        style: the variant's.
    """
    many = len(curves) > 1
    for curve in curves if many else ():
        ax.plot(curve.epochs, curve.train, color=GREY, linestyle="--", linewidth=0.7, alpha=0.45)
        ax.plot(curve.epochs, curve.validation, color=style.colour, linewidth=0.7, alpha=0.45)
    middle = mean_curve(curves)
    dot = style.marker if len(middle.epochs) <= FEW_EPOCHS else None
    ax.plot(middle.epochs, middle.train, color=GREY, linestyle="--", linewidth=2.0, marker=dot, label=TRAIN)
    ax.plot(middle.epochs, middle.validation, color=style.colour, linewidth=2.0, marker=dot, label=VALIDATION)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.grid(axis="x", visible=False)


def plot_dots(
    ax: Axes, values: Mapping[str, Sequence[float]], styles: Mapping[str, Style], lowest: float, highest: float
) -> None:
    """Draw a row per variant: a dot per seed, the mean as a bar across, and Student's 95 % interval of it.

    Args:
        ax: one panel.
        values: shares (0..1) or differences of shares, one per seed, by variant; the first variant comes on top.
        styles: by variant.
        lowest: the least value there can be; the interval is cut off there.
        highest: the greatest value there can be.
    """
    for row, (name, seeds) in enumerate(values.items()):
        style = styles[name]
        interval = t_interval(seeds)
        if interval is not None:
            ends = np.clip(interval, lowest, highest)
            ax.plot(ends, [row, row], color=style.colour, linewidth=2.0, alpha=0.5, solid_capstyle="butt")
            ax.plot([tables.mean(seeds)] * 2, [row - 0.28, row + 0.28], color=style.colour, linewidth=3.0)
        offsets = row + np.linspace(-0.14, 0.14, len(seeds)) if len(seeds) > 1 else [row]
        ax.plot(
            list(seeds),
            list(offsets),
            linestyle="none",
            marker=style.marker,
            markersize=6,
            markerfacecolor="white",
            markeredgecolor=style.colour,
        )
    ax.set_yticks(range(len(values)), [label(name, 28) for name in values])
    ax.set_ylim(len(values) - 0.4, -0.6)
    _percents(ax.xaxis)
    ax.grid(axis="y", visible=False)


def plot_confusion(ax: Axes, counts: Sequence[Sequence[int]], classes: Sequence[str]) -> None:
    """Draw a confusion matrix, rows true and columns predicted, coloured by the share of the row.

    Args:
        ax: one panel.
        counts: shape (classes, classes).
        classes: names, in the order of `counts`.
    """
    matrix = np.asarray(counts, dtype=np.int64)
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    ax.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    if len(classes) <= 12:  # more cells would not hold a legible text
        for (i, j), count in np.ndenumerate(matrix):
            text = f"{count}\n{100 * shares[i, j]:.0f} %" if len(classes) <= 6 else f"{count}"
            ink = "white" if shares[i, j] > 0.55 else "black"
            ax.text(j, i, text, ha="center", va="center", color=ink, fontsize=SMALL_POINTS)
    names = [label(name, 14) for name in classes]
    ax.set_xticks(range(len(classes)), names, rotation=0 if max(map(len, names)) * len(names) < 24 else 90)
    ax.set_yticks(range(len(classes)), names)
    ax.set(xlabel="predicted", ylabel="true")
    ax.grid(visible=False)


def plot_reliability(ax: Axes, bins: Sequence[Mapping[str, float]], style: Style) -> None:
    """Draw a reliability diagram (Guo et al. 2017): accuracy against confidence; the diagonal is perfect calibration.

    Args:
        ax: one panel.
        bins: with n, confidence and accuracy; the area of a marker grows with n. Empty bins are left out.
        style: the variant's.
    """
    full = sorted((part for part in bins if part["n"]), key=lambda part: part["confidence"])
    most = max(part["n"] for part in full)
    ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1.0)
    x, y = [part["confidence"] for part in full], [part["accuracy"] for part in full]
    ax.plot(x, y, color=style.colour, linewidth=1.2)
    areas = [15 + 85 * part["n"] / most for part in full]
    # Not clipped: the marker of the surest images lies on the edge.
    ax.scatter(x, y, s=areas, color=style.colour, marker=style.marker, zorder=3, clip_on=False)
    ax.set(xlim=(0, 1.03), ylim=(0, 1.03), aspect="equal")
    _percents(ax.xaxis)
    _percents(ax.yaxis)
    ax.set_xticks([0, 0.5, 1])
    ax.set_yticks([0, 0.5, 1])


def plot_cost(ax: Axes, points: Mapping[str, tuple[float, float]], styles: Mapping[str, Style]) -> None:
    """Draw accuracy against seconds (log scale), named where they lie; names that would meet are moved apart.

    Args:
        ax: the only axes of a figure whose limits are not changed afterwards.
        points: (seconds, accuracy 0..1) by variant.
        styles: by variant.
    """
    seconds = [max(x, 1e-3) for x, _ in points.values()]
    accuracies = [y for _, y in points.values()]
    for name, x, y in zip(points, seconds, accuracies, strict=True):
        ax.plot(x, y, color=styles[name].colour, marker=styles[name].marker, markersize=9, linestyle="none")
    ax.set_xscale("log")
    low, high = min(seconds), max(seconds)
    ax.set_xlim(low / 1.6, high * max(1.6, (high / low) ** 0.45))  # room for the names on the right
    order = sorted(points, key=lambda name: points[name][1])
    spread = max(max(accuracies) - min(accuracies), 0.02)
    heights = spread_apart([points[name][1] for name in order], least=0.09 * spread)
    ax.set_ylim(min(*accuracies, *heights) - 0.15 * spread, max(*accuracies, *heights) + 0.15 * spread)
    ax.xaxis.set_major_locator(FixedLocator(_round_seconds(*ax.get_xlim())))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    _percents(ax.yaxis, decimals=1 if spread < 0.05 else 0)
    for name, height in zip(order, heights, strict=True):
        x, y = points[name]
        ax.annotate(
            label(name, 28),
            xy=(x, y),
            xytext=(high * 1.12, height),
            va="center",
            fontsize=SMALL_POINTS,
            color="black",
            arrowprops={"arrowstyle": "-", "color": styles[name].colour, "linewidth": 0.8, "shrinkB": 6},
        )


def spread_apart(values: Sequence[float], least: float) -> list[float]:
    """Return ascending `values` moved as little as needed to lie at least `least` apart.

    Values that meet form a group around the mean of their wishes (pool adjacent violators, as in isotonic regression).
    """
    groups: list[list[float]] = []  # of wishes, each less its offset
    for i, value in enumerate(values):
        groups.append([value - i * least])
        while len(groups) > 1 and np.mean(groups[-2]) > np.mean(groups[-1]):
            last = groups.pop()
            groups[-1] += last
    levels = [float(np.mean(group)) for group in groups for _ in group]
    return [level + i * least for i, level in enumerate(levels)]


def plot_points(ax: Axes, lines: Mapping[str, Sequence[Point]], styles: Mapping[str, Style]) -> None:
    """Draw shares against a strength or a training size: a line through the means, a dot per seed.

    Args:
        ax: one panel.
        lines: by variant, points (x, shares of the seeds).
        styles: by variant.
    """
    for name, points in lines.items():
        style = styles[name]
        x = [point[0] for point in points]
        means = [tables.mean(point[1]) for point in points]
        ax.plot(x, means, color=style.colour, linestyle=style.dash, marker=style.marker, label=label(name, 28))
        dots = [(point[0], value) for point in points if len(point[1]) > 1 for value in point[1]]
        if dots:
            dot_x, dot_y = zip(*dots, strict=True)
            ax.plot(dot_x, dot_y, linestyle="none", marker=".", markersize=3, color=style.colour, alpha=0.6)
    low, high = ax.get_ylim()
    _percents(ax.yaxis, decimals=0 if high - low > 0.06 else 1)


def plot_bands(ax: Axes, lines: Mapping[str, Sequence[Point]], styles: Mapping[str, Style], lowest: float) -> None:
    """Draw Student's 95 % interval of each mean as a band; one seed has none.

    Args:
        ax: one panel.
        lines: by variant, points (x, shares of the seeds).
        styles: by variant.
        lowest: the least share there can be; the band is cut off there and at 1.
    """
    for name, points in lines.items():
        known = [(x, interval) for x, seeds in points if (interval := t_interval(seeds)) is not None]
        if known:
            lower, upper = np.clip([interval for _, interval in known], lowest, 1.0).T
            ax.fill_between([x for x, _ in known], lower, upper, color=styles[name].colour, alpha=0.15, linewidth=0)


def plot_power_laws(ax: Axes, curves: Mapping[str, SizeCurve], styles: Mapping[str, Style]) -> None:
    """Draw the power laws that were accepted, on to twice the largest measured number of images.

    Args:
        ax: one panel.
        curves: by variant.
        styles: by variant.
    """
    for name, curve in curves.items():
        if curve.fit is not None:
            sizes = np.geomspace(curve.sizes[0], 2 * curve.sizes[-1], 100).tolist()
            fitted = curve.fitted(sizes)
            # Dark and thin, so that it is seen on the line through the means.
            ax.plot(sizes, fitted, color="black", linewidth=1.0, linestyle=":", zorder=3)
            ax.plot(sizes[-1], fitted[-1], color=styles[name].colour, marker=styles[name].marker, fillstyle="none")


@matplotlib.rc_context(STYLE)
def curves_figure(evaluations: Sequence[tables.Evaluation], metric: str, styles: Mapping[str, Style]) -> Figure:
    """Return learning curves of `metric`, a panel per variant; each has its own epochs, all have the same height."""
    figure, axes = _panels(len(evaluations), share_y=True)
    for ax, evaluation in zip(axes, evaluations, strict=True):
        plot_learning_curves(ax, learning_curves(evaluation, metric), styles[evaluation["variant"]])
        ax.set_title(label(evaluation["variant"], 28))
        ax.set(xlabel="epoch", ylabel=metric)
    if metric == "accuracy":
        _percents(axes[0].yaxis)
    if metric == "loss":
        axes[0].set_ylim(bottom=0)
    handles = [Line2D([], [], color=GREY, linestyle="--", linewidth=2), Line2D([], [], color="black", linewidth=2)]
    names = [TRAIN, f"{VALIDATION} (in the variant's colour)"]
    figure.legend(handles, names, loc="outside lower center", ncols=2)
    figure.suptitle(label(title(f"{metric.capitalize()} per epoch", evaluations[0]), 80))
    return figure


@matplotlib.rc_context(STYLE)
def dots_figure(
    evaluations: Sequence[tables.Evaluation],
    values: Mapping[str, Sequence[float]],
    what: str,
    styles: Mapping[str, Style],
    lowest: float,
) -> Figure:
    """Return a row of dots per variant; `what` names the values, which lie between `lowest` and 1."""
    figure = new_figure(WIDTH, 1.3 + 0.42 * len(values))
    ax = figure.add_subplot()
    plot_dots(ax, values, styles, lowest, 1.0)
    if min(min(seeds) for seeds in values.values()) < 0:
        ax.axvline(0.0, color=GREY, linewidth=1.0)
    ax.set_xlabel(what)
    figure.suptitle(label(title(what.capitalize(), evaluations[0]), 80))
    return figure


@matplotlib.rc_context(STYLE)
def confusion_figure(evaluations: Sequence[tables.Evaluation]) -> Figure:
    """Return a confusion matrix per variant, counts summed over seeds."""
    classes = evaluations[0]["classes"]
    columns = COLUMNS if len(classes) <= 4 else 2 if len(classes) <= 7 else 1
    figure, axes = _panels(len(evaluations), columns=columns, height=WIDTH / columns * 0.95)
    for ax, evaluation in zip(axes, evaluations, strict=True):
        plot_confusion(ax, tables.summed_confusion(evaluation), classes)
        ax.set_title(label(evaluation["variant"], 28))
    figure.suptitle(label(title("Test images by true and predicted class", evaluations[0]), 80))
    return figure


@matplotlib.rc_context(STYLE)
def reliability_figure(evaluations: Sequence[tables.Evaluation], styles: Mapping[str, Style]) -> Figure:
    """Return a reliability diagram per variant, the test images of all seeds pooled."""
    figure, axes = _panels(len(evaluations), height=WIDTH / COLUMNS)
    for ax, evaluation in zip(axes, evaluations, strict=True):
        error = tables.mean(tables.split_values(evaluation, "test", "calibration_error"))
        plot_reliability(ax, pooled_reliability(evaluation), styles[evaluation["variant"]])
        ax.set_title(f"{label(evaluation['variant'], 28)}\ncalibration error {100 * error:.1f} %")
        ax.set(xlabel="confidence", ylabel="accuracy")
    figure.suptitle(label(title("Reliability on test images", evaluations[0]), 80))
    return figure


@matplotlib.rc_context(STYLE)
def cost_figure(evaluations: Sequence[tables.Evaluation], styles: Mapping[str, Style]) -> Figure:
    """Return mean test accuracy against mean seconds of training per seed."""
    figure = new_figure(WIDTH, 4.0)
    ax = figure.add_subplot()
    plot_cost(ax, cost_points(evaluations), styles)
    ax.set(xlabel="seconds of training per seed (log scale)", ylabel="test accuracy")
    figure.suptitle(label(title("Cost against accuracy", evaluations[0]), 80))
    return figure


@matplotlib.rc_context(STYLE)
def robustness_figure(
    evaluation: tables.Evaluation, curves: Mapping[str, Mapping[str, Sequence[Point]]], styles: Mapping[str, Style]
) -> Figure:
    """Return accuracy under perturbed images, a panel per perturbation.

    Args:
        evaluation: any one of the dataset, for the title.
        curves: perturbation -> variant -> points (strength, accuracies of the seeds).
        styles: by variant.
    """
    figure, axes = _panels(len(curves), share_y=True)
    for ax, (perturbation, lines) in zip(axes, curves.items(), strict=True):
        plot_points(ax, lines, styles)
        ax.set_title(label(perturbation, 28))
        ax.set(xlabel="strength", ylabel="validation accuracy")
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    figure.suptitle(label(title("Accuracy on perturbed validation images", evaluation), 80))
    return figure


@matplotlib.rc_context(STYLE)
def training_size_figure(
    evaluation: tables.Evaluation, curves: Mapping[str, SizeCurve], styles: Mapping[str, Style]
) -> Figure:
    """Return test accuracy, and below it the generalisation gap, against the number of training images.

    Args:
        evaluation: any one of the dataset, for the title.
        curves: by variant.
        styles: by variant.
    """
    figure = new_figure(WIDTH, 2 * PANEL_HEIGHT + 0.9)
    upper = figure.add_subplot(2, 1, 1)
    lower = figure.add_subplot(2, 1, 2, sharex=upper)
    accuracies = {name: curve.accuracies for name, curve in curves.items()}
    gaps = {name: curve.gaps for name, curve in curves.items()}
    for ax, lines, lowest in ((upper, accuracies, 0.0), (lower, gaps, -1.0)):
        plot_bands(ax, lines, styles, lowest)
        plot_points(ax, lines, styles)
    plot_power_laws(upper, curves, styles)
    _size_axis(upper, curves)
    upper.set(ylabel="test accuracy")
    lower.set(xlabel="training images (log scale)", ylabel="generalisation gap")
    handles, names = upper.get_legend_handles_labels()
    if any(curve.fit for curve in curves.values()):
        handles.append(Line2D([], [], color="black", linewidth=1.0, linestyle=":"))
        names.append("power law")
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    figure.suptitle(label(title("Accuracy by number of training images", evaluation), 80))
    return figure


def robustness_curves(rows: Sequence[Mapping[str, Any]], split: str) -> dict[str, dict[str, list[Point]]]:
    """Return perturbation -> variant -> points (strength, accuracies of the seeds), each from the original on.

    Args:
        rows: of `robustness.measure_robustness`; strength 0 is the original, which all perturbations share.
        split: whose rows are taken.
    """
    own = [row for row in rows if row["split"] == split]
    originals = {row["variant"]: (0.0, row["accuracy"]) for row in own if row["strength"] == 0}
    curves: dict[str, dict[str, list[Point]]] = {}
    for row in sorted(own, key=lambda row: row["strength"]):  # stable: perturbations and variants keep their order
        if row["strength"]:
            lines = curves.setdefault(row["perturbation"], {})
            lines.setdefault(row["variant"], [originals[row["variant"]]]).append((row["strength"], row["accuracy"]))
    return curves


def pooled_reliability(evaluation: tables.Evaluation) -> list[dict[str, float]]:
    """Return the reliability bins of all seeds together: n is the sum, confidence and accuracy are means by n."""
    pooled: dict[tuple[float, float], dict[str, float]] = {}
    for run in evaluation["seeds"]:
        for part in run["splits"]["test"]["reliability"]:
            if not part["n"]:
                continue
            total = pooled.setdefault((part["lower"], part["upper"]), {"n": 0, "confidence": 0.0, "accuracy": 0.0})
            total["n"] += part["n"]
            total["confidence"] += part["n"] * part["confidence"]
            total["accuracy"] += part["n"] * part["accuracy"]
    return [
        {
            "lower": lower,
            "upper": upper,
            "n": total["n"],
            "confidence": total["confidence"] / total["n"],
            "accuracy": total["accuracy"] / total["n"],
        }
        for (lower, upper), total in sorted(pooled.items())
    ]


def cost_points(evaluations: Sequence[tables.Evaluation]) -> dict[str, tuple[float, float]]:
    """Return (mean seconds of training per seed, mean test accuracy) by variant."""
    seconds = tables.seconds_per_seed(evaluations)
    return {
        e["variant"]: (seconds[e["variant"]], tables.mean(tables.split_values(e, "test", "accuracy")))
        for e in evaluations
    }


def _panels(
    count: int, *, columns: int = COLUMNS, height: float = PANEL_HEIGHT, share_y: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure with exactly `count` panels, none of them empty; 4 panels stand 2 x 2."""
    columns = 2 if count == 4 and columns == 3 else min(columns, count)
    rows = math.ceil(count / columns)
    figure = new_figure(WIDTH if columns > 1 else WIDTH * 0.75, height * rows + 0.9)
    axes: list[Axes] = []
    for i in range(count):
        first = axes[0] if axes and share_y else None
        axes.append(figure.add_subplot(rows, columns, i + 1, sharey=first))
    return figure, axes


def _size_axis(ax: Axes, curves: Mapping[str, SizeCurve]) -> None:
    """Give the axis of training images a tick where images were counted, as far as their numbers do not meet."""
    sizes = sorted({size for curve in curves.values() for size in curve.sizes}, reverse=True)
    ends = [2 * sizes[0]] if any(curve.fit for curve in curves.values()) else []
    least = 0.09 * math.log((ends or sizes)[0] / sizes[-1])
    ticks: list[float] = []
    for size in [*ends, *sizes]:
        if not ticks or math.log(ticks[-1] / size) >= least:
            ticks.append(size)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _percents(axis: Axis, decimals: int = 0) -> None:
    """Label shares as percentages; no step of 2.5, whose ticks would be told rounded."""
    axis.set_major_locator(MaxNLocator("auto", steps=(1, 2, 5, 10)))
    axis.set_major_formatter(PercentFormatter(1.0, decimals=decimals, symbol=" %"))


def _round_seconds(low: float, high: float) -> list[float]:
    """Return 1, 2, 5 times powers of ten within the limits, at most seven of them."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
        if len(ticks) <= 7:
            return ticks
    return ticks[::2]
