"""Draw every chart of a run and write the page and the model cards; no network is loaded."""

import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convnet.data.arrays import load_arrays
from convnet.data.splits import SPLITS
from convnet.report import charts, tables
from convnet.report.backbone_text import told_backbone
from convnet.report.model_card import write_model_card
from convnet.report.page import DatasetReport, Picture, write_report
from convnet.report.plots import Point, SizeCurve
from convnet.report.style import save_figure
from convnet.system.files import read_json
from convnet.system.processes import map_in_processes, usable_cores
from convnet.system.progress import progress, show_progress_every

TOP_LOSSES = 8  # images in each gallery


@dataclass(frozen=True)
class Folders:
    """Where the stages before left what the report shows."""

    evaluations: Path
    tables: Path
    splits: Path
    arrays: Path
    explanations: Path
    robustness: Path
    sweeps: Path
    features: Path
    backbones: Path


def report(
    folders: Folders, datasets: Sequence[str], variants: Sequence[str], params_text: str, destination: Path
) -> None:
    """Write figures, model cards and index.html to `destination`; equal inputs give equal bytes.

    Args:
        folders: what earlier stages wrote.
        datasets: in the order wanted.
        variants: in the order wanted; their colours agree over all figures.
        params_text: params.yaml as it was run.
        destination: the reports folder.
    """
    of_dataset = partial(_report_dataset, folders, variants, destination)
    processes = min(len(datasets), usable_cores())
    drawn = map_in_processes(of_dataset, datasets, processes, items_per_task=1)
    write_report(list(drawn), params_text, destination / "index.html")


def _report_dataset(folders: Folders, variants: Sequence[str], destination: Path, dataset: str) -> DatasetReport:
    """Draw a dataset's charts, write its model cards, and return what the page shows of it."""
    if multiprocessing.parent_process():
        show_progress_every(None)  # two bars in one terminal would overwrite each other
    verdict = read_json(folders.tables / "verdict.json")[dataset]
    evaluations = [read_json(folders.evaluations / f"{dataset}-{variant}.json") for variant in variants]
    drawn = _draw(_charts(folders, dataset, evaluations, variants), destination / "figures" / dataset)
    backbone = read_json(folders.backbones / dataset / "backbone.json")
    for evaluation in evaluations:
        card = destination / "model_cards" / f"{dataset}-{evaluation['variant']}.md"
        write_model_card(evaluation, verdict, backbone, card)
    return DatasetReport(
        evaluations=evaluations,
        verdict=verdict,
        summary=read_json(folders.splits / f"{dataset}.summary.json"),
        pictures=[*drawn, *_explained(folders.explanations / dataset)],
        backbone=told_backbone(folders.backbones / dataset, evaluations),
        layers=_layers(folders.features / dataset),
    )


def _charts(
    folders: Folders, dataset: str, evaluations: Sequence[tables.Evaluation], variants: Sequence[str]
) -> list[charts.Chart]:
    robustness = read_json(folders.robustness / f"{dataset}.json")["rows"]
    drawn = charts.dataset_charts(evaluations, variants, robustness)
    sweep = read_json(folders.sweeps / f"{dataset}.json")["variants"]
    if sweep:
        drawn.append(charts.training_size_chart(evaluations[0], size_curves(sweep), variants))
    for evaluation in evaluations:
        worst = tables.top_losses(evaluation, TOP_LOSSES)
        images = _images_of(folders.arrays / dataset, [item.member for item in worst])
        drawn.append(charts.top_losses_chart(evaluation, images, worst))
    return drawn


def size_curves(sweep: Mapping[str, Any]) -> dict[str, SizeCurve]:
    """Return the curve of every variant of a size sweep, from what `sweep.summarise_sweep` returned."""
    curves = {}
    for variant, measured in sweep.items():
        points, law = measured["points"], measured["curve"]
        fit = None if law["refused"] else (law["a"], law["b"], law["c"])
        accuracies, gaps = _by_size(points, "test_accuracy"), _by_size(points, "generalisation_gap")
        curves[variant] = SizeCurve(accuracies, gaps, fit, law["sentence"])
    return curves


def _by_size(points: Sequence[Mapping[str, Any]], name: str) -> tuple[Point, ...]:
    """Return (training images, values of the seeds), fewest images first."""
    by_size: dict[float, list[float]] = {}
    for point in points:
        by_size.setdefault(float(point["training_images"]), []).append(float(point[name]))
    return tuple(sorted(by_size.items()))


def _images_of(arrays: Path, members: Sequence[str]) -> NDArray[np.uint8]:
    """Return the images of archive members, whichever split they are in: (n, height, width, 3)."""
    opened = [load_arrays(arrays, split) for split in SPLITS]
    places = {member: (part, row) for part in opened for row, member in enumerate(part.members)}
    return np.stack([part.images[row] for part, row in (places[member] for member in members)])


def _draw(drawn: Sequence[charts.Chart], folder: Path) -> list[Picture]:
    pictures = []
    for chart in progress(drawn, total=len(drawn), label=f"draw {folder.name}", unit="figures"):
        png, _ = save_figure(chart.figure, folder / chart.name)
        pictures.append(Picture(chart.section, chart.title, png, chart.alt, chart.caption, chart.table))
    return pictures


def _explained(folder: Path) -> list[Picture]:
    return [
        Picture(
            entry["section"],
            entry["title"],
            folder / entry["file"],
            entry["alt"],
            entry["caption"],
            tables.Table(tuple(entry["table"]["columns"]), tuple(map(tuple, entry["table"]["rows"])))
            if entry["table"]
            else None,
        )
        for entry in read_json(folder / "pictures.json")
    ]


def _layers(folder: Path) -> list[dict[str, Any]]:
    path = folder / "layers.json"
    return list(read_json(path)) if path.exists() else []
