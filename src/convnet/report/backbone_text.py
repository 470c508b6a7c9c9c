"""The backbone and its fine-tuning in words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convnet.evaluation.schema import Evaluation
from convnet.jobs.feature_sets import backbone_folder
from convnet.system.files import read_json
from convnet.system.formats import percent, plural


def describe_backbone(folder: Path, evaluations: Sequence[Evaluation]) -> str:
    """Return the page's sentences on a dataset's backbones, or nothing where no variant needs one."""
    sentences = []
    for name, last_layer in dict.fromkeys(
        (evaluation.backbone, evaluation.recipe["last_layer"]) for evaluation in evaluations if evaluation.backbone
    ):
        place = backbone_folder(folder, name)
        timing = place / "timing.json"  # only where the backbone was trained here
        seconds = read_json(timing)["seconds_training"] if timing.exists() else None
        sentences.append(backbone_sentence(read_json(place / "backbone.json"), last_layer, seconds))
    return " ".join(sentences)


def backbone_sentence(described: Mapping[str, Any], last_layer: str, seconds: float | None = None) -> str:
    """Return the backbone's name, its cut, the images of its pretraining, and the source of its weights."""
    weights = _trained_here(described, seconds) if "source_classes" in described else _downloaded(described)
    seen = described["seen"].rstrip(".")
    return f"The backbone {described['backbone']} is cut at {last_layer}. It was pretrained on {seen}. {weights}"


def _trained_here(described: Mapping[str, Any], seconds: float | None) -> str:
    classes, images = described["source_classes"], described["source_images"]
    duration = "" if seconds is None else f" in {plural(round(seconds), 'second')}"
    return (  # a backbone is trained here only on rendered images
        f"It was trained here{duration} on {plural(images['train'], 'rendered image')} of {len(classes)} classes "
        f"({', '.join(classes)}). Its accuracy is {percent(described['source_test_accuracy'])} on "
        f"{plural(images['test'], 'rendered image')} of these classes that it had not seen."
    )


def _downloaded(described: Mapping[str, Any]) -> str:
    file, address = described["file"], described["address"]
    places = {
        "official": f"as published at {address}",
        "redirected": f"from the folder that CONVNET_DATA names, in place of {address}",
        "local": "from this machine" + ("" if address == file else f", in place of {address}"),
    }
    note = f" ({described['note']})" if described["note"] else ""
    return f"Its weights are the file {file}, {places[described['origin']]}{note}."


def fine_tuning_sentences(evaluations: Sequence[Evaluation]) -> list[str]:
    """Return the layers of the backbone that each fine-tuned variant trains."""
    return [
        f"{evaluation.variant} trains the layers from {first} up to the cut, batch normalisation excepted."
        for evaluation in evaluations
        if (first := evaluation.recipe.get("trainable_from"))
    ]
