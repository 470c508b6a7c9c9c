"""The difference of every remedy to the variant that it changes, coloured by verdict, with the band of equivalence."""

from collections.abc import Mapping, Sequence

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from convnet.comparison.schema import Comparison, Decision
from convnet.comparison.wording import metric_words
from convnet.report.chart import Chart, Numbers
from convnet.report.style import GREY, STYLE, WIDTH, label, new_figure
from convnet.system.formats import points, points_interval
from convnet.system.language import mark, tr

# A colour and a marker for each verdict, so that nobody needs the colour.
LOOKS: Mapping[Decision, tuple[str, str]] = {
    "helps": ("#009E73", "^"),
    "hurts": ("#D55E00", "v"),
    "no relevant difference": ("#0072B2", "s"),
    "not decided": (GREY, "o"),
}
BAND = "#E8EEF4"


def plot_differences(ax: Axes, rows: Sequence[Comparison], margin: float) -> None:
    """Draw a row per comparison in points: its difference, its 95 % interval, and their numbers on the right."""
    ax.axvspan(-100 * margin, 100 * margin, color=BAND, zorder=0)
    ax.axvline(0.0, color=GREY, linewidth=1.0)
    for place, row in enumerate(rows):
        colour, marker = LOOKS[row.decision]
        ax.plot([100 * end for end in row.interval], [place, place], color=colour, linewidth=2.5)
        ax.plot(100 * row.mean, place, color=colour, marker=marker, markersize=9, linestyle="none")
    ax.set_yticks(range(len(rows)), [f"{label(row.variant, 24)} – {label(row.baseline, 18)}" for row in rows])  # noqa: RUF001
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    numbers = ax.secondary_yaxis("right")
    numbers.set_yticks(range(len(rows)), [f"{points(row.mean)}  ({points_interval(*row.interval)})" for row in rows])
    numbers.tick_params(length=0)
    numbers.spines["right"].set_visible(False)


@matplotlib.rc_context(STYLE)
def charts(numbers: Numbers) -> list[Chart]:
    """Return the chart of all comparisons, or nothing where there are none."""
    verdict = numbers.verdict
    if verdict is None or not verdict.comparisons:
        return []
    rows = verdict.comparisons
    figure = new_figure(WIDTH, 1.6 + 0.4 * len(rows))
    ax = figure.add_subplot()
    plot_differences(ax, rows, verdict.margin)
    metric = metric_words(verdict.metric)
    ax.set_xlabel(tr("difference in {metric}, points, with its 95 % interval", metric=metric))
    found = [decision for decision in LOOKS if any(row.decision == decision for row in rows)]
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=LOOKS[decision][0], marker=LOOKS[decision][1], linewidth=2.5) for decision in found
    ]
    band = tr("within ±{margin:g} points: does not matter", margin=100 * verdict.margin)
    names = [*(tr(decision) for decision in found), band]
    figure.legend([*handles, Patch(color=BAND)], names, loc="outside lower center", ncols=3)
    return [
        Chart(
            "differences",
            "answer",
            numbers.title(tr("What each remedy changes")),
            tr(
                "Difference in {metric} in points, with its 95 % interval: {list}.",
                metric=metric,
                list="; ".join(map(_words, rows)),
            ),
            tr(
                "Each row is a remedy less the variant that it changes. The line is the 95 % interval over {kind}. The "
                "verdict also corrects for {count} comparisons, so an interval beside 0 alone decides nothing.",
                kind=tr(rows[0].interval_kind),
                count=len(rows),
            ),
            _table(rows),
            figure,
        )
    ]


def _words(row: Comparison) -> str:
    words = mark("{variant} less {baseline} {points} ({interval}), {decision}")
    difference = {"points": points(row.mean), "interval": points_interval(*row.interval)}
    return tr(words, variant=row.variant, baseline=row.baseline, **difference, decision=tr(row.decision))


def _table(rows: Sequence[Comparison]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "variant": row.variant,
            "compared_with": row.baseline,
            "difference": row.mean,
            "interval_low": row.interval.lower,
            "interval_high": row.interval.upper,
            "verdict": tr(row.decision),
        }
        for row in rows
    )
