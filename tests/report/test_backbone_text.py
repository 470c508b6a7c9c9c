from pathlib import Path
from typing import Any

import pytest

from convnet.report.backbone_text import backbone_sentence, describe_backbone, fine_tuning_sentences
from convnet.system.files import write_json
from helpers.evaluations import make_backbone, make_evaluations, typed


def test_backbone_trained_here_is_described_with_its_seconds(tmp_path: Path) -> None:
    write_json(tmp_path / "backbone.json", make_backbone("trained here"))
    write_json(tmp_path / "timing.json", {"seconds_training": 56.4})
    assert describe_backbone(tmp_path, typed(*make_evaluations(1, 5, 1))) == (
        "The backbone compact is cut at block4_pool. It was pretrained on rendered images of other classes. "
        "It was trained here in 56 seconds on 1,800 rendered images of 2 classes (bears, fish). "
        "Its accuracy is 83.8 % on 600 rendered images of these classes that it had not seen."
    )


def test_downloaded_backbone_is_described_without_seconds(tmp_path: Path) -> None:
    write_json(tmp_path / "backbone.json", make_backbone("official"))
    found = describe_backbone(tmp_path, typed(*make_evaluations(1, 5, 1)))
    assert found == backbone_sentence(make_backbone("official"), "block4_pool")


def test_no_backbone_is_described_where_none_is_needed(tmp_path: Path) -> None:
    write_json(tmp_path / "backbone.json", {"needed": False})
    assert describe_backbone(tmp_path, typed(*make_evaluations(1, 3, 1))) == ""


@pytest.mark.parametrize(
    ("origin", "changes", "expected"),
    [
        ("official", {}, "as published at https://example.org/weights.h5."),
        (
            "redirected",
            {"note": "not the official file"},
            "from the folder that CONVNET_DATA names, in place of https://example.org/weights.h5 (not the official "
            "file).",
        ),
        ("local", {}, "from this machine, in place of https://example.org/weights.h5."),
        ("local", {"address": "weights.h5"}, "from this machine."),
    ],
)
def test_downloaded_backbone_names_the_source_of_its_weights(
    origin: str, changes: dict[str, Any], expected: str
) -> None:
    assert backbone_sentence(make_backbone(origin, **changes), "mixed7") == (
        "The backbone inception_v3 is cut at mixed7. It was pretrained on 1.28 million photographs. "
        f"Its weights are the file weights.h5, {expected}"
    )


def test_only_fine_tuned_variants_train_layers_of_the_backbone() -> None:
    assert fine_tuning_sentences(typed(*make_evaluations(1, 6, 1))) == [
        "fine_tune trains the layers from block4_conv up to the cut, batch normalisation excepted."
    ]
