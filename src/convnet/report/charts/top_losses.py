"""The test images with the highest loss, a gallery per variant."""

import matplotlib

from convnet.report.chart import Chart, Numbers
from convnet.report.drawing import gallery, show_image
from convnet.report.style import SMALL_POINTS, STYLE, label
from convnet.report.tables import by_variant, top_losses_table
from convnet.system.language import mark, tr

COUNT = 8  # images in each gallery


@matplotlib.rc_context(STYLE)
def charts(numbers: Numbers) -> list[Chart]:
    """Return a gallery per variant, worst first."""
    table = top_losses_table(numbers.evaluations, COUNT).rename(columns={"member": "file"})
    made = []
    for variant, worst in by_variant(table).items():
        title = numbers.title(tr("Highest losses of {variant}", variant=variant))
        figure, axes = gallery(len(worst), lines=3)
        images = numbers.images(worst["file"].tolist())
        rows = worst[["file", "true", "predicted", "probability"]].to_numpy().tolist()
        for ax, image, (file, true, predicted, probability) in zip(axes, images, rows, strict=True):
            show_image(ax, image)
            guess = tr("predicted: {name} {share:.0f} %", name=label(predicted, 14), share=100 * probability)
            text = f"{tr('true: {name}', name=label(true, 18))}\n{guess}\n{label(file, 24)}"
            ax.set_title(text, fontsize=SMALL_POINTS, loc="left")
        taken = mark("a {true} taken for {predicted}")
        named = "; ".join(tr(taken, true=true, predicted=predicted) for _, true, predicted, _ in rows[:4])
        made.append(
            Chart(
                f"top_losses_{variant}",
                "mistakes",
                title,
                tr(
                    "The {count} test images with the highest loss of {variant}, worst first: {list}.",
                    count=len(worst),
                    variant=variant,
                    list=named,
                ),
                tr(
                    "Worst first, by the mean loss over seeds. The percentage is the mean probability of the predicted "
                    "class. Wrong labels in the data appear here first."
                ),
                worst[["file", "true", "predicted", "probability", "loss"]],
                figure,
                is_gallery=True,
            )
        )
    return made
