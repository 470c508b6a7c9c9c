"""The images most likely mislabelled, and copies of one image under two labels."""

import matplotlib
import pandas as pd

from convnet.evaluation.schema import Suspect
from convnet.report.chart import Chart, Numbers
from convnet.report.drawing import gallery, show_image
from convnet.report.style import SMALL_POINTS, STYLE, label

COUNT = 12  # images in each gallery


@matplotlib.rc_context(STYLE)
def charts(numbers: Numbers) -> list[Chart]:
    """Return the gallery of suspects and that of copies; neither where there are none."""
    return [*_suspects(numbers), *_copies(numbers)]


def _suspects(numbers: Numbers) -> list[Chart]:
    check = numbers.labels
    if check is None or not check.suspects:
        return []
    shown = check.suspects[:COUNT]
    texts = [f"label: {label(image.given, 18)}\n{_guess(image)}\n{label(image.file, 24)}" for image in shown]
    named = "; ".join(f"a {image.given} that may be {image.suggested}" for image in shown[:4])
    table = pd.DataFrame([image.model_dump(exclude={"row"}) for image in check.suspects])
    return [
        _chart(
            numbers,
            ("labels_to_check", "Labels to check"),
            ([image.file for image in shown], texts),
            f"The {len(shown)} images whose label is most likely wrong: {named}.",
            f"The first {len(shown)} of {len(check.suspects):,}, the most certain one first. The percentage is the "
            "probability of the suggested class, by a model that did not train on the image.",
            table,
        )
    ]


def _guess(image: Suspect) -> str:
    return f"model: {label(image.suggested, 12)} {100 * image.probability_suggested:.0f} %"


def _copies(numbers: Numbers) -> list[Chart]:
    check = numbers.labels
    pairs = [] if check is None else [pair for pair in check.two_labels if pair.used]
    if not pairs:
        return []
    sides = [side for pair in pairs[: COUNT // 2] for side in zip(pair.files, pair.labels, strict=True)]
    texts = [f"label: {label(given, 18)}\n{label(file, 24)}" for file, given in sides]
    table = pd.DataFrame(
        {"file": p.files[0], "label": p.labels[0], "copy": p.files[1], "label_of_copy": p.labels[1]} for p in pairs
    )
    named = "; ".join(f"{pair.labels[0]} and {pair.labels[1]}" for pair in pairs[:4])
    return [
        _chart(
            numbers,
            ("two_labels", "One image under two labels"),
            ([file for file, _ in sides], texts),
            f"Pairs of copies of one image with different labels: {named}.",
            f"Each pair shows one image twice, with two labels. At least one of the two is wrong. "
            f"The first {len(sides) // 2} of {len(pairs):,}.",
            table,
        )
    ]


def _chart(
    numbers: Numbers,
    names: tuple[str, str],
    shown: tuple[list[str], list[str]],
    alt: str,
    caption: str,
    table: pd.DataFrame,
) -> Chart:
    """Return a gallery of files, each below its text."""
    files, texts = shown
    figure, axes = gallery(len(files), lines=3)
    for ax, image, text in zip(axes, numbers.images(files), texts, strict=True):
        show_image(ax, image)
        ax.set_title(text, fontsize=SMALL_POINTS, loc="left")
    return Chart(names[0], "mistakes", numbers.title(names[1]), alt, caption, table, figure, is_gallery=True)
