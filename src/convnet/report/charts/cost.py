"""The gain over the baseline against minutes and megabytes, with the variants that no cheaper one reaches."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from convnet.comparison.wording import metric_words
from convnet.params.section import BASELINE
from convnet.report.chart import Chart, Numbers
from convnet.report.charts.differences import LOOKS
from convnet.report.gains import ELSEWHERE, Gain, gains, minutes_words, pareto
from convnet.report.style import GREY, STYLE, WIDTH, label, new_figure
from convnet.system.formats import points, points_interval
from convnet.system.language import mark, tr

LOOK: dict[str, tuple[str, str]] = {str(decision): look for decision, look in LOOKS.items()}
LOOK |= {ELSEWHERE: (GREY, "D"), BASELINE: ("#000000", "X")}
COSTS = {
    "minutes": mark("minutes per model (log scale)"),
    "megabytes": mark("megabytes of the saved model (log scale)"),
}
SMALLEST = 1e-3  # of a cost that is drawn on a log scale
THIN: dict[str, Any] = {"arrowstyle": "-", "color": "#C4C4C4", "linewidth": 0.8, "shrinkA": 0.0, "shrinkB": 0.0}


RING: dict[str, Any] = {
    **{"color": "#000000", "linewidth": 1.2, "marker": "o", "markersize": 14, "markerfacecolor": "none"}
}


def plot_gains(ax: Axes, found: Sequence[Gain], cost: str, line: Sequence[Gain]) -> None:
    """Draw gains in points against a cost (log scale): a marker and its 95 % interval per variant, and the line."""
    ax.axhline(0.0, color=GREY, linewidth=1.0)
    ax.plot([_cost(one, cost) for one in line], [100 * one.gain for one in line], **RING)
    for one in found:
        colour, marker = LOOK[one.verdict]
        ends, order = [100 * one.interval_low, 100 * one.interval_high], 4 if one.verdict == "helps" else 3
        ax.plot([_cost(one, cost)] * 2, ends, color=colour, linewidth=2.0, alpha=0.5)
        look: dict[str, Any] = {
            "color": colour,
            "marker": marker,
            "markersize": 8,
            "linestyle": "none",
            "zorder": order,
        }
        ax.plot(_cost(one, cost), 100 * one.gain, **look)
    costs = [_cost(one, cost) for one in found]
    ax.set_xscale("log")
    ax.set_xlim(min(costs) / 1.6, max(costs) * 1.6)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(costs) < 200 * min(costs) else (1,)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set_xlabel(tr(COSTS[cost]))


def _cost(one: Gain, cost: str) -> float:
    return max(float(getattr(one, cost)), SMALLEST)


def _words(one: Gain) -> str:
    return tr(
        "{variant} {points} ({interval}), {minutes} minutes, {megabytes:.1f} MB",
        variant=one.variant,
        points=points(one.gain),
        interval=points_interval(one.interval_low, one.interval_high),
        minutes=minutes_words(one.minutes),
        megabytes=one.megabytes,
    )


def _draw(found: Sequence[Gain], lines: Mapping[str, Sequence[Gain]]) -> Figure:
    """Draw both panels, with the names between them, each joined to its two markers."""
    figure = new_figure(WIDTH, max(4.2, 1.9 + 0.22 * len(found)))
    left = figure.add_subplot(1, 2, 1)
    right = figure.add_subplot(1, 2, 2, sharey=left)
    for ax, (cost, line) in zip((left, right), lines.items(), strict=True):
        plot_gains(ax, found, cost, line)
    ordered = sorted(found, key=lambda one: one.gain)
    low, high = left.get_ylim()
    places = [low + (high - low) * (number + 0.5) / len(ordered) for number in range(len(ordered))]
    left.set_ylim(low, high)
    names = left.secondary_yaxis("right")
    names.set_yticks(places, [label(one.variant, 24) for one in ordered])
    names.tick_params(length=0)
    names.spines["right"].set_visible(False)
    for text, one in zip(names.get_yticklabels(), ordered, strict=True):
        text.set_color(LOOK[one.verdict][0])
    right.tick_params(labelleft=False)
    for ax, cost, edge in ((left, "minutes", 1.0), (right, "megabytes", 0.0)):
        for place, one in zip(places, ordered, strict=True):
            point, edge_point = (_cost(one, cost), 100 * one.gain), (edge, place)
            joined = ax.annotate(
                "", point, edge_point, textcoords=ax.get_yaxis_transform(), arrowprops=THIN, zorder=0.5
            )
            joined.set_in_layout(False)
    return figure


@matplotlib.rc_context(STYLE)
def charts(numbers: Numbers) -> list[Chart]:
    """Return the chart of gains against costs, or nothing where no variant is compared with a baseline."""
    verdict = numbers.verdict
    found = gains(numbers.evaluations, verdict) if verdict else []
    if verdict is None or len(found) < 2:
        return []
    lines = {cost: pareto(found, cost, verdict.margin) for cost in COSTS}
    figure = _draw(found, lines)
    figure.axes[0].set_ylabel(tr("gain in {metric}, points", metric=metric_words(verdict.metric)))
    shown = [name for name in LOOK if any(one.verdict == name for one in found)]
    handles = [Line2D([], [], color=LOOK[name][0], marker=LOOK[name][1], linewidth=2.0) for name in shown]
    if any(lines.values()):
        shown.append(mark("no cheaper variant reaches it"))
        handles.append(Line2D([], [], **RING))
    figure.legend(handles, [tr(name) for name in shown], loc="outside lower center", ncols=3)
    return [
        Chart(
            "cost",
            "cost",
            numbers.title(tr("Gain against cost")),
            tr(
                "Gain over {baseline} in points, with its 95 % interval: {list}.",
                baseline=verdict.baseline,
                list="; ".join(_words(one) for one in found if one.verdict != BASELINE),
            ),
            tr(
                "Up and to the left is better. The upright lines are 95 % intervals. A ring marks the baseline and "
                "each remedy that helps, if it gains over {margin:g} points more than all cheaper ones. The black line "
                "joins the rings. The minutes of a model are its training, the training that it starts from, and one "
                "pass of the backbone over all images. They were measured on the machine named below.",
                margin=100 * verdict.margin,
            ),
            pd.DataFrame(one._replace(verdict=tr(one.verdict)) for one in found),
            figure,
        )
    ]
