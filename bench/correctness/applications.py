"""What does Keras know about its networks? Record it, without a download, as the table that params.yaml reads.

    python -m bench.correctness.applications            prints the rows that differ from the committed table
    python -m bench.correctness.applications --write    writes src/convnet/params/tables/applications.csv

Each network is built as a graph without weights. Its calls of `get_file` and `obtain_input_shape` give the address, the
hash, the smallest and the native size; `preprocess_input` is probed with black pixels and with one full channel each.
The work is counted for one image of the native size. Keras publishes the accuracies: keras.io/api/applications, and the
texts of MobileNetV2 and MobileNetV3.
"""

import argparse
import csv
import io
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Any

import keras
import numpy as np
from keras.src.applications import imagenet_utils
from keras.src.backend.common import global_state

from convnet.models.applications import as_published
from convnet.models.backbones import shared_layers
from convnet.params.applications import COLUMNS, TABLE

WIDTHS = {
    "MobileNet": (0.25, 0.5, 0.75),
    "MobileNetV2": (0.35, 0.5, 0.75, 1.3, 1.4),
    "MobileNetV3Large": (0.75,),
    "MobileNetV3Small": (0.75,),
}  # besides 1.0
ACCURACY = {
    **{"Xception": "79.0", "VGG16": "71.3", "VGG19": "71.3", "InceptionV3": "77.9", "InceptionResNetV2": "80.3"},
    **{"ResNet50": "74.9", "ResNet101": "76.4", "ResNet152": "76.6"},
    **{"ResNet50V2": "76.0", "ResNet101V2": "77.2", "ResNet152V2": "78.0"},
    **{"MobileNet": "70.4", "MobileNetV2": "71.3", "MobileNetV2 0.35": "60.3"},
    **{"MobileNetV3Large": "75.6", "MobileNetV3Small": "68.1"},
    **{
        "DenseNet121": "75.0",
        "DenseNet169": "76.2",
        "DenseNet201": "77.3",
        "NASNetMobile": "74.4",
        "NASNetLarge": "82.5",
    },
    **{"EfficientNetB0": "77.1", "EfficientNetB1": "79.1", "EfficientNetB2": "80.1", "EfficientNetB3": "81.6"},
    **{"EfficientNetB4": "82.9", "EfficientNetB5": "83.6", "EfficientNetB6": "84.0", "EfficientNetB7": "84.3"},
    **{"EfficientNetV2B0": "78.7", "EfficientNetV2B1": "79.8", "EfficientNetV2B2": "80.5", "EfficientNetV2B3": "82.0"},
    **{"EfficientNetV2S": "83.9", "EfficientNetV2M": "85.3", "EfficientNetV2L": "85.7"},
    **{"ConvNeXtTiny": "81.3", "ConvNeXtSmall": "82.3", "ConvNeXtBase": "85.3", "ConvNeXtLarge": "86.3"},
    **{"ConvNeXtXLarge": "86.7"},
}  # % of ImageNet's validation images with the right class first
NATIVE, SMALLEST = 224, 32  # pixels; of MobileNetV3, which has a check of its own
SHOWN = 4  # layers
GROUPED = 75  # multiplications in the time of one of a grouped convolution, which a CPU computes group by group


class _AskedError(Exception):
    """The sizes of a network are known, and the rest of it is not needed yet."""


def main() -> None:
    """Record all networks; write the table, or print what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the table")
    arguments = parser.parse_args()
    start = time.monotonic()
    rows = [row for name in names() for row in record(name)]
    text = as_csv(rows)
    print(f"{len(rows)} rows of {len(names())} networks in {time.monotonic() - start:.1f} s")
    if arguments.write:
        TABLE.write_text(text, "utf-8")
    elif changed := sorted(set(text.splitlines()) ^ set(TABLE.read_text("utf-8").splitlines())):
        sys.exit("\n".join(changed))


def names() -> list[str]:
    """Return the names of all networks that keras.applications has."""
    return [name for name in dir(keras.applications) if name[0].isupper()]


def as_csv(rows: list[dict[str, str]]) -> str:
    """Return the rows as the table's text."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def record(name: str) -> list[dict[str, str]]:
    """Return the rows of one network, one for each width."""
    calls: dict[str, Any] = {}
    rows: list[dict[str, str]] = []
    with _recording(calls), _without_weights():
        with suppress(_AskedError):
            as_published(name, None, (NATIVE, NATIVE), lambda *_, **__: "")
        native, smallest = calls.get("default_size", NATIVE), calls.get("min_size", SMALLEST)
        for alpha in (None, *WIDTHS.get(name, ())):
            asked: dict[str, str] = {}

            def fetch(_: str, origin: str, file_hash: str | None = None, into: Any = asked, **__: Any) -> str:
                into.update(url=origin, hash=file_hash or "")
                return ""

            model = as_published(name, alpha, (native, native), fetch)
            row = {"architecture": name, "alpha": "" if alpha is None else str(alpha), **asked}
            row |= {"smallest_image": str(smallest), "native_size": str(native)}
            row |= probe(getattr(keras.applications, name)) | cuts(model)
            row |= work(model, row["last_layer"], row["trainable_from"])
            rows.append(row | {"accuracy": ACCURACY.get(f"{name} {row['alpha']}".strip(), "")})
    keras.backend.clear_session()
    return rows


def probe(network: Any) -> dict[str, str]:
    """Return what a network's own `preprocess_input` makes of pixels 0 and 255, and the order of its channels."""
    preprocess = sys.modules[network.__module__].preprocess_input
    black, *full = (
        preprocess(pixel.reshape(1, 1, 1, 3)).reshape(3) for pixel in np.vstack([np.zeros(3), np.eye(3) * 255])
    )
    goes_to = [int(np.argmax(np.abs(one - black))) for one in full]  # red, green, blue
    lowest = [float(black[to]) for to in goes_to]
    highest = [float(one[to]) for one, to in zip(full, goes_to, strict=True)]
    order = {(0, 1, 2): "rgb", (2, 1, 0): "bgr"}[tuple(goes_to)]  # type: ignore[index]
    return {"lowest": _level(lowest), "highest": _level(highest), "channels": order}


def cuts(model: keras.Model) -> dict[str, str]:
    """Return where a network is cut by default, from where it is fine-tuned, and the layers to show.

    The cut is the last layer through which every path runs and whose map has the size before the last halving. The
    layers that are fine-tuned follow the last such layer of the size before. Where paths skip layers all along, as in
    NASNet, concatenations count too.
    """
    lasts = _last_of_each_size(shared_layers(model), _side(model.layers[-1]))
    if not lasts or _side(lasts[0]) > 2 * _side(model.layers[-1]) + 2:
        joins = [layer for layer in model.operations if isinstance(layer, keras.layers.Concatenate)]
        lasts = _last_of_each_size(joins, _side(model.layers[-1]))
    last, before = lasts[:2]
    later = model.operations[model.operations.index(before) + 1 :]
    return {
        "last_layer": last.name,
        "trainable_from": next(layer.name for layer in later if isinstance(layer, keras.layers.Layer)),
        "explain_layers": " ".join(layer.name for layer in reversed(lasts[:SHOWN])),
    }


def work(model: keras.Model, last_layer: str, trainable_from: str) -> dict[str, str]:
    """Return millions of multiplications and of numbers that one image takes, and of parameters in the weight file.

    The trained ones are those from `trainable_from` on. A kernel multiplies once per pixel of its output; in a grouped
    convolution, that counts `GROUPED` times.
    """
    end = next(operation for operation in model.operations if operation.name == last_layer)
    used = keras.Model(model.input, end.output)
    first = next(number for number, layer in enumerate(used.operations) if layer.name == trainable_from)
    leaves = [list(_leaves(operation)) for operation in used.operations]
    counted = {
        "multiplications": sum(map(_multiplications, chain(*leaves))),
        "trained": sum(map(_multiplications, chain(*leaves[first:]))),
        "numbers": sum(math.prod(leaf.output.shape[1:]) for leaf in chain(*leaves)),
        "parameters": model.count_params(),
    }
    return {name: str(round(count / 1e6, 1)) for name, count in counted.items()}


def _leaves(operation: keras.Operation) -> Iterator[keras.Operation]:
    """Yield the operation, or those that a model in the model consists of."""
    if isinstance(operation, keras.Model):
        for inner in operation.layers:
            yield from _leaves(inner)
    elif not isinstance(operation, keras.layers.InputLayer):
        yield operation


def _multiplications(layer: keras.Operation) -> int:
    kernels = [weight for weight in getattr(layer, "weights", ()) if "kernel" in weight.name]
    pixels: int = math.prod(layer.output.shape[1:-1])
    size: int = sum(math.prod(kernel.shape) for kernel in kernels)
    return pixels * size * (GROUPED if getattr(layer, "groups", 1) > 1 else 1)


def _last_of_each_size(layers: list[keras.Operation], final: int) -> list[keras.Operation]:
    """Return the last layer before each halving, beginning with the last halving, which leads to `final` pixels."""
    maps = [layer for layer in layers if layer.output.shape[-1] > 3]
    lasts: list[keras.Operation] = []
    while sizes := [_side(layer) for layer in maps if _side(layer) >= 2 * final - 1]:
        final = min(sizes)
        lasts.append([layer for layer in maps if _side(layer) == final][-1])
    return lasts


def _side(layer: keras.Operation) -> int:
    side: int = layer.output.shape[1]
    return side


def _level(numbers: list[float]) -> str:
    rounded = [str(round(number, 9)) for number in numbers]
    return rounded[0] if len(set(rounded)) == 1 else " ".join(rounded)


@contextmanager
def _recording(calls: dict[str, Any]) -> Iterator[None]:
    """Keep the arguments with which a network asks for its input shape first, and stop there."""
    obtain = imagenet_utils.obtain_input_shape

    def recorded(*shape: Any, **arguments: Any) -> Any:
        if not calls:
            calls.update(arguments)
            raise _AskedError
        return obtain(*shape, **arguments)

    imagenet_utils.obtain_input_shape = recorded
    try:
        yield
    finally:
        imagenet_utils.obtain_input_shape = obtain


@contextmanager
def _without_weights() -> Iterator[None]:
    """Build networks as graphs: no variable gets memory, and no file is read."""
    load = keras.Model.load_weights
    keras.Model.load_weights = lambda *_, **__: None
    try:
        with keras.StatelessScope():
            yield
            global_state.set_global_attribute("uninitialized_variables", [])  # else the scope's end makes them
    finally:
        keras.Model.load_weights = load


if __name__ == "__main__":
    main()
