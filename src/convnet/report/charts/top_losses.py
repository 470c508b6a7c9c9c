"""The test images with the highest loss, a gallery per variant."""

import matplotlib

from convnet.report.chart import Chart, Numbers
from convnet.report.drawing import gallery, show_image
from convnet.report.style import SMALL_POINTS, STYLE, label
from convnet.report.tables import by_variant, top_losses_table

COUNT = 8  # images in each gallery


@matplotlib.rc_context(STYLE)
def charts(numbers: Numbers) -> list[Chart]:
    """Return a gallery per variant, worst first."""
    table = top_losses_table(numbers.evaluations, COUNT).rename(columns={"member": "file"})
    made = []
    for variant, worst in by_variant(table).items():
        title = numbers.title(f"Highest losses of {variant}")
        figure, axes = gallery(len(worst), lines=3)
        images = numbers.images(worst["file"].tolist())
        rows = worst[["file", "true", "predicted", "probability"]].to_numpy().tolist()
        for ax, image, (file, true, predicted, probability) in zip(axes, images, rows, strict=True):
            show_image(ax, image)
            guess = f"predicted: {label(predicted, 14)} {100 * probability:.0f} %"
            text = f"true: {label(true, 18)}\n{guess}\n{label(file, 24)}"
            ax.set_title(text, fontsize=SMALL_POINTS, loc="left")
        named = "; ".join(f"a {true} taken for {predicted}" for _, true, predicted, _ in rows[:4])
        made.append(
            Chart(
                f"top_losses_{variant}",
                "mistakes",
                title,
                f"The {len(worst)} test images with the highest loss of {variant}, worst first: {named}.",
                "Worst first, by the mean loss over seeds. The percentage is the mean probability of the predicted "
                "class. Wrong labels in the data appear here first.",
                worst[["file", "true", "predicted", "probability", "loss"]],
                figure,
                is_gallery=True,
            )
        )
    return made
