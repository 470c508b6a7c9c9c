"""reports/index.html: one self-contained page with the answer first, then the evidence, then the data behind it.

The page holds no script and loads nothing; its content-security policy forbids both. Names of classes and files come
from a user's archive: every text goes through autoescape, and control characters are written as escapes.
"""

import base64
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from convnet.comparison.schema import Verdict
from convnet.comparison.wording import opening_sentences
from convnet.data.splits import SPLITS
from convnet.report import tables
from convnet.report.backbone_text import fine_tuning_sentences
from convnet.system.errors import UserError, printable
from convnet.system.files import write_text

TEMPLATES = Path(__file__).parent / "templates"
CSS_DPI = 96  # a CSS pixel is 1/96 inch
PAGE_BUDGET = 5_000_000  # bytes of the whole page: text, tables and images in base64
GALLERY_WIDTHS = (1200, 1000, 800, 600, 400, 300)  # pixels; the first width that keeps the page within its budget
CHART_COLOURS = 4096  # the smooth edges of text and lines have some thousand, photographs far more
SHOWN_FILES = 50  # of each list of files; the manifest holds the rest
SHOWN_ROWS = 1000  # of each table of numbers; the confusion matrices of 100 classes alone would have 10,000 a variant


@dataclass(frozen=True)
class Picture:
    """A drawn figure on disk, with all a reader needs who cannot see it."""

    section: str  # images with the same section share a heading
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
    backbone: str = ""  # which it is and what it had seen before; empty where no variant needs one
    layers: Sequence[Mapping[str, Any]] = ()  # of the backbone, rows of layers.json

    @property
    def name(self) -> str:
        """The dataset's name."""
        return str(self.evaluations[0]["dataset"])

    @property
    def pictures_are(self) -> str:
        """`rendered images` or `photographs`."""
        return tables.pictures_text(self.evaluations[0])

    @property
    def sections(self) -> list[tuple[str, list[Picture]]]:
        """The images under their headings, in the order in which the headings first come."""
        groups: dict[str, list[Picture]] = {}
        for picture in self.pictures:
            groups.setdefault(picture.section, []).append(picture)
        return list(groups.items())


@dataclass(frozen=True)
class EmbeddedImage:
    """An image as a data URI and the width at which it is shown, in CSS pixels."""

    uri: str  # empty where the page has no room for it
    width: int
    height: int

    @property
    def is_gallery(self) -> bool:
        """Whether it shows images, which may be scaled down, and is no chart."""
        return self.uri.startswith("data:image/jpeg")


def write_report(datasets: Sequence[DatasetReport], params_text: str, destination: Path) -> None:
    """Write the page; equal arguments and images give equal bytes.

    Args:
        datasets: one part of the page each, in the order wanted.
        params_text: params.yaml as it was run.
        destination: the HTML file.

    Raises:
        UserError: text and charts alone are more than the page may hold.
    """
    paths = [picture.path for dataset in datasets for picture in dataset.pictures]
    images = {path: embed_image(path, GALLERY_WIDTHS[0]) for path in paths}
    # A dash, as an image without any URI is one that was left out, which the page says in words.
    without_images = _render(datasets, params_text, {path: replace(image, uri="-") for path, image in images.items()})
    text = _render(datasets, params_text, _fit(paths, images, PAGE_BUDGET - len(without_images.encode())))
    if (length := len(text.encode())) > PAGE_BUDGET:
        raise UserError(
            f"text and charts alone make {length / 1e6:.1f} MB of the report page, which may have "
            f"{PAGE_BUDGET / 1e6:g}; name fewer datasets in run.datasets of params.yaml"
        )
    write_text(destination, text)


def _render(datasets: Sequence[DatasetReport], params_text: str, images: Mapping[Path, EmbeddedImage]) -> str:
    style = (TEMPLATES / "report.css.j2").read_text("utf-8")
    template = _environment().get_template("report.html.j2")
    return template.render(
        datasets=datasets,
        opening=opening_sentences([Verdict.model_validate({**dataset.verdict, "trivial": []}) for dataset in datasets]),
        params_text=params_text,
        images=images,
        style=Markup(style),
        style_digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        shown_files=SHOWN_FILES,
        shown_rows=SHOWN_ROWS,
        splits=SPLITS,
        summaries={dataset.name: _summaries(dataset) for dataset in datasets},
        details={dataset.name: _details(dataset.verdict) for dataset in datasets},
        overfitting={dataset.name: _rows(tables.overfitting_table(dataset.evaluations)) for dataset in datasets},
        costs={dataset.name: _costs(dataset) for dataset in datasets},
        fine_tuning={dataset.name: fine_tuning_sentences(dataset.evaluations) for dataset in datasets},
        origins=_origins(datasets),
    )


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


def _fit(paths: Sequence[Path], images: Mapping[Path, EmbeddedImage], budget: int) -> dict[Path, EmbeddedImage]:
    """Make the URIs keep to `budget` bytes: galleries narrower and narrower, and then without the last galleries.

    Args:
        paths: of all images on the page, in their order; an image that comes twice counts twice.
        images: by path, as wide as can be.
        budget: bytes.
    """

    def too_long() -> bool:
        return sum(len(fitted[path].uri) for path in paths) > budget

    fitted = dict(images)
    galleries = [path for path, image in images.items() if image.is_gallery]
    for width in GALLERY_WIDTHS[1:]:
        if not too_long():
            break
        fitted |= {path: embed_image(path, width) for path in galleries}
    while galleries and too_long():
        last = galleries.pop()
        fitted[last] = replace(fitted[last], uri="")
    return fitted


def _summaries(dataset: DatasetReport) -> list[dict[str, Any]]:
    """One row per variant: its means, and how it compares; the baseline is compared with nothing."""
    comparisons = {row["variant"]: row for row in dataset.verdict["comparisons"]}
    judged = {row["variant"]: row for row in dataset.verdict["variants"]}
    return [
        {
            **row,
            "comparison": comparisons.get(row["variant"]),
            "balanced_accuracy": judged[row["variant"]]["balanced_accuracy"]["mean"],
        }
        for row in _rows(tables.summary_table(dataset.evaluations))
    ]


def _rows(table: tables.Table) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


@dataclass(frozen=True)
class Detail:
    """A table behind the verdict, its cells as they shall be read."""

    remark: str  # what the table says
    names: int  # columns that hold names; the other ones hold numbers
    table: tables.Table


def _details(verdict: Mapping[str, Any]) -> list[Detail]:
    """Return the interval of every variant's own accuracy, which does not decide."""
    return [_wilson(verdict["variants"])]


def _wilson(variants: Sequence[Mapping[str, Any]]) -> Detail:
    rows = tuple(
        (row["variant"], _percent(row["accuracy"]["mean"]), _interval(row["wilson"], _percent)) for row in variants
    )
    return Detail(
        "Test accuracy as if it were one model's: what the sample of test images alone leaves open.",
        1,
        tables.Table(("variant", "test accuracy", "95 % interval (Wilson)"), rows),
    )


def _costs(dataset: DatasetReport) -> list[dict[str, Any]]:
    """One row per variant: what it cost to train."""
    seconds = tables.seconds_per_seed(dataset.evaluations)
    return [
        {
            "variant": evaluation["variant"],
            "training": seconds[evaluation["variant"]],
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
    environment.filters.update(
        percent=_percent, points=_points, nats=_nats, count=_count, p=_p, text_lines=_text_lines, cell=_cell
    )
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


def _nats(difference: float) -> str:
    """A difference of two losses, with its sign."""
    return f"{difference:+.3f}".replace("-", "−")  # noqa: RUF001


def _interval(ends: Sequence[float] | None, number: Callable[[float], str]) -> str:
    return "–" if ends is None else f"{number(ends[0])} to {number(ends[1])}"  # noqa: RUF001


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _count(value: float | None, decimals: int = 0) -> str:
    """A number with commas between thousands."""
    return "–" if value is None else f"{value:,.{decimals}f}"  # noqa: RUF001


def _cell(value: tables.Cell) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
