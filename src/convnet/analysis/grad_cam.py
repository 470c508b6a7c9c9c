"""Grad-CAM: where in an image a network finds evidence for a class.

Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", 2017.
The library tf-keras-vis has Grad-CAM too, but cannot look into a nested network, as backbones are here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import layers, ops
from numpy.typing import NDArray

from convnet.analysis.example_images import Examples
from convnet.analysis.figure_files import file_name, write_arrays
from convnet.analysis.networks import is_transfer, to_numpy
from convnet.backend.gradients import gradients
from convnet.jobs.predictions import Prediction
from convnet.report.chart import Chart
from convnet.report.charts.grad_cam import grad_cam_chart
from convnet.system.language import mark, tr

LONGEST_NAME = 8  # characters of a class name above an image: two of them fit


def grad_cam(model: keras.Model, images: NDArray[np.uint8], classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return a heat map per image: relu(sum over channels of mean gradient of the score * feature map).

    The feature maps are those of the last convolution, or the output of a nested backbone. Heat maps are not scaled,
    so those of several images can be compared.

    Args:
        model: a saved classifier of pixels 0..255, with one sigmoid or a softmax as its last layer.
        images: uint8 (n, height, width, 3).
        classes: int64 (n,), the class of each image that is explained, usually the predicted one.

    Returns:
        float32 (n, rows, columns), 0 or more, in the resolution of the feature maps.
    """
    point = _point(model)
    maps = keras.Model(model.input, point)(images.astype(np.float32), training=False)  # (n, rows, columns, channels)
    rest = keras.Model(point, model.output)
    units = model.output_shape[-1]
    # A single sigmoid is the score of class 1; its negative is the score of class 0.
    signs = classes[:, np.newaxis] * 2.0 - 1.0 if units == 1 else np.eye(units)[classes]
    with _linear_output(rest):
        slopes = gradients(lambda value: rest(value, training=False) * signs.astype(np.float32), maps)
    weights = ops.mean(ops.cast(slopes, "float32"), axis=(1, 2), keepdims=True)
    return to_numpy(ops.relu(ops.sum(weights * ops.cast(maps, "float32"), axis=-1)))


def draw_grad_cam(
    model: keras.Model,
    variant: str,
    cases: Examples,
    test: Prediction,
    described: Mapping[str, Any],
    destination: Path,
) -> Chart:
    """Write the heat maps of the predicted classes as arrays and return their chart.

    Args:
        model: the network, loaded.
        variant: its variant.
        cases: test images.
        test: its predictions of the test split.
        described: dataset.json.
        destination: folder of the explanations.
    """
    classes, probabilities = described["classes"], test.probabilities[cases.rows]
    said = test.predicted[cases.rows]
    heatmaps = grad_cam(model, cases.images, said)
    write_arrays(
        destination / f"grad_cam_{file_name(variant)}.npz", {"heatmaps": heatmaps, "rows": cases.rows, "classes": said}
    )
    captions, rows = [], []
    for member, true, chosen, of_classes, heat in zip(
        cases.members, test.labels[cases.rows], said, probabilities, heatmaps, strict=True
    ):
        right, wrong = mark("{true}, right"), mark("{true}, said {chosen}")
        names = {"true": _shorten(classes[true]), "chosen": _shorten(classes[chosen])}
        captions.append(tr(right if chosen == true else wrong, **names))
        rows.append((member, classes[true], classes[chosen], float(of_classes[chosen]), float(heat.max())))
    chart = grad_cam_chart(cases.images, heatmaps, captions, variant, described)
    remark = tr("A dark image holds little of it. All networks are shown the same images.")
    table = pd.DataFrame(rows, columns=["file", "true", "said", "probability", "highest_heat"])
    return replace(chart, caption=f"{chart.caption} {remark}", table=table)


def _shorten(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _point(model: keras.Model) -> keras.KerasTensor:
    """Return the output of the last layer that knows places; the layers behind it decide."""
    if is_transfer(model):
        return model.get_layer("pool").input
    return [layer for layer in model.layers if isinstance(layer, layers.Conv2D)][-1].output


@contextmanager
def _linear_output(model: keras.Model) -> Iterator[None]:
    """Take sigmoid or softmax off the last layer for a while: their slope vanishes where a network is confident."""
    last = model.layers[-1]
    while isinstance(last, keras.Model):  # the head of a transfer network
        last = last.layers[-1]
    activation, last.activation = last.activation, keras.activations.linear
    try:
        yield
    finally:
        last.activation = activation
