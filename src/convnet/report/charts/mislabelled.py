"""The images most likely mislabelled, and copies of one image under two labels."""

import matplotlib
import pandas as pd

from convnet.evaluation.schema import Suspect
from convnet.report.chart import Chart, Numbers
from convnet.report.drawing import gallery, show_image
from convnet.report.style import SMALL_POINTS, STYLE, label
from convnet.system.formats import listed
from convnet.system.language import mark, tr

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
    texts = [_below(image.given, image.file, _guess(image)) for image in shown]
    may_be = mark("a {given} that may be {suggested}")
    named = "; ".join(tr(may_be, given=image.given, suggested=image.suggested) for image in shown[:4])
    table = pd.DataFrame([image.model_dump(exclude={"row"}) for image in check.suspects])
    return [
        _chart(
            numbers,
            ("labels_to_check", tr("Labels to check")),
            ([image.file for image in shown], texts),
            tr("The {count} images whose label is most likely wrong: {list}.", count=len(shown), list=named),
            tr(
                "The first {count} of {all:,}, the most certain one first. The percentage is the probability of the "
                "suggested class, by a model that did not train on the image.",
                count=len(shown),
                all=len(check.suspects),
            ),
            table,
        )
    ]


def _guess(image: Suspect) -> str:
    name, share = label(image.suggested, 12), 100 * image.probability_suggested
    return tr("model: {name} {share:.0f} %", name=name, share=share)


def _below(given: str, file: str, *lines: str) -> str:
    """Return the text of an image: its label, other lines, and its file."""
    return "\n".join([tr("label: {name}", name=label(given, 18)), *lines, label(file, 24)])


def _copies(numbers: Numbers) -> list[Chart]:
    check = numbers.labels
    pairs = [] if check is None else [pair for pair in check.two_labels if pair.used]
    if not pairs:
        return []
    sides = [side for pair in pairs[: COUNT // 2] for side in zip(pair.files, pair.labels, strict=True)]
    texts = [_below(given, file) for file, given in sides]
    table = pd.DataFrame(
        {"file": p.files[0], "label": p.labels[0], "copy": p.files[1], "label_of_copy": p.labels[1]} for p in pairs
    )
    named = "; ".join(listed(pair.labels) for pair in pairs[:4])
    return [
        _chart(
            numbers,
            ("two_labels", tr("One image under two labels")),
            ([file for file, _ in sides], texts),
            tr("Pairs of copies of one image with different labels: {list}.", list=named),
            tr(
                "Each pair shows one image twice, with two labels. At least one of the two is wrong. The first {count} "
                "of {all:,}.",
                count=len(sides) // 2,
                all=len(pairs),
            ),
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
