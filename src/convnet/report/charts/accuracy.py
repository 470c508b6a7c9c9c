"""Test accuracy of every variant, a dot per seed."""

from statistics import fmean

import matplotlib

from convnet.report.chart import Chart, Numbers, shares_text
from convnet.report.drawing import plot_dots
from convnet.report.style import GREY, STYLE, WIDTH, new_figure
from convnet.report.tables import by_variant, variants_table

DOTS = "Each marker is a seed, the upright bar their mean, the line Student's 95 % interval of the mean."
ONE_DOT = "One seed: its spread is unknown."


def charts(numbers: Numbers) -> list[Chart]:
    """Return the chart of the test accuracy."""
    return [
        dots_chart(
            numbers,
            "test_accuracy",
            section="verdict",
            title="Test accuracy",
            subject="Mean test accuracy",
            caption="",
            lowest=0.0,
        )
    ]


@matplotlib.rc_context(STYLE)
def dots_chart(
    numbers: Numbers, column: str, *, section: str, title: str, subject: str, caption: str, lowest: float
) -> Chart:
    """Return a chart of a column of `tables.variants_table`, whose values are between `lowest` and 1."""
    runs = variants_table(numbers.evaluations)[["variant", "seed", column]]
    values = {name: rows[column].tolist() for name, rows in by_variant(runs).items()}
    figure = new_figure(WIDTH, 1.3 + 0.42 * len(values))
    ax = figure.add_subplot()
    plot_dots(ax, values, numbers.styles, lowest)
    if runs[column].min() < 0:
        ax.axvline(0.0, color=GREY, linewidth=1.0)
    ax.set_xlabel(title.lower())
    return Chart(
        column.removeprefix("test_"),
        section,
        numbers.title(title),
        shares_text(subject, {name: fmean(seeds) for name, seeds in values.items()}),
        f"{caption} {DOTS if numbers.several_seeds else ONE_DOT}".strip(),
        runs,
        figure,
    )
