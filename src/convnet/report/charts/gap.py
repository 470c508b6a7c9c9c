"""Generalisation gap of every variant, a dot per seed."""

from convnet.report.chart import Chart, Numbers
from convnet.report.charts.accuracy import dots_chart


def charts(numbers: Numbers) -> list[Chart]:
    """Return the chart of accuracy on training less accuracy on validation images."""
    return [
        dots_chart(
            numbers,
            "gap",
            section="epochs",
            title="Generalisation gap",
            subject="Accuracy on training less accuracy on validation images",
            caption="Accuracy of the saved model on training images less that on validation images. A gap further to "
            "the right means more overfitting.",
            lowest=-1.0,
        )
    ]
