"""Figures of augmentation, first filters, feature maps and Grad-CAM of a dataset's networks.

Every variant is shown by the network of the run's first seed, and all networks are shown the same test images.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convnet.analysis.augmented_draws import draw_augmented, first_augmentation
from convnet.analysis.example_images import Examples, choose_cases, choose_evenly, read_examples
from convnet.analysis.feature_maps import draw_feature_maps
from convnet.analysis.figure_files import save_chart
from convnet.analysis.first_filters import first_filters
from convnet.analysis.grad_cam import draw_grad_cam
from convnet.analysis.networks import load_network, plan_networks
from convnet.data.arrays import arrays_of_size
from convnet.jobs.predictions import Prediction, Predictions, load_predictions
from convnet.params.schema import Params
from convnet.report.chart import Chart
from convnet.report.charts.augmentation import augmentation_chart
from convnet.report.charts.filters import filters_chart
from convnet.system.errors import UserError
from convnet.system.files import read_json, write_json
from convnet.system.progress import progress


def explain_dataset(params: Params, dataset: str, arrays: Path, models: Path, destination: Path) -> None:
    """Draw all figures of a dataset; equal models and settings give equal bytes.

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
    test = {n.variant: _predictions(models, n.variant, seed)["test"] for n in networks if n.example}
    examples, cases = {}, {}
    for size in {network.image_size for network in networks}:
        examples[size], cases[size] = _choose_images(params, arrays_of_size(arrays, size), test)
    maps, filters, heat = [], [], []
    for network in progress(networks, total=len(networks), label=f"explain {dataset}", unit="networks"):
        model = load_network(models / network.variant / f"seed-{seed}.keras")
        shown = examples[network.image_size]
        maps.append(draw_feature_maps(model, network, shown, params.explain.channels, described, destination))
        if network.example:
            if found := first_filters(model):
                filters.append(filters_chart(found[1], found[0], network.name, described))
            chosen = cases[network.image_size]
            heat.append(draw_grad_cam(model, network.variant, chosen, test[network.variant], described, destination))
    train = _predictions(models, networks[0].variant, seed)["train"]
    draws = _augmentation(params, dataset, arrays, train, described)
    # dvc.yaml names the folder `plots`, and `dvc plots show` shows all of it.
    ordered = [(draws, "plots"), (filters, "."), (maps, "plots"), (heat, ".")]
    figures = [save_chart(chart, destination, folder) for charts, folder in ordered for chart in charts]
    write_json(destination / "figures.json", figures)


def _choose_images(params: Params, arrays: Path, test: Mapping[str, Prediction]) -> tuple[Examples, Examples]:
    """Return the test images for feature maps and those for Grad-CAM."""
    first = next(iter(test.values()))  # the seed's split is the same for all variants
    evenly = choose_evenly(first.labels, params.explain.images, params.split.seed)
    cases = choose_cases(test, params.explain.images, params.split.seed)
    shown = [read_examples(arrays, "test", first, rows, params.run.resplit) for rows in (evenly, cases)]
    return shown[0], shown[1]


def _augmentation(
    params: Params, dataset: str, arrays: Path, train: Prediction, described: Mapping[str, Any]
) -> list[Chart]:
    """Return the chart of augmented draws, if a variant augments."""
    knobs = first_augmentation(params, dataset)
    if knobs is None:
        return []
    rows = choose_evenly(train.labels, params.explain.images, params.split.seed)
    originals = read_examples(arrays, "train", train, rows, params.run.resplit).images
    draws = draw_augmented(originals, knobs, params.explain.draws, params.split.seed)
    return [augmentation_chart(originals, draws, described)]


def _predictions(models: Path, variant: str, seed: int) -> Predictions:
    path = models / variant / "predictions.npz"
    by_seed = load_predictions(path)
    if seed not in by_seed:
        raise UserError(f"{path} holds no seed {seed}; delete it and run `dvc repro`")
    return by_seed[seed]
