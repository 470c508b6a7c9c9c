"""reports/index.html: one self-contained page with the answer first, then the evidence, then the data behind it.

The page holds no script and loads nothing; its content-security policy forbids both. Names of classes and files come
from a user's archive: every text goes through autoescape, and control characters are written as escapes.
"""

import base64
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from convnet import tables
from convnet.errors import printable
from convnet.sentences import opening_sentences
from convnet.storage import write_text

TEMPLATES = Path(__file__).parent / "templates"
CSS_DPI = 96  # a CSS pixel is 1/96 inch
GALLERY_WIDTHS = (1200, 900, 600, 400)  # pixels; the first width that keeps the page within its budget
PICTURE_BUDGET = 3_600_000  # bytes of all pictures; base64 makes a third more of it, which keeps the page under 5 MB
CHART_COLOURS = 4096  # the smooth edges of text and lines have some thousand, photographs far more
SHOWN_FILES = 50  # of each list of files; the manifest holds the rest


@dataclass(frozen=True)
class Picture:
    """A drawn figure on disk, with all a reader needs who cannot see it."""

    section: str  # pictures with the same section share a heading
    title: str
    path: Path  # PNG
    alt: str
    caption: str = ""  # how to read it
    table: tables.Table | None = None


@dataclass(frozen=True)
class DatasetReport:
    """All that is known about one dataset; what is missing leaves no empty heading."""

    evaluations: Sequence[tables.Evaluation]  # of its variants, in the order wanted
    verdict: Mapping[str, Any]  # from `verdict.verdict`
    summary: Mapping[str, Any] | None = None
    pictures: Sequence[Picture] = ()
    backbone: Sequence[Mapping[str, Any]] = field(default=())  # rows: name, type, output_shape, parameters, frozen

    @property
    def name(self) -> str:
        """The dataset's name."""
        return str(self.evaluations[0]["dataset"])

    @property
    def pictures_are(self) -> str:
        """`rendered pictures` or `photographs`."""
        return tables.pictures_text(self.evaluations[0])

    @property
    def sections(self) -> list[tuple[str, list[Picture]]]:
        """The pictures under their headings, in the order in which the headings first come."""
        groups: dict[str, list[Picture]] = {}
        for picture in self.pictures:
            groups.setdefault(picture.section, []).append(picture)
        return list(groups.items())


def write_report(datasets: Sequence[DatasetReport], params_text: str, destination: Path) -> None:
    """Write the page; equal arguments and pictures give equal bytes.

    Args:
        datasets: one part of the page each, in the order wanted.
        params_text: params.yaml as it was run.
        destination: the HTML file.
    """
    paths = [picture.path for dataset in datasets for picture in dataset.pictures]
    environment = _environment()
    style = (TEMPLATES / "report.css.j2").read_text("utf-8")
    text = environment.get_template("report.html.j2").render(
        datasets=datasets,
        opening=opening_sentences([dataset.verdict for dataset in datasets]),
        params_text=params_text,
        images=_embed_all(paths),
        style=Markup(style),
        style_digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        shown_files=SHOWN_FILES,
        splits=tables.SPLITS,
        summaries={dataset.name: _summaries(dataset) for dataset in datasets},
        costs={dataset.name: _costs(dataset) for dataset in datasets},
        origins=_origins(datasets),
    )
    write_text(destination, text)


@dataclass(frozen=True)
class EmbeddedImage:
    """An image as a data URI and the width at which it is shown, in CSS pixels."""

    uri: str
    width: int
    height: int


def embed_image(path: Path, widest: int) -> EmbeddedImage:
    """Return the image at `path` as a small data URI.

    Charts, which hold few colours, become a PNG of 256 colours and stay legible; galleries of images become a JPEG.

    Args:
        path: an image file.
        widest: pixels; a wider gallery is scaled down.
    """
    with Image.open(path) as image:
        dpi = float(image.info.get("dpi", (CSS_DPI, CSS_DPI))[0])
        width, height = (round(side * CSS_DPI / dpi) for side in image.size)
        pixels = Image.new("RGB", image.size, "white")
        opaque = image.convert("RGBA")
        pixels.paste(opaque, mask=opaque.getchannel("A"))
    buffer = io.BytesIO()
    kind = "png" if pixels.getcolors(CHART_COLOURS) else "jpeg"
    if kind == "png":
        pixels.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(buffer, kind)
    else:
        if pixels.width > widest:
            pixels = pixels.resize((widest, round(pixels.height * widest / pixels.width)), Image.Resampling.LANCZOS)
        pixels.save(buffer, kind, quality=80, optimize=True)
    data = buffer.getvalue()
    return EmbeddedImage(f"data:image/{kind};base64,{base64.b64encode(data).decode()}", width, height)


def _embed_all(paths: Sequence[Path]) -> dict[Path, EmbeddedImage]:
    """Embed all images, galleries narrower and narrower until all keep to the budget."""
    widest, *narrower = GALLERY_WIDTHS
    images = {path: embed_image(path, widest) for path in paths}
    galleries = [path for path, image in images.items() if image.uri.startswith("data:image/jpeg")]
    for width in narrower:
        if sum(len(image.uri) for image in images.values()) * 3 / 4 <= PICTURE_BUDGET:
            break
        images |= {path: embed_image(path, width) for path in galleries}
    return images


def _summaries(dataset: DatasetReport) -> list[dict[str, Any]]:
    """One row per variant: its means, and how it compares; the baseline is compared with nothing."""
    table = tables.summary_table(dataset.evaluations)
    comparisons = {row["variant"]: row for row in dataset.verdict["comparisons"]}
    judged = {row["variant"]: row for row in dataset.verdict["variants"]}
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    return [
        {
            **row,
            "comparison": comparisons.get(row["variant"]),
            "balanced_accuracy": judged[row["variant"]]["balanced_accuracy"]["mean"],
        }
        for row in rows
    ]


def _costs(dataset: DatasetReport) -> list[dict[str, Any]]:
    """One row per variant: what it cost to train."""
    return [
        {
            "variant": evaluation["variant"],
            "training": evaluation["seconds"]["training"],
            "features": evaluation["seconds"]["features"],
            "images_per_second": tables.mean([float(run["images_per_second"]) for run in evaluation["seeds"]]),
            "model_bytes": evaluation["model_bytes"],
            "parameters": evaluation["parameters"],
            "trainable_parameters": evaluation["trainable_parameters"],
        }
        for evaluation in dataset.evaluations
    ]


def _origins(datasets: Sequence[DatasetReport]) -> list[tuple[str, str]]:
    """Machine and versions as (name, value); values that differ between evaluations are all named, sorted."""
    values: dict[str, set[str]] = {}
    for dataset in datasets:
        for evaluation in dataset.evaluations:
            for name, value in {**evaluation["machine"], **evaluation["versions"]}.items():
                values.setdefault(name, set()).add(str(value))
    return [(name, ", ".join(sorted(found))) for name, found in values.items()]


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=_percent, points=_points, count=_count, text_lines=_text_lines, cell=_cell)
    return environment


def _finalize(value: Any) -> Any:
    """Escape control and bidirectional characters in every text that the template prints."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _text_lines(text: str) -> Markup:
    """Escape a text of many lines and keep its line ends."""
    return Markup("\n").join(escape(printable(line)) for line in text.splitlines())


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"  # noqa: RUF001 - a dash for "no number"


def _points(difference: float | None) -> str:
    """A difference of two shares, in percentage points, with its sign (a true minus)."""
    return "–" if difference is None else f"{100 * difference:+.1f}".replace("-", "−")  # noqa: RUF001


def _count(value: float | None, decimals: int = 0) -> str:
    """A number with commas between thousands."""
    return "–" if value is None else f"{value:,.{decimals}f}"  # noqa: RUF001


def _cell(value: tables.Cell) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
