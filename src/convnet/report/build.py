"""Draw every chart of a run, and write the page and the model cards; no network is loaded."""

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from convnet.comparison.cautions import with_words
from convnet.comparison.schema import Verdict, read_verdicts
from convnet.data.arrays import load_arrays
from convnet.data.splits import SPLITS
from convnet.evaluation.schema import Evaluation, read_evaluation, read_label_check
from convnet.jobs.feature_sets import backbone_folder
from convnet.params.section import Language
from convnet.report.backbone_text import describe_backbone
from convnet.report.catalogue import in_language
from convnet.report.chart import Chart, Images, Numbers
from convnet.report.charts import (
    accuracy,
    confusion,
    cost,
    curves,
    differences,
    gap,
    learning_curve,
    mislabelled,
    reliability,
    robustness,
    top_losses,
)
from convnet.report.embedding import embed_image
from convnet.report.figures import Figure
from convnet.report.kept_galleries import embed_kept, save_gallery
from convnet.report.model_card import write_model_card
from convnet.report.next_tries import Known, next_tries
from convnet.report.page import DatasetReport, write_report
from convnet.report.plot_images import write_plot_images
from convnet.report.style import save_figure, variant_styles
from convnet.report.summary import write_summary
from convnet.report.tried import tried_table
from convnet.report.tuning import tuned_variants
from convnet.system.files import read_json
from convnet.system.processes import map_in_processes, usable_cores
from convnet.system.progress import progress, show_progress_every

# The charts of a dataset, in the order of the page. Each returns no chart where its numbers are missing.
CHARTS: tuple[Callable[[Numbers], list[Chart]], ...] = (
    differences.charts,
    accuracy.charts,
    gap.charts,
    curves.charts,
    confusion.charts,
    reliability.charts,
    robustness.charts,
    cost.charts,
    learning_curve.charts,
    mislabelled.charts,
    top_losses.charts,  # last: where the page is full, its galleries are the first to be left out
)


@dataclass(frozen=True)
class Folders:
    """The folders of earlier stages."""

    plans: Path
    evaluations: Path
    tables: Path
    splits: Path
    arrays: Path
    explanations: Path
    robustness: Path
    sweeps: Path
    features: Path
    backbones: Path
    tuning: Path


def report(
    folders: Folders, datasets: Sequence[str], variants: Sequence[str], destination: Path, language: Language = "en"
) -> None:
    """Write figures, model cards, index.html, summary.md and the images of `dvc plots` to `destination`.

    Equal inputs give equal bytes. Datasets and variants come in the order wanted. Model cards are English.
    """
    of_dataset = partial(_report_dataset, folders, variants, destination, language)
    processes = min(len(datasets), usable_cores())
    drawn = map_in_processes(of_dataset, datasets, processes, items_per_task=1)
    datasets_drawn = list(drawn)
    with in_language(language):
        write_report(datasets_drawn, _settings(folders.plans, datasets), destination / "index.html")
        write_summary([(dataset.verdict, dataset.answer) for dataset in datasets_drawn], destination / "summary.md")
    write_plot_images(folders.explanations, datasets, destination / "images")


def _settings(plans: Path, datasets: Sequence[str]) -> str:
    """Return the settings of all stages as YAML."""
    settings = {
        dataset: {path.stem: read_json(path) for path in sorted((plans / dataset).glob("*.json"))}
        for dataset in datasets
    }
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)


def draw_charts(numbers: Numbers) -> list[Chart]:
    """Return every chart that the numbers of a dataset allow, in the order of the page."""
    return [chart for charts in CHARTS for chart in charts(numbers)]


def _report_dataset(
    folders: Folders, variants: Sequence[str], destination: Path, language: Language, dataset: str
) -> DatasetReport:
    """Draw a dataset's charts, write its model cards, and return its part of the page."""
    if multiprocessing.parent_process():
        show_progress_every(None)  # two bars in one terminal would overwrite each other
    verdict = read_verdicts(folders.tables / "verdict.json")[dataset]
    evaluations = [
        read_evaluation(folders.evaluations / dataset / "variants" / f"{variant}.json") for variant in variants
    ]
    for evaluation in evaluations:
        place = backbone_folder(folders.backbones / dataset, evaluation.backbone or "")
        backbone = read_json(place / "backbone.json")
        card = destination / "model_cards" / f"{dataset}-{evaluation.variant}.md"
        write_model_card(evaluation, verdict, backbone, card)
    against = read_json(folders.plans / "run.json")["against"]
    with in_language(language):
        return _part_of_page(folders, evaluations, with_words(verdict, evaluations, against), variants, destination)


def _part_of_page(
    folders: Folders,
    evaluations: Sequence[Evaluation],
    verdict: Verdict,
    variants: Sequence[str],
    destination: Path,
) -> DatasetReport:
    dataset = verdict.dataset
    numbers = Numbers(
        evaluations,
        variant_styles(variants),
        read_json(folders.robustness / f"{dataset}.json")["rows"],
        read_json(folders.sweeps / f"{dataset}.json")["variants"],
        partial(_images_of, folders.arrays / dataset),
        verdict,
        read_label_check(folders.evaluations / dataset),
    )
    explained = _explained(folders.explanations / dataset)
    figures = _save(draw_charts(numbers), destination / "figures" / dataset)
    layers = folders.features / dataset / "layers.json"
    tried, untried = (read_json(folders.plans / name) for name in ("tried.json", "untried.json"))
    remedies = {variant: {remedy["name"] for remedy in found} for variant, found in tried[dataset].items()}
    return DatasetReport(
        evaluations=evaluations,
        verdict=verdict,
        summary=read_json(folders.splits / f"{dataset}.summary.json"),
        figures=[*explained, *figures],
        backbone=describe_backbone(folders.backbones / dataset, evaluations),
        layers=read_json(layers) if layers.exists() else [],
        robustness=numbers.robustness,
        sweep=numbers.sweep,
        labels=numbers.labels,
        tuned=tuned_variants(read_json(folders.tuning / f"{dataset}.json")),
        tried=tried_table(evaluations, tried[dataset]),
        nexts=next_tries(Known(verdict, evaluations, remedies, untried)),
    )


def _images_of(arrays: Path, members: Sequence[str]) -> Images:
    """Return the images of archive members of any split: (n, height, width, 3)."""
    opened = [load_arrays(arrays, split) for split in SPLITS]
    places = {member: (part, row) for part in opened for row, member in enumerate(part.members)}
    return np.stack([part.images[row] for part, row in (places[member] for member in members)])


def _save(drawn: Sequence[Chart], folder: Path) -> list[Figure]:
    figures = []
    for chart in progress(drawn, total=len(drawn), label=f"draw {folder.name}", unit="figures"):
        if chart.is_gallery:
            png = folder / f"{chart.name}.png"
            save_gallery(chart.figure, png)
            embedded = embed_kept(png)
        else:
            png, _ = save_figure(chart.figure, folder / chart.name)
            embedded = embed_image(png)
        figures.append(Figure(chart.section, chart.title, png, chart.alt, chart.caption, chart.table, embedded))
    return figures


def _explained(folder: Path) -> list[Figure]:
    """Return the figures of the explain stage."""
    figures = []
    for entry in read_json(folder / "figures.json"):
        table = pd.DataFrame(entry["table"]["rows"], columns=entry["table"]["columns"]) if entry["table"] else None
        path = folder / entry["file"]
        words = entry["alt"], entry["caption"]
        figures.append(Figure(entry["section"], entry["title"], path, *words, table, embed_kept(path)))
    return figures
