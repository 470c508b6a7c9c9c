"""Images of what the networks of a dataset see: augmentation, first filters, feature maps and Grad-CAM.

Of every variant it is the network of the run's first seed, and all networks are shown the same test images.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import matplotlib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from convnet.analysis.feature_maps import feature_maps, first_filters, mapped_layers
from convnet.analysis.grad_cam import grad_cam
from convnet.data.arrays import load_arrays
from convnet.data.splits import SPLITS
from convnet.inference.loading import load_model_checked
from convnet.jobs.predictions import Prediction, load_predictions
from convnet.models.augmentation import RandomAffine
from convnet.params.recipe import FineTuneRecipe, PixelRecipe, resolve
from convnet.params.schema import Augmentation, Params
from convnet.report.chart import Chart
from convnet.report.charts.augmentation import augmentation_chart
from convnet.report.charts.feature_maps import feature_maps_chart
from convnet.report.charts.filters import filters_chart
from convnet.report.charts.grad_cam import grad_cam_chart
from convnet.report.style import STYLE
from convnet.system.errors import UserError
from convnet.system.files import atomic_path, read_json, write_json
from convnet.system.progress import progress
from convnet.training.batches import Rows

DOTS_PER_INCH = 100  # two thirds of a chart's: these images are many, and what they show is coarse
LONGEST_NAME = 8  # of a class, above an image: two of them fit
LARGEST_FLOAT16 = 65504.0
# Their images lie in a folder of their own, which dvc.yaml names: `dvc plots show` takes a whole folder of images.
PLOTTED = ("augmentation", "feature maps")
FROZEN = "the frozen backbone"


@dataclass(frozen=True)
class Network:
    """A trained network to look into.

    Attributes:
        variant: whose it is.
        name: whose feature maps and filters these are, for titles.
        shared_by: the variants that have the same ones.
        layers: of its backbone, to be shown; none where it has no backbone.
        example: the first of its kind, with or without a backbone: its filters and Grad-CAM are shown too.
    """

    variant: str
    name: str
    shared_by: tuple[str, ...]
    layers: tuple[str, ...]
    example: bool


@dataclass(frozen=True)
class Examples:
    """Some images of a split.

    Attributes:
        images: uint8 (n, height, width, 3).
        members: n names in the archives, untrusted text.
        rows: int64 (n,), their rows in the predictions of the split.
    """

    images: NDArray[np.uint8]
    members: list[str]
    rows: NDArray[np.int64]


def explain_dataset(params: Params, dataset: str, arrays: Path, models: Path, destination: Path) -> None:
    """Draw all images of a dataset; equal models and settings give equal bytes.

    Args:
        params: the settings of the run.
        dataset: its name.
        arrays: folder of the prepare stage.
        models: folder that holds one folder per variant.
        destination: gets the PNGs, those for `dvc plots` in `plots`; `figures.json`, a list of section, title, file,
            alt, caption and table (columns and rows, or null) in the order wanted on the page, which shows the feature
            maps of the first chosen image; `feature_maps/<name>_<number>.png`, those of the others;
            `feature_maps_<name>.npz`, layer -> float16 (images, height, width, channels) for all chosen images; and
            `grad_cam_<variant>.npz`, with heatmaps, rows in the test predictions, and the classes explained.

    Raises:
        UserError: a file is missing or damaged.
    """
    described, seed = read_json(arrays / "dataset.json"), params.run.seeds[0]
    networks = plan_networks(params, dataset)
    test = {n.variant: _predictions(models, n.variant, seed)["test"] for n in networks if n.example}
    first = next(iter(test.values()))  # the seed's split is the same for all variants
    shown = choose_evenly(first.labels, params.explain.images, params.split.seed)
    examples = _take(arrays, "test", first, shown, params.run.resplit)
    cases = _take(
        arrays, "test", first, choose_cases(test, params.explain.images, params.split.seed), params.run.resplit
    )
    charts: dict[str, list[Chart]] = {"augmentation": [], "filters": [], "feature maps": [], "grad-cam": []}
    if knobs := _augmentation(params, dataset):
        train = _predictions(models, networks[0].variant, seed)["train"]
        rows = choose_evenly(train.labels, params.explain.images, params.split.seed)
        originals = _take(arrays, "train", train, rows, params.run.resplit).images
        draws = draw_augmented(originals, knobs, params.explain.draws, params.split.seed)
        charts["augmentation"].append(augmentation_chart(originals, draws, described))
    for network in progress(networks, total=len(networks), label=f"explain {dataset}", unit="networks"):
        model = _load(models / network.variant / f"seed-{seed}.keras")
        chart = _look_inside(model, network, examples, params.explain.channels, described, destination)
        charts["feature maps"].append(chart)
        if network.example:
            if filters := first_filters(model):
                charts["filters"].append(filters_chart(filters[1], filters[0], network.name, described))
            chart = _explain_cases(model, network.variant, cases, test[network.variant], described, destination)
            charts["grad-cam"].append(chart)
    figures = [
        _save(chart, destination, "plots" if kind in PLOTTED else ".")
        for kind, of_kind in charts.items()
        for chart in of_kind
    ]
    write_json(destination / "figures.json", figures)


def plan_networks(params: Params, dataset: str) -> list[Network]:
    """Return the networks to look into: those without a backbone, a frozen backbone once, and fine-tuned ones."""
    recipes = {variant: resolve(params, dataset, variant) for variant in params.run.variants}
    plain = [variant for variant, recipe in recipes.items() if isinstance(recipe, PixelRecipe)]
    tuned = [variant for variant, recipe in recipes.items() if isinstance(recipe, FineTuneRecipe)]
    frozen = [variant for variant in recipes if variant not in plain + tuned]
    layers = params.backbones[params.datasets[dataset].backbone].explain_layers
    networks = [Network(variant, variant, (variant,), (), variant == plain[0]) for variant in plain]
    if frozen:
        networks.append(Network(frozen[0], FROZEN, tuple(frozen), layers, True))
    return networks + [
        Network(variant, variant, (variant,), layers, not frozen and variant == tuned[0]) for variant in tuned
    ]


def choose_evenly(kinds: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Draw up to `count` rows, every kind as often as any other as far as there are enough of it.

    Args:
        kinds: int64 (n,), for example the class of each image.
        count: how many rows are wanted.
        seed: decides the draw.

    Returns:
        int64 (count,), the kinds taking turns in ascending order; fewer where there are fewer.
    """
    order = np.random.default_rng([seed]).permutation(len(kinds))
    turn = np.empty(len(kinds), dtype=np.int64)  # how many of its kind come before
    for kind in np.unique(kinds):
        of_kind = order[kinds[order] == kind]
        turn[of_kind] = np.arange(len(of_kind))
    return np.lexsort((kinds, turn))[:count]


def choose_cases(predictions: Mapping[str, Prediction], count: int, seed: int) -> NDArray[np.int64]:
    """Draw up to `count` rows on which variants are right and wrong in every combination that there is, by turns.

    Args:
        predictions: of one split, by variant.
        count: how many rows are wanted.
        seed: decides the draw.
    """
    kinds = np.zeros(len(next(iter(predictions.values())).labels), dtype=np.int64)
    for prediction in predictions.values():
        kinds = 2 * kinds + (prediction.probabilities.argmax(axis=1) != prediction.labels)
    return choose_evenly(kinds, count, seed)


def draw_augmented(images: NDArray[np.uint8], knobs: Augmentation, draws: int, seed: int) -> NDArray[np.uint8]:
    """Return augmented draws of each image, by the layer that training uses: uint8 (n, draws, height, width, 3)."""
    layer = RandomAffine(**knobs.model_dump(), seed=seed, dtype="float32")
    copies = np.repeat(images.astype(np.float32), draws, axis=0)
    moved = keras.ops.convert_to_numpy(layer(copies, training=True))
    drawn: NDArray[np.uint8] = np.clip(np.round(moved), 0, 255).astype(np.uint8)
    return drawn.reshape(len(images), draws, *images.shape[1:])


def _augmentation(params: Params, dataset: str) -> Augmentation | None:
    """Return the knobs of the first variant that augments."""
    knobs = (resolve(params, dataset, variant).augmentation for variant in params.run.variants)
    return next((of_variant for of_variant in knobs if of_variant), None)


def _predictions(models: Path, variant: str, seed: int) -> Mapping[str, Prediction]:
    path = models / variant / "predictions.npz"
    by_seed = load_predictions(path)
    if seed not in by_seed:
        raise UserError(f"{path} holds no seed {seed}; delete it and run `dvc repro`")
    return by_seed[seed]


def _take(arrays: Path, split: str, prediction: Prediction, rows: NDArray[np.int64], resplit: bool) -> Examples:
    """Read the images that rows of a prediction are about."""
    parts = [load_arrays(arrays, name) for name in (SPLITS if resplit else (split,))]
    index = prediction.index[rows]
    images = Rows(tuple(part.images for part in parts), index)[np.arange(len(rows))]
    names = [name for part in parts for name in part.members]
    return Examples(images, [names[i] for i in index], rows)


def _load(path: Path) -> keras.Model:
    keras.backend.clear_session()
    return load_model_checked(path)[0]


def _look_inside(
    model: keras.Model,
    network: Network,
    examples: Examples,
    channels: int,
    described: Mapping[str, Any],
    destination: Path,
) -> Chart:
    """Write the feature maps of all examples, draw their most active `channels`, and return the chart of the first."""
    names = mapped_layers(model, network.layers)
    if not names:
        raise UserError(
            f"explain_layers of {described['dataset']}'s backbone in params.yaml names no layer of it up to its "
            f"last_layer: {', '.join(network.layers) or 'the list is empty'}; name one or more, for example last_layer"
        )
    maps = feature_maps(model, names, examples.images)
    compact = {name: np.clip(of, -LARGEST_FLOAT16, LARGEST_FLOAT16).astype(np.float16) for name, of in maps.items()}
    _write_arrays(destination / f"feature_maps_{_file_name(network.name)}.npz", compact)
    first, *others = (
        feature_maps_chart(image, {name: of[i] for name, of in maps.items()}, network.name, described, channels)
        for i, image in enumerate(examples.images)
    )
    for number, chart in enumerate(others, start=2):
        _draw(chart, destination / "feature_maps" / f"{_file_name(network.name)}_{number}.png")
    remarks = [f"The test image {examples.members[0]}, the same for all networks."]
    if others:
        remarks.append(f"The maps of {len(others)} more lie beside the explain stage's images, in feature_maps.")
    if len(network.shared_by) > 1:
        remarks.append(f"The variants {', '.join(network.shared_by)} share this backbone unchanged.")
    if absent := [name for name in network.layers if name not in names]:
        remarks.append(f"The cut backbone has no {', '.join(absent)}.")
    return replace(first, caption=" ".join([*remarks, first.caption]))


def _explain_cases(
    model: keras.Model,
    variant: str,
    cases: Examples,
    test: Prediction,
    described: Mapping[str, Any],
    destination: Path,
) -> Chart:
    """Write and draw where the network finds what speaks for the class it said."""
    classes, probabilities = described["classes"], test.probabilities[cases.rows]
    said = probabilities.argmax(axis=1)
    heatmaps = grad_cam(model, cases.images, said)
    _write_arrays(
        destination / f"grad_cam_{_file_name(variant)}.npz", {"heatmaps": heatmaps, "rows": cases.rows, "classes": said}
    )
    captions, rows = [], []
    for member, true, chosen, of_classes, heat in zip(
        cases.members, test.labels[cases.rows], said, probabilities, heatmaps, strict=True
    ):
        verdict = "right" if chosen == true else f"said {_shorten(classes[chosen])}"
        captions.append(f"{_shorten(classes[true])}, {verdict}")
        rows.append((member, classes[true], classes[chosen], float(of_classes[chosen]), float(heat.max())))
    chart = grad_cam_chart(cases.images, heatmaps, captions, variant, described)
    remark = "An image that stays dark holds little of it. The same images are shown for every network looked into."
    table = pd.DataFrame(rows, columns=["file", "true", "said", "probability", "highest_heat"])
    return replace(chart, caption=f"{chart.caption} {remark}", table=table)


def _shorten(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _file_name(name: str) -> str:
    return name.replace(" ", "_")


def _save(chart: Chart, destination: Path, folder: str) -> dict[str, Any]:
    """Write the chart's PNG to a folder in `destination` and return its entry for the page."""
    path = destination / folder / f"{_file_name(chart.name)}.png"
    _draw(chart, path)
    return {
        "section": chart.section,
        "title": chart.title,
        "file": path.relative_to(destination).as_posix(),
        "alt": chart.alt,
        "caption": chart.caption,
        "table": None if chart.table is None else _rows(chart.table),
    }


def _rows(table: pd.DataFrame) -> dict[str, Any]:
    return {"columns": list(table.columns), "rows": table.to_dict("split")["data"]}


def _draw(chart: Chart, path: Path) -> None:
    with atomic_path(path) as temporary, matplotlib.rc_context(STYLE):
        chart.figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})


def _write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # the stub takes the names for allow_pickle
