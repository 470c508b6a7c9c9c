"""Generalisation gap of every variant, a dot per seed."""

from convnet.report.chart import Chart, Numbers
from convnet.report.charts.accuracy import DOTS, dots_chart
from convnet.report.tables import clipped_interval
from convnet.system.language import mark, tr

SEEDS = mark("The line is Student's 95 % interval of the mean over seeds.")
ONE_SEED = mark("One seed: its spread is unknown.")


def charts(numbers: Numbers) -> list[Chart]:
    """Return the chart of accuracy on training less accuracy on images that chose no epoch."""
    images = tr(" or ").join(sorted({tr(evaluation.gap_split) for evaluation in numbers.evaluations}))
    spread = f"{tr(DOTS)} {tr(SEEDS)}" if numbers.several_seeds else tr(ONE_SEED)
    gaps = {e.variant: [run.generalisation_gap for run in e.seeds] for e in numbers.evaluations}
    return [
        dots_chart(
            numbers,
            "gap",
            section="epochs",
            title=tr("Generalisation gap"),
            subject=tr("Accuracy on training less accuracy on {split} images", split=images),
            caption=tr(
                "Accuracy of the saved model on training images less that on {split} images. A gap further to the "
                "right means more overfitting. {spread}",
                split=images,
                spread=spread,
            ),
            intervals={variant: clipped_interval(values, -1.0) for variant, values in gaps.items()},
        )
    ]
