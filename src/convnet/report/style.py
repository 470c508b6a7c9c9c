"""How every figure looks and is written: one palette, text of at least 9 points, files that are equal byte for byte."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

from convnet.system.errors import printable
from convnet.system.files import atomic_path
from convnet.system.language import tr

# Okabe and Ito (2008), "Color Universal Design": distinct for all common forms of colour blindness. Yellow is left
# out, because it vanishes on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
GREY = "#6E6E6E"
WIDTH = 10.0  # inches, of every figure: text has the same height in all of them
TEXT_POINTS = 10.0
SMALL_POINTS = 9.0
DOTS_PER_INCH = 150

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so figures are equal on every machine
    "font.size": TEXT_POINTS,
    "axes.titlesize": 11.0,
    "axes.labelsize": TEXT_POINTS,
    "xtick.labelsize": SMALL_POINTS,
    "ytick.labelsize": SMALL_POINTS,
    "legend.fontsize": SMALL_POINTS,
    "figure.titlesize": 12.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "legend.frameon": False,
    "svg.hashsalt": "convnet",  # element ids follow from the content, not from chance
    "svg.fonttype": "path",
    "path.simplify": True,
}


@dataclass(frozen=True)
class Style:
    """How one variant is drawn; colour, marker and dash each identify it."""

    colour: str
    marker: str
    dash: str | tuple[int, tuple[int, ...]]


def variant_styles(names: Sequence[str]) -> dict[str, Style]:
    """Return a style per variant, by its place in `names`: all variants of a run, so that figures agree."""
    return {
        name: Style(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)], DASHES[(i // len(COLOURS) + i) % len(DASHES)])
        for i, name in enumerate(dict.fromkeys(names))
    }


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of `width` x `height` inches that arranges its axes by itself."""
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def label(text: str, longest: int | None = None) -> str:
    """Return untrusted text as matplotlib must show it: no mathtext, no control characters, no missing glyphs.

    Args:
        text: a class, variant or file name.
        longest: characters; a longer text loses its middle to an ellipsis.
    """
    shown = printable(text)
    if longest is not None and len(shown) > longest:
        head = (longest - 1) // 2
        shown = shown[:head] + "…" + shown[len(shown) - (longest - 1 - head) :]
    glyphs = get_font(findfont(FontProperties(family="DejaVu Sans")))
    shown = "".join(c if glyphs.get_char_index(ord(c)) else "□" for c in shown)
    return shown.replace("$", r"\$")


def kind_words(kind: str) -> str:
    """Return "rendered images" or "photographs": results on rendered images must never pass for photographs."""
    return tr("rendered images") if kind == "rendered" else tr("photographs")


def network_words(name: str) -> str:
    """Return the name of a network: a variant's stays, that of a backbone is translated."""
    backbone, _, variant = name.partition(" of ")
    if " " not in backbone:
        return name
    return tr("{backbone} of {variant}", backbone=tr(backbone), variant=variant) if variant else tr(backbone)


def title(text: str, dataset: str, kind: str) -> str:
    """Return `text` with the dataset and the kind of its images."""
    return f"{text}: {dataset}, {kind_words(kind)}"


def save_png(figure: Figure, path: Path) -> None:
    """Write `figure` as PNG; a second run gives the same bytes."""
    with atomic_path(path) as temporary, matplotlib.rc_context(STYLE):
        figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})


def save_figure(figure: Figure, path: Path) -> tuple[Path, Path]:
    """Write `figure` as PNG and SVG; a second run gives the same bytes.

    Args:
        figure: a drawn figure.
        path: of both files, without a suffix; a dot in the name stays.

    Returns:
        The paths of the PNG and of the SVG.
    """
    png, svg = (path.with_name(path.name + suffix) for suffix in (".png", ".svg"))
    with matplotlib.rc_context(STYLE):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # arranged once, for both files
        save_png(figure, png)
        with atomic_path(svg) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
    return png, svg
