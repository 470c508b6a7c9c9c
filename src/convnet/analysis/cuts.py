"""How well the classes are known at several cuts of a frozen backbone, by a logistic regression at each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from convnet.analysis.example_images import Examples, choose_evenly, read_examples
from convnet.analysis.feature_maps import mapped_layers
from convnet.analysis.networks import Network, convolutional_part, load_network
from convnet.jobs.job import code_digest, library_versions, source_digest
from convnet.jobs.predictions import Predictions
from convnet.jobs.store import stored_json
from convnet.system.files import file_digest, read_json

MOST_IMAGES = 1_000  # of each split: more would hardly move the accuracies
AT_ONCE = 50  # images; bounds memory


class Labelled(NamedTuple):
    """Images with their labels."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def measure_cuts(
    path: Path, network: Network, arrays: Path, predictions: Predictions, seed: int, own_splits: bool, threads: int
) -> list[dict[str, Any]]:
    """Return the validation accuracy at each shown layer and at the cut, from the job store if it is there.

    Args:
        path: a saved network with a frozen backbone.
        network: its entry in the plan.
        arrays: folder of the prepare stage, for its image size.
        predictions: of the network; they name the training and the validation images.
        seed: decides which images are drawn, where there are many.
        own_splits: every seed has its own split.
        threads: processor threads, whose number changes last bits.

    Returns:
        Rows with layer, shape (height, width, channels), cut (the layer is the last one), accuracy and n.
    """
    chosen = {split: choose_evenly(predictions[split].labels, MOST_IMAGES, seed) for split in ("train", "validation")}
    decides = {
        "model": file_digest(path),
        "arrays": read_json(arrays / "dataset.json")["digest"],
        "images": [predictions[split].index[rows].tolist() for split, rows in chosen.items()],
        "layers": network.layers,
        "threads": threads,
        "code": [code_digest(), source_digest(["analysis/cuts.py", "evaluation/mislabelled.py"])],
        "versions": library_versions(),
    }

    def compute() -> list[dict[str, Any]]:
        read: Mapping[str, Examples] = {
            split: read_examples(arrays, split, predictions[split], rows, own_splits) for split, rows in chosen.items()
        }
        train, validation = (
            Labelled(read[split].images, predictions[split].labels[rows]) for split, rows in chosen.items()
        )
        return probe_cuts(load_network(path), network.layers, train, validation)

    rows: list[dict[str, Any]] = stored_json("cuts", decides, compute)
    return rows


def probe_cuts(
    model: keras.Model, wanted: Sequence[str], train: Labelled, validation: Labelled
) -> list[dict[str, Any]]:
    """Return the accuracy on `validation` of a logistic regression on the channel means of each layer.

    Args:
        model: a saved network with a nested backbone.
        wanted: layers of the backbone; those behind its cut are left out, and the cut is added.
        train: fits the regressions.
        validation: judges them.
    """
    from convnet.evaluation.mislabelled import fit_regression  # imported late: scikit-learn costs a second

    inside = convolutional_part(model)
    last = _last_layer(inside)
    names = mapped_layers(model, (*wanted, last))
    tensors = {layer.name: layer.output for layer in inside.operations if layer.name in names}
    channel_means = keras.Model(inside.input, {name: keras.ops.mean(tensors[name], axis=(1, 2)) for name in names})
    # Compiled as one graph, it takes half the time.
    inputs = keras.Input(model.input_shape[1:])
    network = keras.Model(inputs, channel_means(model.get_layer("rescale")(inputs), training=False))
    means = [_run(network, part.images) for part in (train, validation)]
    rows = []
    for name in names:
        fitted = fit_regression(means[0][name], train.labels)
        right = fitted.predict(means[1][name]) == validation.labels
        shape = [int(number) for number in tensors[name].shape[1:]]
        rows.append(
            {"layer": name, "shape": shape, "cut": name == last, "accuracy": float(np.mean(right)), "n": len(right)}
        )
    return rows


def _last_layer(backbone: keras.Model) -> str:
    """Return the layer whose output is the output of the backbone."""
    return next(str(layer.name) for layer in reversed(backbone.operations) if layer.output is backbone.output)


def _run(network: keras.Model, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    parts = [network.predict_on_batch(images[first : first + AT_ONCE]) for first in range(0, len(images), AT_ONCE)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
