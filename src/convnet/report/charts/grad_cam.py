"""Where a network finds its evidence: Grad-CAM heat maps over images."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

from convnet.report.chart import Chart, Floats, Images
from convnet.report.drawing import gallery, show_image
from convnet.report.style import SMALL_POINTS, STYLE, label, title
from convnet.system.language import tr


@matplotlib.rc_context(STYLE)
def grad_cam_chart(
    images: Images, heatmaps: Floats, captions: Sequence[str], variant: str, dataset: Mapping[str, Any]
) -> Chart:
    """Return images under their Grad-CAM heat maps (Selvaraju et al. 2017), all on one colour scale.

    The heat maps (n, rows, columns) are 0 or more and of any resolution; they are spread over the image bilinearly.
    """
    figure, axes = gallery(2 * len(images), lines=1)
    highest = max(float(heatmaps.max()), 1e-12)
    height, width = images.shape[1:3]
    drawn = None
    for i, (image, heat, caption) in enumerate(zip(images, heatmaps, captions, strict=True)):
        for ax in axes[2 * i : 2 * i + 2]:
            show_image(ax, image)
        axes[2 * i].set_title(label(caption, 24), fontsize=SMALL_POINTS, loc="left")
        drawn = axes[2 * i + 1].imshow(
            heat,
            cmap="inferno",
            vmin=0.0,
            vmax=highest,
            alpha=0.55,
            interpolation="bilinear",
            extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        )
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=axes, shrink=0.6, pad=0.02)
        bar.set_label(tr("Grad-CAM, one scale for all images"))
    words = title(tr("Where {variant} looks", variant=variant), dataset["dataset"], dataset["kind"])
    return Chart(
        f"grad_cam_{variant}",
        "see",
        words,
        tr(
            "Grad-CAM of {variant} over {count} test images: {list}.",
            variant=variant,
            count=len(images),
            list="; ".join(captions),
        ),
        tr("Bright places are evidence for the predicted class. All images share one scale."),
        None,
        figure,
    )
