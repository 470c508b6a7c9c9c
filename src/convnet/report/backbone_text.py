"""The backbone and its fine-tuning in words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convnet.evaluation.schema import Evaluation
from convnet.jobs.feature_sets import backbone_folder
from convnet.system.files import read_json
from convnet.system.formats import percent, plural
from convnet.system.language import mark, tr


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
    return tr(
        "The backbone {backbone} is cut at {cut}. It was pretrained on {seen}. {weights}",
        backbone=described["backbone"],
        cut=last_layer,
        seen=tr(described["seen"].rstrip(".")),
        weights=weights,
    )


def _trained_here(described: Mapping[str, Any], seconds: float | None) -> str:
    classes, images = described["source_classes"], described["source_images"]
    duration = "" if seconds is None else tr(" in {seconds}", seconds=plural(round(seconds), "second"))
    return tr(  # a backbone is trained here only on rendered images
        "It was trained here{duration} on {images} of {count} classes ({classes}). Its accuracy is {accuracy} on "
        "{unseen} of these classes that it had not seen.",
        duration=duration,
        images=plural(images["train"], "rendered image"),
        count=len(classes),
        classes=", ".join(classes),
        accuracy=percent(described["source_test_accuracy"]),
        unseen=plural(images["test"], "rendered image"),
    )


def _downloaded(described: Mapping[str, Any]) -> str:
    file, address = described["file"], described["address"]
    places = {
        "official": mark("Its weights are the file {file}, as published at {address}{note}."),
        "redirected": mark(
            "Its weights are the file {file}, from the folder that CONVNET_DATA names, in place of {address}{note}."
        ),
        "local": mark("Its weights are the file {file}, from this machine{note}.")
        if address == file
        else mark("Its weights are the file {file}, from this machine, in place of {address}{note}."),
    }
    note = f" ({described['note']})" if described["note"] else ""
    return tr(places[described["origin"]], file=file, address=address, note=note)


def fine_tuning_sentences(evaluations: Sequence[Evaluation]) -> list[str]:
    """Return the layers of the backbone that each fine-tuned variant trains."""
    return [
        tr(
            "{variant} trains the layers from {first} up to the cut, batch normalisation excepted.",
            variant=evaluation.variant,
            first=first,
        )
        for evaluation in evaluations
        if (first := evaluation.recipe.get("trainable_from"))
    ]
