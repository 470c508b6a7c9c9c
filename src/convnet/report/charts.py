"""Every figure of the report with what a reader needs who cannot see it: text alternative, caption and numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from convnet.comparison.statistics import t_interval
from convnet.report import image_grids as pictures
from convnet.report import plots, tables
from convnet.report.style import Style, title, variant_styles

DOTS = "Each marker is a seed, the upright bar their mean, the line Student's 95 % interval of the mean."
ONE_DOT = "One seed: its spread is unknown."
BANDS = "Lines join means, dots are seeds, bands are Student's 95 % intervals of the means."
POWER_LAW = "The dotted line is the fitted power law; its open marker stands at twice the largest number of images."


@dataclass(frozen=True)
class Chart:
    """A figure, and what it says in words and numbers."""

    name: str  # of its files, without a suffix
    section: str  # of the page
    title: str
    alt: str
    caption: str  # how to read it
    table: tables.Table | None
    figure: Figure


def dataset_charts(
    evaluations: Sequence[tables.Evaluation], variants: Sequence[str], robustness: Sequence[Mapping[str, Any]] = ()
) -> list[Chart]:
    """Return every chart that the evaluations of one dataset allow.

    Args:
        evaluations: of one dataset, in the order wanted.
        variants: all variants of the run, so that colours agree over datasets.
        robustness: rows of `robustness.measure_robustness`, none where it was not measured.
    """
    styles = variant_styles(variants)
    charts = [
        _accuracy_chart(evaluations, styles),
        _gap_chart(evaluations, styles),
        _curves_chart(evaluations, "accuracy", styles),
        _curves_chart(evaluations, "loss", styles),
        _confusion_chart(evaluations),
        _reliability_chart(evaluations, styles),
    ]
    if robustness:
        charts.append(_robustness_chart(evaluations[0], robustness, styles))
    if len(evaluations) > 1:
        charts.append(_cost_chart(evaluations, styles))
    return charts


def training_size_chart(
    evaluation: tables.Evaluation, curves: Mapping[str, plots.SizeCurve], variants: Sequence[str]
) -> Chart:
    """Return the chart of accuracy and generalisation gap against the number of training images.

    Args:
        evaluation: any one of the dataset.
        curves: by variant of the size sweep.
        variants: all variants of the run.
    """
    ends = {
        f"{name} with {size:,.0f} images": tables.mean(seeds)
        for name, curve in curves.items()
        for size, seeds in curve.accuracies[-1:]
    }
    fits = any(curve.fit for curve in curves.values())
    return Chart(
        "training_size",
        "More images",
        title("Accuracy by number of training images", evaluation),
        _alt("Mean test accuracy", ends),
        " ".join([*(f"{name}: {curve.sentence}" for name, curve in curves.items()), BANDS, *([POWER_LAW] * fits)]),
        _size_table(curves),
        plots.training_size_figure(evaluation, curves, variant_styles(variants)),
    )


def top_losses_chart(
    evaluation: tables.Evaluation, images: NDArray[np.uint8], worst: Sequence[tables.TopLoss]
) -> Chart:
    """Return the gallery of the test images that a variant is most wrong about.

    Args:
        evaluation: of the variant.
        images: (n, height, width, 3), in the order of `worst`.
        worst: from `tables.top_losses`.
    """
    variant = evaluation["variant"]
    columns = ("file", "true", "predicted", "probability", "loss")
    rows = tuple((item.member, item.true, item.predicted, item.probability, item.loss) for item in worst)
    named = "; ".join(f"a {item.true} taken for {item.predicted}" for item in worst[:4])
    return Chart(
        f"top_losses_{variant}",
        "Mistakes",
        title(f"Highest losses of {variant}", evaluation),
        f"The {len(worst)} test images with the highest loss of {variant}, worst first: {named}.",
        "Worst first, by the mean loss over seeds; the percentage is the mean probability of the class said. "
        "A wrong label in the data shows here first.",
        tables.Table(columns, rows),
        pictures.top_losses_figure(images, worst, variant, evaluation),
    )


def feature_maps_chart(
    image: NDArray[np.uint8],
    layers: Mapping[str, pictures.Floats],
    variant: str,
    dataset: Mapping[str, Any],
    most: int = pictures.MOST_CHANNELS,
) -> Chart:
    """Return the feature maps of one image.

    Args:
        image: (height, width, 3).
        layers: feature maps (height, width, channels) by layer name, in the order of the network.
        variant: whose network it is.
        dataset: anything with the keys dataset and images.
        most: channels of a layer that are shown.
    """
    tiled = {name: pictures.tile_channels(maps, most) for name, maps in layers.items()}
    rows = tuple((name, tiles.channels, tiles.shown, tiles.dead) for name, tiles in tiled.items())
    return Chart(
        f"feature_maps_{variant}",
        "What the network sees",
        title(f"Feature maps of {variant}", dataset),
        f"One image and what {len(layers)} layers of {variant} make of it, from {next(iter(layers))} on: the maps get "
        "smaller and more abstract.",
        "Each tile is a channel, standardised on its own: colours tell where it reacts, not how strongly. A grey tile "
        "is dead: it has the same value everywhere. Of wide layers the most active channels are shown.",
        tables.Table(("layer", "channels", "shown", "dead"), rows),
        pictures.feature_maps_figure(image, layers, variant, dataset, most),
    )


def augmentation_chart(originals: NDArray[np.uint8], draws: NDArray[np.uint8], dataset: Mapping[str, Any]) -> Chart:
    """Return the preview of augmentation.

    Args:
        originals: (n, height, width, 3).
        draws: (n, draws, height, width, 3).
        dataset: anything with the keys dataset and images.
    """
    return Chart(
        "augmentation",
        "What the network sees",
        title("Augmentation of training images", dataset),
        f"{draws.shape[0]} training images and {draws.shape[1]} augmented draws of each.",
        "The network never sees the same draw twice: every epoch draws anew.",
        None,
        pictures.augmentation_figure(originals, draws, dataset),
    )


def grad_cam_chart(
    images: NDArray[np.uint8],
    heatmaps: pictures.Floats,
    captions: Sequence[str],
    variant: str,
    dataset: Mapping[str, Any],
) -> Chart:
    """Return where a network looks.

    Args:
        images: (n, height, width, 3).
        heatmaps: (n, rows, columns), 0 or more.
        captions: n texts, for example "cat, said dog".
        variant: whose network it is.
        dataset: anything with the keys dataset and images.
    """
    return Chart(
        f"grad_cam_{variant}",
        "What the network sees",
        title(f"Where {variant} looks", dataset),
        f"Grad-CAM of {variant} over {len(images)} test images: {'; '.join(captions)}.",
        "Bright is where the network found what speaks for the class it said; all images share one scale.",
        None,
        pictures.grad_cam_figure(images, heatmaps, captions, variant, dataset),
    )


def filters_chart(kernels: pictures.Floats, layer: str, variant: str, dataset: Mapping[str, Any]) -> Chart:
    """Return the filters of the first layer.

    Args:
        kernels: (height, width, 3, filters).
        layer: its name.
        variant: whose network it is.
        dataset: anything with the keys dataset and images.
    """
    return Chart(
        f"filters_{variant}",
        "What the network sees",
        title(f"Filters of the first layer of {variant}", dataset),
        f"The {kernels.shape[3]} filters of {layer} as small colour images.",
        "Grey is 0; a filter reacts most to image patches that look like it. All share one scale.",
        None,
        pictures.filters_figure(kernels, layer, variant, dataset),
    )


def _accuracy_chart(evaluations: Sequence[tables.Evaluation], styles: Mapping[str, Style]) -> Chart:
    values = {e["variant"]: tables.split_values(e, "test", "accuracy") for e in evaluations}
    return Chart(
        "accuracy",
        "Test accuracy",
        title("Test accuracy", evaluations[0]),
        _alt("Mean test accuracy", {name: tables.mean(seeds) for name, seeds in values.items()}),
        _dots_caption(evaluations),
        _seed_table("test_accuracy", evaluations, values),
        plots.dots_figure(evaluations, values, "test accuracy", styles, 0.0),
    )


def _gap_chart(evaluations: Sequence[tables.Evaluation], styles: Mapping[str, Style]) -> Chart:
    values = {e["variant"]: [float(run["generalisation_gap"]) for run in e["seeds"]] for e in evaluations}
    return Chart(
        "gap",
        "Overfitting",
        title("Generalisation gap", evaluations[0]),
        _alt(
            "Accuracy on training less accuracy on validation images",
            {name: tables.mean(seeds) for name, seeds in values.items()},
        ),
        "Accuracy on training less accuracy on validation images, by the saved model: the further right, the more "
        f"overfitting. {_dots_caption(evaluations)}",
        _seed_table("gap", evaluations, values),
        plots.dots_figure(evaluations, values, "generalisation gap", styles, -1.0),
    )


def _curves_chart(evaluations: Sequence[tables.Evaluation], metric: str, styles: Mapping[str, Style]) -> Chart:
    means = {e["variant"]: plots.mean_curve(plots.learning_curves(e, metric)) for e in evaluations}
    rows = tuple(
        (name, epoch, train, validation)
        for name, curve in means.items()
        for epoch, train, validation in zip(curve.epochs, curve.train, curve.validation, strict=True)
    )
    ends = []
    for name, curve in means.items():
        values = (curve.train[-1], curve.validation[-1])
        train, validation = (f"{100 * v:.1f} %" if metric == "accuracy" else f"{v:.3f}" for v in values)
        ends.append(f"{name} ends at {train} on training and {validation} on validation images")
    turn = "A validation loss that rises while the training loss falls is overfitting. " if metric == "loss" else ""
    seeds = "Thick lines are means over seeds, thin lines seeds. " if len(evaluations[0]["seeds"]) > 1 else ""
    return Chart(
        f"curves_{metric}",
        "Overfitting",
        title(f"{metric.capitalize()} per epoch", evaluations[0]),
        f"{metric.capitalize()} per epoch, mean over seeds: {'; '.join(ends)}.",
        f"{turn}{seeds}Every panel has its own number of epochs. Training values are means over an epoch with "
        "augmentation and dropout on, so they may lie below the validation values.",
        tables.Table(("variant", "epoch", f"train_{metric}", f"validation_{metric}"), rows),
        plots.curves_figure(evaluations, metric, styles),
    )


def _confusion_chart(evaluations: Sequence[tables.Evaluation]) -> Chart:
    shares = {e["variant"]: tables.mean(tables.split_values(e, "test", "accuracy")) for e in evaluations}
    return Chart(
        "confusion",
        "Mistakes",
        title("Test images by true and predicted class", evaluations[0]),
        _alt("Share of test images predicted as their true class", shares),
        "Rows are true classes, columns predicted ones; counts are summed over seeds, percentages are of the row.",
        _without_key(tables.confusion_table(evaluations)),
        plots.confusion_figure(evaluations),
    )


def _reliability_chart(evaluations: Sequence[tables.Evaluation], styles: Mapping[str, Style]) -> Chart:
    errors = {e["variant"]: tables.mean(tables.split_values(e, "test", "calibration_error")) for e in evaluations}
    return Chart(
        "reliability",
        "Mistakes",
        title("Reliability on test images", evaluations[0]),
        _alt("Expected calibration error on test images", errors),
        "Is it right as often as it is sure? Markers below the diagonal are overconfident; their area is the number of "
        "images. Seeds are pooled.",
        _without_key(tables.reliability_table(evaluations)),
        plots.reliability_figure(evaluations, styles),
    )


def _robustness_chart(
    evaluation: tables.Evaluation, rows: Sequence[Mapping[str, Any]], styles: Mapping[str, Style]
) -> Chart:
    curves = plots.robustness_curves(rows, "validation")
    ends = {
        f"{perturbation} at strength {points[-1][0]:g}, {variant}": tables.mean(points[-1][1])
        for perturbation, lines in curves.items()
        for variant, points in lines.items()
    }
    columns = ("split", "perturbation", "strength", "variant", "accuracy")
    numbers = tuple(
        (row["split"], row["perturbation"], row["strength"], row["variant"], tables.mean(row["accuracy"]))
        for row in rows
    )
    return Chart(
        "robustness",
        "Perturbed images",
        title("Accuracy on perturbed validation images", evaluation),
        _alt("Validation accuracy at the greatest strength", ends),
        "The validation images, changed more and more; strength 0 is the image as it is. Lines join means, dots are "
        "seeds. What falls early has learnt what the images happen to share, not the object.",
        tables.Table(columns, numbers),
        plots.robustness_figure(evaluation, curves, styles),
    )


def _cost_chart(evaluations: Sequence[tables.Evaluation], styles: Mapping[str, Style]) -> Chart:
    points = plots.cost_points(evaluations)
    sentence = ", ".join(f"{name} {100 * y:.1f} % in {x:.3g} s" for name, (x, y) in points.items())
    return Chart(
        "cost",
        "Cost against accuracy",
        title("Cost against accuracy", evaluations[0]),
        f"Mean test accuracy and seconds of training per seed: {sentence}.",
        "Up and to the left is better. Seconds are measured on the machine named below; fine-tuning includes the "
        "training it starts from. The backbone's one pass over all images, which transfer variants share, is not in "
        "them.",
        tables.Table(
            ("variant", "seconds_per_seed", "test_accuracy"), tuple((n, x, y) for n, (x, y) in points.items())
        ),
        plots.cost_figure(evaluations, styles),
    )


def _alt(what: str, shares: Mapping[str, float]) -> str:
    return f"{what}: " + ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items()) + "."


def _dots_caption(evaluations: Sequence[tables.Evaluation]) -> str:
    return DOTS if len(evaluations[0]["seeds"]) > 1 else ONE_DOT


def _size_table(curves: Mapping[str, plots.SizeCurve]) -> tables.Table:
    columns = ("interval_low", "interval_high", "power_law", "generalisation_gap")
    rows = tuple(
        (
            name,
            int(size),
            tables.mean(accuracies),
            *(np.clip(interval, 0.0, 1.0).tolist() if (interval := t_interval(accuracies)) else (None, None)),
            curve.fitted([size])[0] if curve.fit else None,
            tables.mean(gaps),
        )
        for name, curve in curves.items()
        for (size, accuracies), (_, gaps) in zip(curve.accuracies, curve.gaps, strict=True)
    )
    return tables.Table(("variant", "training_images", "test_accuracy", *columns), rows)


def _seed_table(
    what: str, evaluations: Sequence[tables.Evaluation], values: Mapping[str, Sequence[float]]
) -> tables.Table:
    rows = tuple(
        (evaluation["variant"], run["seed"], value)
        for evaluation in evaluations
        for run, value in zip(evaluation["seeds"], values[evaluation["variant"]], strict=True)
    )
    return tables.Table(("variant", "seed", what), rows)


def _without_key(table: tables.Table) -> tables.Table:
    """Drop dataset and images, which are the same in every row of one dataset."""
    kept = [i for i, column in enumerate(table.columns) if column not in ("dataset", "kind")]
    rows = tuple(tuple(row[i] for i in kept) for row in table.rows)
    return tables.Table(tuple(table.columns[i] for i in kept), rows)
