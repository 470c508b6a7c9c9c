"""reports/index.html: one self-contained page with the answer first, then the evidence, then the data behind it.

The page holds no script and loads nothing; its content-security policy forbids both. Names of classes and files come
from a user's archive: every text goes through autoescape, and control characters are written as escapes.
"""

import base64
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from convnet.comparison.schema import Verdict
from convnet.comparison.variant_summary import accuracy_interval
from convnet.data.splits import SPLITS
from convnet.evaluation.schema import Evaluation, LabelCheck
from convnet.report import lesson, tables
from convnet.report.answer import (
    MORE_IMAGES,
    Answer,
    DetectableTable,
    NextStep,
    answer_on,
    detectable_table,
    next_steps,
)
from convnet.report.backbone_text import fine_tuning_sentences
from convnet.report.embedding import EmbeddedImage, embed_image, fit_images
from convnet.report.evidence import Study, evidence
from convnet.report.figures import Figure, FigureGroup, by_importance, group_figures
from convnet.report.next_tries import Suggestion, by_command
from convnet.report.style import kind_words
from convnet.report.tried import effects
from convnet.report.tuning import TunedVariant
from convnet.report.variant_part import VariantPart, variant_parts
from convnet.system.errors import UserError, printable
from convnet.system.files import write_text
from convnet.system.formats import p_value, percent, plural, points, points_interval
from convnet.system.language import tr

TEMPLATES = Path(__file__).parent / "templates"
PAGE_BUDGET = 5_000_000  # bytes of the whole page: text, tables and images in base64
SHOWN_FILES = 50  # of each list of files; the manifest holds the rest
SHOWN_ROWS = 200  # of each table of numbers, so that a run of many variants keeps room for its figures
OWN_PARTS = ("verdict", "variants", "epochs", "transfer", "cost", "data")  # sections with a template of their own
SHOWN_CLASSES = 12  # in a sentence; the table of the data lists all
NO_NUMBER = "–"  # noqa: RUF001 - a dash


@dataclass(frozen=True)
class DatasetReport:
    """One dataset's part of the page; a missing part leaves no empty heading."""

    evaluations: Sequence[Evaluation]  # of its variants, in the order wanted
    verdict: Verdict
    summary: Mapping[str, Any] | None = None  # of the split stage
    figures: Sequence[Figure] = ()
    backbone: str = ""  # its name and source classes; empty where no variant needs one
    layers: Sequence[Mapping[str, Any]] = ()  # of the backbone, rows of layers.json
    robustness: Sequence[Mapping[str, Any]] = ()  # rows of the robustness stage
    sweep: Mapping[str, Any] = field(default_factory=dict)  # by variant
    labels: LabelCheck | None = None
    tuned: Sequence[TunedVariant] = ()
    tried: pd.DataFrame | None = None  # remedies, see `tried_table`
    nexts: Sequence[Suggestion] = ()  # what to try next

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.evaluations[0].dataset

    @property
    def kind(self) -> str:
        """`rendered images` or `photographs`."""
        return kind_words(self.evaluations[0].kind)

    @property
    def seeds_words(self) -> str:
        """The number of seeds, which may differ between variants."""
        counts = sorted({len(evaluation.seeds) for evaluation in self.evaluations})
        return tr("{few} to {many} seeds", few=counts[0], many=counts[-1]) if counts[1:] else plural(counts[0], "seed")

    @cached_property
    def answer(self) -> Answer:
        """The dataset's part of the first screen."""
        return answer_on(self.verdict, self.evaluations)

    @cached_property
    def evidence(self) -> dict[str, list[str]]:
        """By lesson, the sentences that the dataset's own numbers add."""
        return evidence(Study(self.evaluations, self.verdict, self.robustness, self.sweep, self.layers, self.labels))

    @cached_property
    def groups(self) -> dict[str, list[FigureGroup]]:
        """The figures by section; the one of the kept variant is open."""
        return group_figures(self.figures, self.answer.kept)

    @cached_property
    def variants(self) -> list[VariantPart]:
        """The variants, their recipes and their layers."""
        return variant_parts(self.evaluations, self.verdict, self.layers, effects(self.tried))

    @cached_property
    def detectable(self) -> DetectableTable:
        """The smallest differences that the test images decide."""
        return detectable_table(self.verdict)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """One row per variant: its means, its cost and its first comparison; the baseline has none."""
        comparisons = {row.variant: row for row in reversed(self.verdict.comparisons)}
        summaries = tables.summary_table(self.evaluations).merge(
            tables.overfitting_table(self.evaluations), on="variant"
        )
        costs = tables.cost_table(self.evaluations).groupby("variant")["images_per_second"].mean()
        seconds = tables.seconds_per_seed(self.evaluations)
        balanced = {row.variant: row.balanced_accuracy.mean for row in self.verdict.variants}
        return [
            {
                **{str(column): value for column, value in summary.items()},
                "interval": accuracy_interval(evaluation),
                "comparison": comparisons.get(evaluation.variant),
                "balanced_accuracy": balanced[evaluation.variant],
                "seconds_training": seconds[evaluation.variant],
                "seconds_features": evaluation.seconds.features,
                "images_per_second": costs[evaluation.variant],
            }
            for evaluation, summary in zip(self.evaluations, summaries.to_dict("records"), strict=True)
        ]


def write_report(datasets: Sequence[DatasetReport], params_text: str, destination: Path) -> None:
    """Write the page; equal arguments and images give equal bytes. `params_text` is params.yaml as it was run.

    Raises:
        UserError: text and charts alone are larger than the page may be.
    """
    figures = by_importance([(dataset.figures, dataset.groups) for dataset in datasets])
    paths = [figure.path for figure in figures]
    images = {figure.path: figure.embedded or embed_image(figure.path) for figure in figures}
    # A dash, because an empty URI means an image that was left out, for which the page has a sentence.
    without_images = _render(datasets, params_text, {path: replace(image, uri="-") for path, image in images.items()})
    text = _render(datasets, params_text, fit_images(paths, images, PAGE_BUDGET - len(without_images.encode())))
    if (length := len(text.encode())) > PAGE_BUDGET:
        raise UserError(
            f"text and charts alone make {length / 1e6:.1f} MB of the report page, which may have "
            f"{PAGE_BUDGET / 1e6:g}; name fewer datasets in run.datasets of params.yaml"
        )
    write_text(destination, text)


def _render(datasets: Sequence[DatasetReport], params_text: str, images: Mapping[Path, EmbeddedImage]) -> str:
    return render(
        "report.html.j2",
        datasets=datasets,
        steps=_next_steps(datasets),
        nexts=by_command([suggestion for dataset in datasets for suggestion in dataset.nexts]),
        sections=lesson.SECTIONS,
        texts=lesson.texts()["sections"],
        glossary=lesson.glossary(),
        shown={dataset.name: _shown(dataset) for dataset in datasets},
        answers=[figure for dataset in datasets for figure in dataset.figures if figure.section == lesson.ANSWER],
        own_parts=OWN_PARTS,
        more_images=MORE_IMAGES,
        params_text=params_text,
        images=images,
        shown_files=SHOWN_FILES,
        shown_rows=SHOWN_ROWS,
        shown_classes=SHOWN_CLASSES,
        splits=SPLITS,
        fine_tuning={dataset.name: fine_tuning_sentences(dataset.evaluations) for dataset in datasets},
        origins=tables.origins([evaluation for dataset in datasets for evaluation in dataset.evaluations]),
    )


def render(template: str, **content: Any) -> str:
    """Return a page in the one style of all pages."""
    style = (TEMPLATES / "style.css.j2").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    content |= {"style": Markup(style), "style_digest": digest, "tr": tr, "language": lesson.texts()["language"]}
    return _environment().get_template(template).render(content)


def _next_steps(datasets: Sequence[DatasetReport]) -> list[NextStep]:
    looks = sorted({look for dataset in datasets for look in dataset.answer.looks})
    return next_steps([dataset.evaluations for dataset in datasets], looks, bool(datasets[0].verdict.looks))


def _shown(dataset: DatasetReport) -> set[str]:
    """Return the sections that have content."""
    there = {"verdict": True, "variants": True, "cost": True, "data": dataset.summary, "transfer": dataset.backbone}
    return {key for key in lesson.SECTIONS if there.get(key) or key in dataset.groups or key in dataset.evidence}


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "percent": percent,
        "points": points,
        "p": p_value,
        "nats": lambda loss: f"{loss:+.3f}",
        "kind": kind_words,
        "count": lambda value, decimals=0: f"{value:,.{decimals}f}",
    }
    environment.filters.update({name: _or_dash(text) for name, text in filters.items()})
    environment.filters.update(
        text_lines=_text_lines, cell=_cell, linked=lesson.linked, interval=lambda ends: points_interval(*ends)
    )
    return environment


def _or_dash(text: Callable[..., str]) -> Callable[..., str]:
    """Return a format that writes a dash for "no number"."""
    return lambda value, *args: NO_NUMBER if _is_missing(value) else text(value, *args)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _finalize(value: Any) -> Any:
    """Escape control and bidirectional characters in every text that the template prints."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _text_lines(text: str) -> Markup:
    """Escape a text of many lines and keep its line ends."""
    return Markup("\n").join(escape(printable(line)) for line in text.splitlines())


def _cell(value: Any) -> str:
    return "" if _is_missing(value) else f"{value:.4f}" if isinstance(value, float) else str(value)
