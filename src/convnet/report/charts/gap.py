"""Generalisation gap of every variant, a dot per seed."""

from convnet.report.chart import Chart, Numbers
from convnet.report.charts.accuracy import dots_chart


def charts(numbers: Numbers) -> list[Chart]:
    """Return the chart of accuracy on training less accuracy on images that chose no epoch."""
    images = " or ".join(sorted({evaluation.gap_split for evaluation in numbers.evaluations}))
    return [
        dots_chart(
            numbers,
            "gap",
            section="Overfitting",
            title="Generalisation gap",
            subject=f"Accuracy on training less accuracy on {images} images",
            caption=f"Accuracy of the saved model on training images less that on {images} images. A gap further to "
            "the right means more overfitting.",
            lowest=-1.0,
        )
    ]
