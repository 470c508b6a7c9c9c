"""The networks of keras.applications as data, so that params.yaml is checked without Keras.

`python -m bench.correctness.applications --write` makes the table from Keras itself; a test compares both.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parent / "tables" / "applications.csv"
COLUMNS = (
    *("architecture", "alpha", "url", "hash", "smallest_image", "native_size", "lowest", "highest", "channels"),
    *("last_layer", "trainable_from", "explain_layers"),
    *("multiplications", "trained", "numbers", "parameters", "accuracy"),
)
SEEN = "1.28 million ImageNet photographs in 1,000 classes, many of them breeds of cats and dogs"
SEEN_BY_LARGE_CONVNEXTS = f"14 million photographs of ImageNet-21k, then {SEEN}"


@dataclass(frozen=True)
class Cost:
    """The work of a network up to its default cut, for one pixel, and its published accuracy.

    Attributes:
        multiplications: of all layers; one of a grouped convolution, as in ConvNeXt, counts by its time.
        trained: of the layers that fine-tuning trains.
        numbers: the outputs of all layers, which pass through memory.
        megabytes: of the weight file.
        accuracy: % of ImageNet's validation images; None where it is not published.
    """

    multiplications: float
    trained: float
    numbers: float
    megabytes: float
    accuracy: float | None


@cache
def costs() -> dict[str, Cost]:
    """Return the cost of each network by the names of `applications`."""
    return {_key(row["architecture"], row["alpha"]): _cost(row) for row in _rows()}


def cost_of(architecture: str, alpha: float | None) -> Cost | None:
    """Return the cost of a network; of a width that is not published, that of the full width."""
    width = "" if alpha in (None, 1.0) else str(alpha)
    return costs().get(_key(architecture, width)) or costs().get(architecture)


@cache
def applications() -> dict[str, dict[str, Any]]:
    """Return what the table has for `backbones` in params.yaml, by name: the architecture, and the width if it varies.

    The names are those of keras.applications, as `MobileNetV2`, and `MobileNetV2 0.35` for another width.
    """
    return {_key(row["architecture"], row["alpha"]): _settings(row) for row in _rows()}


def architectures() -> list[str]:
    """Return the names that keras.applications has."""
    return [name for name in applications() if " " not in name]


def has_widths(architecture: str) -> bool:
    """Return whether the network is published in several widths."""
    return any(name.startswith(f"{architecture} ") for name in applications())


def complete(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry of `backbones` with what it leaves out: the facts of its architecture.

    A width without published weights has none. An entry with an address names another file, which has another hash.
    """
    architecture, alpha = str(entry.get("architecture")), entry.get("alpha")
    known = applications().get(architecture)
    if known is None:
        return dict(entry)
    width = "" if alpha in (None, 1.0) or not has_widths(architecture) else str(alpha)
    published = applications().get(_key(architecture, width), {}).get("weights", {})
    weights = entry.get("weights")
    if weights is None and entry.get("pretrain") is None:
        weights = published or None
    elif isinstance(weights, Mapping) and "url" not in weights:
        weights = {**published, **weights}
    # An entry as it was written out has every key, and None where the table has nothing.
    written = {key: value for key, value in entry.items() if value is not None}
    return known | written | {"weights": weights}


def _rows() -> list[dict[str, str]]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _cost(row: Mapping[str, str]) -> Cost:
    millions = 1e6 / int(row["native_size"]) ** 2
    return Cost(
        multiplications=float(row["multiplications"]) * millions,
        trained=float(row["trained"]) * millions,
        numbers=float(row["numbers"]) * millions,
        megabytes=4 * float(row["parameters"]),
        accuracy=float(row["accuracy"]) if row["accuracy"] else None,
    )


def _key(architecture: str, alpha: str) -> str:
    return f"{architecture} {alpha}".strip()


def _settings(row: Mapping[str, str]) -> dict[str, Any]:
    algorithm = {32: "md5", 64: "sha256"}.get(len(row["hash"]))
    large = row["architecture"] in ("ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtXLarge")
    return {
        "architecture": row["architecture"],
        "weights": {"url": row["url"], **({algorithm: row["hash"]} if algorithm else {})},
        "seen": SEEN_BY_LARGE_CONVNEXTS if large else SEEN,
        "input_range": [_level(row["lowest"]), _level(row["highest"])],
        "channels": row["channels"],
        "smallest_image": int(row["smallest_image"]),
        "native_size": int(row["native_size"]),
        "last_layer": row["last_layer"],
        "trainable_from": row["trainable_from"],
        "explain_layers": row["explain_layers"].split(),
    }


def _level(text: str) -> float | list[float]:
    numbers = [float(number) for number in text.split()]
    return numbers[0] if len(numbers) == 1 else numbers
