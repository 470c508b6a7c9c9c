"""Feature maps: the outputs of a saved network's layers for an image."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from convnet.analysis.example_images import Examples
from convnet.analysis.figure_files import draw_png, file_name, write_arrays
from convnet.analysis.networks import Network, convolutional_part, is_transfer, to_numpy
from convnet.report.chart import Chart
from convnet.report.charts.feature_maps import feature_maps_chart
from convnet.system.errors import UserError
from convnet.system.language import mark, tr

SPATIAL = (layers.Conv2D, layers.MaxPooling2D, layers.AveragePooling2D)
LARGEST_FLOAT16 = 65504.0


def mapped_layers(model: keras.Model, wanted: Sequence[str]) -> list[str]:
    """Return the layers whose feature maps are shown, in the order of the network.

    Args:
        model: a saved network.
        wanted: layers of a nested backbone, which has too many to show all. Layers behind its cut are left out. A
            network without a backbone shows every convolution and pooling.
    """
    if is_transfer(model):
        return [layer.name for layer in convolutional_part(model).operations if layer.name in wanted]
    return [layer.name for layer in model.layers if isinstance(layer, SPATIAL)]


def feature_maps(model: keras.Model, names: Sequence[str], images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Return the outputs of layers in inference mode, all from one pass.

    Args:
        model: a saved network.
        names: of the layers, which may be those of a nested backbone.
        images: uint8 (n, height, width, 3).

    Returns:
        Layer name -> float32 (n, height, width, channels).
    """
    inside = convolutional_part(model)
    probe = keras.Model(inside.input, {layer.name: layer.output for layer in inside.operations if layer.name in names})
    seen = images.astype(np.float32)
    if inside is not model:
        seen = model.get_layer("rescale")(seen)
    outputs = probe(seen, training=False)
    return {name: to_numpy(outputs[name]) for name in names}


def draw_feature_maps(
    model: keras.Model,
    network: Network,
    examples: Examples,
    channels: int,
    described: Mapping[str, Any],
    destination: Path,
) -> Chart:
    """Write the feature maps of all examples as arrays, draw all but the first, and return the chart of the first.

    Args:
        model: the network, loaded.
        network: its entry in the plan.
        examples: the images.
        channels: how many channels of a layer are drawn, the most active ones.
        described: dataset.json.
        destination: folder of the explanations.

    Raises:
        UserError: the backbone has none of the layers that params.yaml names.
    """
    names = mapped_layers(model, network.layers)
    if not names:
        raise UserError(
            f"explain_layers of {described['dataset']}'s backbone in params.yaml names no layer of it up to its "
            f"last_layer: {', '.join(network.layers) or 'the list is empty'}; name one or more, for example last_layer"
        )
    maps = feature_maps(model, names, examples.images)
    compact = {name: np.clip(of, -LARGEST_FLOAT16, LARGEST_FLOAT16).astype(np.float16) for name, of in maps.items()}
    write_arrays(destination / f"feature_maps_{file_name(network.name)}.npz", compact)
    first, *others = (
        feature_maps_chart(image, {name: of[i] for name, of in maps.items()}, network.name, described, channels)
        for i, image in enumerate(examples.images)
    )
    for number, chart in enumerate(others, start=2):
        draw_png(chart, destination / "feature_maps" / f"{file_name(network.name)}_{number}.png")
    remarks = _remarks(network, examples.members[0], len(others), names)
    return replace(first, caption=" ".join([*remarks, first.caption]))


def _remarks(network: Network, member: str, others: int, names: Sequence[str]) -> list[str]:
    remarks = [tr("The test image {file}, the same for all networks.", file=member)]
    if others:
        remarks.append(tr("The maps of {count} more are in data/explanations, folder feature_maps.", count=others))
    if len(network.shared_by) > 1:
        shared = mark("The variants {variants} share this backbone unchanged.")
        remarks.append(tr(shared, variants=", ".join(network.shared_by)))
    if absent := [name for name in network.layers if name not in names]:
        remarks.append(tr("The cut backbone has no {layers}.", layers=", ".join(absent)))
    return remarks
