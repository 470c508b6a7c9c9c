"""The backbone and its fine-tuning in words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convnet.report import tables
from convnet.system.files import read_json
from convnet.system.formats import plural


def told_backbone(folder: Path, evaluations: Sequence[tables.Evaluation]) -> str:
    """Return the page's sentence on a dataset's backbone, or nothing where no variant needs one.

    Args:
        folder: of the backbone stage.
        evaluations: of the dataset's variants; all that use the backbone cut it at the same layer.
    """
    described = read_json(folder / "backbone.json")
    if not described["needed"]:
        return ""
    last_layer = next(evaluation["recipe"]["last_layer"] for evaluation in evaluations if evaluation["backbone"])
    timing = folder / "timing.json"  # only where the backbone was trained here
    seconds = read_json(timing)["seconds_training"] if timing.exists() else None
    return backbone_sentence(described, last_layer, seconds)


def backbone_sentence(described: Mapping[str, Any], last_layer: str, seconds: float | None = None) -> str:
    """Return which backbone it is, where it is cut, what it had seen before, and where its weights come from.

    Args:
        described: backbone.json of a backbone that is needed.
        last_layer: where the variants cut it.
        seconds: of its training, if it was trained here and they shall be told.
    """
    weights = _trained_here(described, seconds) if "source_classes" in described else _fetched(described)
    seen = described["seen"].rstrip(".")
    return f"The backbone {described['backbone']}, cut at {last_layer}, had seen before: {seen}; {weights}."


def _trained_here(described: Mapping[str, Any], seconds: float | None) -> str:
    classes, images = described["source_classes"], described["source_images"]
    duration = "" if seconds is None else f" in {plural(round(seconds), 'second')}"
    return (  # the images that a backbone is trained on here are always drawn
        f"it was trained here{duration} on {plural(images['train'], 'rendered picture')} of {len(classes)} classes "
        f"({', '.join(classes)}), and is right on {100 * described['source_test_accuracy']:.1f} % of "
        f"{plural(images['test'], 'rendered picture')} of these classes that it had not seen"
    )


def _fetched(described: Mapping[str, Any]) -> str:
    file, address = described["file"], described["address"]
    places = {
        "official": f"as published at {address}",
        "redirected": f"from the folder that CONVNET_DATA names, in place of {address}",
        "local": "from this machine" + ("" if address == file else f", in place of {address}"),
    }
    note = f" ({described['note']})" if described["note"] else ""
    return f"its weights are the file {file}, {places[described['origin']]}{note}"


def fine_tuning_sentences(evaluations: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return which of the backbone's layers each fine-tuned variant trains.

    Args:
        evaluations: contents of `data/evaluations/<dataset>-<variant>.json`.
    """
    return [
        f"{evaluation['variant']} trains the layers from {first} up to the cut, batch normalisation excepted."
        for evaluation in evaluations
        if (first := evaluation["recipe"].get("trainable_from"))
    ]
