"""Test accuracy of every variant, a dot per seed."""

from collections.abc import Mapping, Sequence
from statistics import fmean

import matplotlib

from convnet.comparison.variant_summary import accuracy_interval
from convnet.report.chart import Chart, Numbers, shares_text
from convnet.report.drawing import plot_dots
from convnet.report.style import GREY, STYLE, WIDTH, new_figure
from convnet.report.tables import by_variant, variants_table
from convnet.system.language import mark, tr

BOTH = mark("The line is the 95 % interval of the mean over seeds and test images.")
ONE_SEED = mark("The line is the 95 % interval over test images; one seed shows no spread of training.")
DOTS = mark("Each marker is a seed, the upright bar their mean.")


def charts(numbers: Numbers) -> list[Chart]:
    """Return the chart of the test accuracy."""
    return [
        dots_chart(
            numbers,
            "test_accuracy",
            section="verdict",
            title=tr("Test accuracy"),
            subject=tr("Mean test accuracy"),
            caption=f"{tr(DOTS)} {tr(BOTH)}" if numbers.several_seeds else tr(ONE_SEED),
            intervals={evaluation.variant: accuracy_interval(evaluation) for evaluation in numbers.evaluations},
        )
    ]


@matplotlib.rc_context(STYLE)
def dots_chart(
    numbers: Numbers,
    column: str,
    *,
    section: str,
    title: str,
    subject: str,
    caption: str,
    intervals: Mapping[str, Sequence[float]],
) -> Chart:
    """Return a chart of a column of `tables.variants_table`, with an interval for each variant."""
    runs = variants_table(numbers.evaluations)[["variant", "seed", column]]
    values = {name: rows[column].tolist() for name, rows in by_variant(runs).items()}
    figure = new_figure(WIDTH, 1.3 + 0.42 * len(values))
    ax = figure.add_subplot()
    plot_dots(ax, values, numbers.styles, intervals)
    if runs[column].min() < 0:
        ax.axvline(0.0, color=GREY, linewidth=1.0)
    ax.set_xlabel(title.lower())
    return Chart(
        column.removeprefix("test_"),
        section,
        numbers.title(title),
        shares_text(subject, {name: fmean(seeds) for name, seeds in values.items()}),
        caption,
        runs,
        figure,
    )
