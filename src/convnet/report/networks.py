"""The layers of a network as a table, with the words of the course, from its recipe alone: Keras is not needed.

`models/cnn.py` builds the same layers; tests compare both tables.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convnet.evaluation.schema import Evaluation
from convnet.system.formats import plural

KERNEL = 3  # of every convolution, height and width
POOL = 2  # of every max-pooling


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
    layers = [Layer("rescale", (height, width, 3), 0, "divides the pixels by 255, so that values are between 0 and 1")]
    channels = 3
    for number, filters in enumerate(evaluation.recipe["network"]["filters"], start=1):
        height, width = height - KERNEL + 1, width - KERNEL + 1
        layers += _convolution(number, (height, width, filters), channels, lean)
        height, width, channels = height // POOL, width // POOL, filters
        words = f"keeps the largest of each {POOL} × {POOL} values, so height and width halve"  # noqa: RUF001
        layers.append(Layer(f"pool{number}", (height, width, filters), 0, words))
        if dropped:
            words = f"sets {100 * dropped['rate']:g} % of the feature maps to 0 in each training step"
            layers.append(Layer(f"spatial_dropout{number}", (height, width, filters), 0, words))
    shape = layers[-1].shape
    return [*layers, _average(shape) if lean else _flatten(shape)]


def _convolution(number: int, shape: tuple[int, int, int], channels: int, lean: bool) -> list[Layer]:
    """Return a convolution and its activation; a lean network normalises in between and has no biases."""
    filters = shape[2]
    weights, table = KERNEL * KERNEL * channels * filters, f"{KERNEL} × {KERNEL} × {channels}"  # noqa: RUF001
    words = f"{plural(filters, 'filter')} of {table}"
    if not lean:
        return [Layer(f"conv{number}", shape, weights + filters, f"{words}, relu: negative values become 0")]
    return [
        Layer(f"conv{number}", shape, weights, words),
        Layer(f"norm{number}", shape, 4 * filters, "brings each feature map to mean 0 and spread 1, then scales it"),
        Layer(f"relu{number}", shape, 0, "negative values become 0"),
    ]


def _average(shape: tuple[int, ...]) -> Layer:
    return Layer("average", shape[-1:], 0, "takes the mean of each feature map")


def _body(recipe: Mapping[str, Any], backbone: Sequence[Mapping[str, Any]]) -> list[Layer]:
    used = [row for row in backbone if row["used"]]
    shape = tuple(next(row["output_shape"] for row in used if row["cut"]))
    first = recipe.get("trainable_from")
    trained = f"trained from {first} up, frozen below" if first else "frozen: its weights stay as they were"
    words = f"{plural(len(used), 'layer')} up to {recipe['last_layer']}, pretrained; {trained}"
    parts = [Layer(f"backbone {recipe['backbone']}", shape, sum(row["parameters"] for row in used), words)]
    if recipe["pooling"] == "flatten":
        return [*parts, _flatten(shape)]
    return [*parts, _average(shape)]


def _flatten(shape: Sequence[int]) -> Layer:
    return Layer("flatten", (math.prod(shape),), 0, "puts all values into one row")


def _top(evaluation: Evaluation, features: int) -> list[Layer]:
    recipe = evaluation.recipe
    dense = recipe["dense"] if evaluation.backbone else recipe["network"]["dense"]
    words = f"{plural(dense, 'unit')}, each connected to all {features:,} values, relu"
    layers = [Layer("dense", (dense,), features * dense + dense, words)]
    if share := recipe["dropout"]:
        words = f"sets {100 * share:g} % of the values to 0 in each training step, and none in use"
        layers.append(Layer("dropout", (dense,), 0, words))
    units = 1 if len(evaluation.classes) == 2 else len(evaluation.classes)
    return [*layers, Layer("output", (units,), dense * units + units, output_words(evaluation.classes))]


def output_words(classes: Sequence[str]) -> str:
    """Return the units and the activation of the last layer."""
    if len(classes) == 2:
        return f"1 unit, sigmoid: the probability of {classes[1]}; that of {classes[0]} is the rest to 1"
    return f"{len(classes)} units, softmax: one probability per class, together 1"


def loss_words(classes: int, labels: str) -> str:
    """Return the loss in words; `labels` is sparse or one_hot."""
    if classes == 2:
        return "The loss is binary cross-entropy: the mean of -log of the probability that the true class gets."
    form, name = (
        ("a vector with a single 1 (one-hot)", "categorical cross-entropy")
        if labels == "one_hot"
        else ("a number (sparse)", "sparse categorical cross-entropy")
    )
    return f"The loss is {name}: the mean of -log of the probability that the true class gets. A label is {form}."
