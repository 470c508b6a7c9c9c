"""Variants with another backbone, cut or image size have features of their own; the others share theirs."""

from pathlib import Path
from typing import Any

import pytest

from convnet.jobs.feature_plan import plan_features
from convnet.jobs.feature_sets import FeatureSet, backbone_folder, features_folder, recipes_by_set
from convnet.params.recipe import other_sizes, resolve
from convnet.pipeline.plans import plans_of
from convnet.system.errors import UserError
from helpers import tiny_study as tiny

SEVERAL: dict[str, Any] = {
    "run.feature_variants": ["transfer", "transfer_dropout", "other", "larger"],
    "variants.other": {"transfer": True, "backbone": "EfficientNetV2B0", "against": "transfer"},
    "variants.larger": {"transfer": True, "image_size": [48, 40], "against": "transfer"},
    "datasets.tiny.image_size": [32, 32],
}
MAIN = FeatureSet("compact", "block2_pool", (32, 32))
OTHER = FeatureSet("EfficientNetV2B0", "block6a_expand_activation", (32, 32))
LARGER = FeatureSet("compact", "block2_pool", (48, 40))


def test_variants_share_features_unless_backbone_cut_or_size_differ(tmp_path: Path) -> None:
    sets = recipes_by_set(tiny.params(tmp_path, SEVERAL), "tiny")
    assert {used: [recipe.variant for recipe in recipes] for used, recipes in sets.items()} == {
        MAIN: ["transfer", "transfer_dropout"], OTHER: ["other"], LARGER: ["larger"],
    }  # fmt: skip


def test_plan_of_one_set_is_the_same_beside_others(tmp_path: Path) -> None:
    alone = plan_features(tiny.params(tmp_path, SEVERAL | {"run.feature_variants": ["transfer"]}), "tiny")
    several = plan_features(tiny.params(tmp_path, SEVERAL), "tiny")
    others = several.pop("others")
    assert several == alone
    assert [(other["folder"], other["backbone"], other["image_size"]) for other in others] == [
        ("EfficientNetV2B0-block6a_expand_activation-32x32", "EfficientNetV2B0", (32, 32)),
        ("compact-block2_pool-48x40", "compact", (48, 40)),
    ]


def test_arrays_are_packed_once_per_size(tmp_path: Path) -> None:
    params = tiny.params(tmp_path, SEVERAL)
    assert other_sizes(params, "tiny") == [(48, 40)]
    assert plans_of(params, "tiny")["prepare"]["other_sizes"] == [(48, 40)]
    assert "other_sizes" not in plans_of(tiny.params(tmp_path, {}), "tiny")["prepare"]


def test_setting_of_a_second_backbone_changes_the_plan_of_its_features(tmp_path: Path) -> None:
    plans = plans_of(tiny.params(tmp_path, SEVERAL), "tiny")
    entry = {"weights": {"url": "file:///other.h5", "sha256": "0" * 64}}
    changed = plans_of(tiny.params(tmp_path, SEVERAL | {"backbones.EfficientNetV2B0": entry}), "tiny")
    assert plans["features"] != changed["features"]
    assert plans["prepare"] == changed["prepare"]


def test_fine_tuning_goes_on_at_the_size_of_its_start(tmp_path: Path) -> None:
    recipe = resolve(tiny.params(tmp_path, SEVERAL | {"fine_tune.start": "larger"}), "tiny", "fine_tune")
    assert recipe.image_size == (48, 40)


def test_folders_are_those_of_the_first_set_unless_there_is_an_own_one(tmp_path: Path) -> None:
    (tmp_path / LARGER.folder).mkdir()
    (tmp_path / "ResNet50").mkdir()
    assert features_folder(tmp_path, MAIN) == tmp_path
    assert features_folder(tmp_path, LARGER) == tmp_path / "compact-block2_pool-48x40"
    assert backbone_folder(tmp_path, "compact") == tmp_path
    assert backbone_folder(tmp_path, "ResNet50") == tmp_path / "ResNet50"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variants.other.backbone": "ResNet51"}, "variants.other.backbone names 'ResNet51'"),
        ({"datasets.tiny.transfer": {"backbone": "compakt"}}, "datasets.tiny.transfer.backbone names 'compakt'"),
        ({"variants.other.backbone": "InceptionV3"}, "backbone InceptionV3 takes images of at least 75 pixels"),
        ({"variants.larger.image_size": [8, 8]}, r"transfer.image_size is \[8, 8\]"),
    ],
)
def test_wrong_backbone_of_a_variant_is_one_sentence(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        tiny.params(tmp_path, SEVERAL | changes)
