"""Generalisation gap of every variant, a dot per seed."""

from convnet.report.chart import Chart, Numbers
from convnet.report.charts.accuracy import DOTS, dots_chart
from convnet.report.tables import clipped_interval

SEEDS = f"{DOTS} The line is Student's 95 % interval of the mean over seeds."
ONE_SEED = "One seed: its spread is unknown."


def charts(numbers: Numbers) -> list[Chart]:
    """Return the chart of accuracy on training less accuracy on images that chose no epoch."""
    images = " or ".join(sorted({evaluation.gap_split for evaluation in numbers.evaluations}))
    gaps = {e.variant: [run.generalisation_gap for run in e.seeds] for e in numbers.evaluations}
    return [
        dots_chart(
            numbers,
            "gap",
            section="epochs",
            title="Generalisation gap",
            subject=f"Accuracy on training less accuracy on {images} images",
            caption=f"Accuracy of the saved model on training images less that on {images} images. A gap further to "
            f"the right means more overfitting. {SEEDS if numbers.several_seeds else ONE_SEED}",
            intervals={variant: clipped_interval(values, -1.0) for variant, values in gaps.items()},
        )
    ]
