"""The layers of a network as a table, with the words of the course, from its recipe alone: Keras is not needed.

`models/cnn.py` builds the same layers; tests compare both tables.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convnet.evaluation.schema import Evaluation
from convnet.system.formats import plural
from convnet.system.language import mark, tr

KERNEL = 3  # of every convolution, height and width
POOL = 2  # of every max-pooling
NORMALISES = mark("brings each feature map to mean 0 and spread 1, then scales it")


@dataclass(frozen=True)
class Layer:
    """A row of the table."""

    name: str
    shape: tuple[int, ...]  # of the output of one image
    parameters: int
    words: str


def network_layers(evaluation: Evaluation, backbone: Sequence[Mapping[str, Any]]) -> list[Layer]:
    """Return the layers of a variant's network.

    Args:
        evaluation: of the variant.
        backbone: rows of layers.json; only used by a variant with a backbone.
    """
    layers = _body(evaluation.recipe, backbone) if evaluation.backbone else _cnn_body(evaluation)
    return layers + _top(evaluation, layers[-1].shape[0])


def _cnn_body(evaluation: Evaluation) -> list[Layer]:
    height, width = evaluation.image_size
    remedies = evaluation.recipe.get("remedies", {})
    lean, dropped = "lean" in remedies, remedies.get("spatial_dropout")
    words = tr("divides the pixels by 255, so that values are between 0 and 1")
    layers = [Layer("rescale", (height, width, 3), 0, words)]
    channels = 3
    for number, filters in enumerate(evaluation.recipe["network"]["filters"], start=1):
        height, width = height - KERNEL + 1, width - KERNEL + 1
        layers += _convolution(number, (height, width, filters), channels, lean)
        height, width, channels = height // POOL, width // POOL, filters
        words = tr("keeps the largest of each {size} values, so height and width halve", size=f"{POOL} × {POOL}")  # noqa: RUF001
        layers.append(Layer(f"pool{number}", (height, width, filters), 0, words))
        if dropped:
            share = 100 * dropped["rate"]
            words = tr("sets {share:g} % of the feature maps to 0 in each training step", share=share)
            layers.append(Layer(f"spatial_dropout{number}", (height, width, filters), 0, words))
    shape = layers[-1].shape
    return [*layers, _average(shape) if lean else _flatten(shape)]


def _convolution(number: int, shape: tuple[int, int, int], channels: int, lean: bool) -> list[Layer]:
    """Return a convolution and its activation; a lean network normalises in between and has no biases."""
    filters = shape[2]
    weights, table = KERNEL * KERNEL * channels * filters, f"{KERNEL} × {KERNEL} × {channels}"  # noqa: RUF001
    words = tr("{filters} of {size}", filters=plural(filters, "filter"), size=table)
    if not lean:
        words = tr("{filters}, relu: negative values become 0", filters=words)
        return [Layer(f"conv{number}", shape, weights + filters, words)]
    return [
        Layer(f"conv{number}", shape, weights, words),
        Layer(f"norm{number}", shape, 4 * filters, tr(NORMALISES)),
        Layer(f"relu{number}", shape, 0, tr("negative values become 0")),
    ]


def _average(shape: tuple[int, ...]) -> Layer:
    return Layer("average", shape[-1:], 0, tr("takes the mean of each feature map"))


def _body(recipe: Mapping[str, Any], backbone: Sequence[Mapping[str, Any]]) -> list[Layer]:
    used = [row for row in backbone if row["used"]]
    shape = tuple(next(row["output_shape"] for row in used if row["cut"]))
    first = recipe.get("trainable_from")
    trained = mark("{layers} up to {last}, pretrained; trained from {first} up, frozen below")
    frozen = mark("{layers} up to {last}, pretrained; frozen: its weights stay as they were")
    layers = plural(len(used), "layer")
    words = tr(trained if first else frozen, layers=layers, last=recipe["last_layer"], first=first)
    parts = [Layer(f"backbone {recipe['backbone']}", shape, sum(row["parameters"] for row in used), words)]
    if recipe["pooling"] == "flatten":
        return [*parts, _flatten(shape)]
    return [*parts, _average(shape)]


def _flatten(shape: Sequence[int]) -> Layer:
    return Layer("flatten", (math.prod(shape),), 0, tr("puts all values into one row"))


def _top(evaluation: Evaluation, features: int) -> list[Layer]:
    recipe = evaluation.recipe
    dense = recipe["dense"] if evaluation.backbone else recipe["network"]["dense"]
    each = mark("{units}, each connected to all {values:,} values, relu")
    words = tr(each, units=plural(dense, "unit"), values=features)
    layers = [Layer("dense", (dense,), features * dense + dense, words)]
    if share := recipe["dropout"]:
        words = tr("sets {share:g} % of the values to 0 in each training step, and none in use", share=100 * share)
        layers.append(Layer("dropout", (dense,), 0, words))
    units = 1 if len(evaluation.classes) == 2 else len(evaluation.classes)
    return [*layers, Layer("output", (units,), dense * units + units, output_words(evaluation.classes))]


def output_words(classes: Sequence[str]) -> str:
    """Return the units and the activation of the last layer."""
    if len(classes) == 2:
        one = mark("1 unit, sigmoid: the probability of {second}; that of {first} is the rest to 1")
        return tr(one, first=classes[0], second=classes[1])
    return tr("{count} units, softmax: one probability per class, together 1", count=len(classes))


def loss_words(classes: int, labels: str) -> str:
    """Return the loss in words; `labels` is sparse or one_hot."""
    if classes == 2:
        return tr("The loss is binary cross-entropy: the mean of -log of the probability that the true class gets.")
    if labels == "one_hot":
        return tr(
            "The loss is categorical cross-entropy: the mean of -log of the probability that the true class gets. A "
            "label is a vector with a single 1 (one-hot)."
        )
    return tr(
        "The loss is sparse categorical cross-entropy: the mean of -log of the probability that the true class gets. A "
        "label is a number (sparse)."
    )
