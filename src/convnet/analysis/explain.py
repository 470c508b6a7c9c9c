"""Figures of augmentation, first filters, feature maps and Grad-CAM of a dataset's networks.

Every variant is shown by the network of the run's first seed, and all networks are shown the same test images.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convnet.analysis.augmented_draws import draw_augmented, draw_knobs, first_augmentation
from convnet.analysis.cuts import measure_cuts
from convnet.analysis.example_images import Examples, choose_cases, choose_evenly, read_examples
from convnet.analysis.figure_files import save_chart
from convnet.analysis.kept_figures import bring_figures
from convnet.analysis.network_drawing import GROUPS, NetworkDrawing
from convnet.analysis.networks import FROZEN, Network, plan_networks
from convnet.data.arrays import arrays_of_size
from convnet.jobs.predictions import Prediction, Predictions, load_predictions
from convnet.params.schema import Params
from convnet.report.charts.augmentation import augmentation_chart, knobs_chart
from convnet.report.charts.cuts import cuts_chart
from convnet.system.errors import UserError
from convnet.system.files import read_json, write_json
from convnet.system.progress import progress


def explain_dataset(params: Params, dataset: str, arrays: Path, models: Path, destination: Path) -> None:
    """Draw all figures of a dataset; equal models and settings give equal bytes.

    The figures of networks that did not change come from the job store.

    Args:
        params: the settings of the run.
        dataset: its name.
        arrays: folder of the prepare stage.
        models: folder that holds one folder per variant.
        destination: gets the PNGs, those for `dvc plots` in `plots`; `figures.json`, a list of section, title, file,
            alt, caption and table (columns and rows, or null) in the order of the page, which shows the feature
            maps of the first chosen image; `feature_maps/<name>_<number>.png`, those of the others;
            `feature_maps_<name>.npz`, layer -> float16 (images, height, width, channels) for all chosen images; and
            `grad_cam_<variant>.npz`, with heatmaps, rows in the test predictions, and the classes explained.

    Raises:
        UserError: a file is missing or damaged.
    """
    described, seed = read_json(arrays / "dataset.json"), params.run.seeds[0]
    networks = plan_networks(params, dataset)
    if not networks:
        write_json(destination / "figures.json", [])
        return
    test = {n.variant: _predictions(models, n.variant, seed)["test"] for n in networks if n.example}
    examples, cases = {}, {}
    for size in {network.image_size for network in networks}:
        examples[size], cases[size] = _choose_images(params, arrays_of_size(arrays, size), test)
    entries: dict[str, list[Any]] = {group: [] for group in GROUPS}
    for network in progress(networks, total=len(networks), label=f"explain {dataset}", unit="networks"):
        model, size = models / network.variant / f"seed-{seed}.keras", network.image_size
        drawing = NetworkDrawing(
            network, examples[size], cases[size], test.get(network.variant), params.explain.channels, described
        )
        for group, of_network in drawing.bring(model, params.engine.threads_per_job, destination).items():
            entries[group] += of_network
    frozen = next((network for network in networks if network.name.startswith(FROZEN)), None)
    entries["cuts"] = [] if frozen is None else _cuts(params, frozen, arrays, models, described, destination)
    train = _predictions(models, networks[0].variant, seed)["train"]
    figures = _augmentation(params, dataset, arrays, train, described, destination)
    groups = (*GROUPS, "cuts")
    write_json(destination / "figures.json", figures + [entry for group in groups for entry in entries[group]])


def _choose_images(params: Params, arrays: Path, test: Mapping[str, Prediction]) -> tuple[Examples, Examples]:
    """Return the test images for feature maps and those for Grad-CAM."""
    first = next(iter(test.values()))  # the seed's split is the same for all variants
    evenly = choose_evenly(first.labels, params.explain.images, params.split.seed)
    cases = choose_cases(test, params.explain.images, params.split.seed)
    shown = [read_examples(arrays, "test", first, rows, params.run.own_splits) for rows in (evenly, cases)]
    return shown[0], shown[1]


def _cuts(
    params: Params, network: Network, arrays: Path, models: Path, described: Mapping[str, Any], destination: Path
) -> list[Any]:
    """Draw the chart of several cuts of a frozen backbone, and return its entry of the page."""
    seed = params.run.seeds[0]
    rows = measure_cuts(
        models / network.variant / f"seed-{seed}.keras",
        network,
        arrays_of_size(arrays, network.image_size),
        _predictions(models, network.variant, seed),
        params.split.seed,
        params.run.own_splits,
        params.engine.threads_per_job,
    )
    decides = {"rows": rows, "backbone": network.backbone, "arrays": described}

    def draw(folder: Path) -> list[Any]:
        return [save_chart(cuts_chart(rows, network.backbone, described), folder, ".")]

    entries: list[Any] = bring_figures("cuts", decides, draw, destination)
    return entries


def _augmentation(
    params: Params, dataset: str, arrays: Path, train: Prediction, described: Mapping[str, Any], destination: Path
) -> list[Any]:
    """Draw augmented draws and the single knobs, if a variant augments, and return the entries of the page."""
    knobs = first_augmentation(params, dataset)
    if knobs is None:
        return []
    rows, seed = choose_evenly(train.labels, params.explain.images, params.split.seed), params.split.seed
    examples = read_examples(arrays, "train", train, rows, params.run.own_splits)

    def draw(folder: Path) -> list[Any]:
        draws = draw_augmented(examples.images, knobs, params.explain.draws, seed)
        alone = draw_knobs(examples.images[0], knobs, seed)
        charts = [
            augmentation_chart(examples.images, draws, described),
            knobs_chart(examples.images[0], alone, described),
        ]
        # `dvc plots show` shows some figures of the folder `plots`.
        return [save_chart(chart, folder, place) for chart, place in zip(charts, ("plots", "."), strict=True)]

    settings = [knobs.model_dump(), params.explain.draws, seed, params.engine.threads_per_job]
    decides = {"arrays": described, "images": [train.index[rows].tolist(), examples.members], "settings": settings}
    entries: list[Any] = bring_figures("augmentation", decides, draw, destination)
    return entries


def _predictions(models: Path, variant: str, seed: int) -> Predictions:
    path = models / variant / "predictions.npz"
    by_seed = load_predictions(path)
    if seed not in by_seed:
        raise UserError(f"{path} holds no seed {seed}; delete it and run `dvc repro`")
    return by_seed[seed]
