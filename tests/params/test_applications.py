"""Backbones of keras.applications in params.yaml: one word is enough, an entry only overrides."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from convnet.params.applications import applications, architectures, cost_of
from convnet.params.backbone import Backbone
from convnet.params.load import load_params
from convnet.params.recipe import resolve
from convnet.params.schema import Params
from convnet.system.errors import UserError
from helpers.tiny_study import PROJECT, change, committed


def loaded(folder: Path, changes: dict[str, Any]) -> Params:
    """Return the committed params.yaml with changes by dotted key."""
    settings = committed()
    for key, value in changes.items():
        change(settings, key, value)
    (folder / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")
    return load_params(folder / "params.yaml")


@pytest.mark.parametrize("name", ["EfficientNetV2B0", "ConvNeXtTiny", "ResNet50", "NASNetMobile"])
def test_one_word_is_enough(tmp_path: Path, name: str) -> None:
    params = loaded(tmp_path, {"run.datasets": ["cats_vs_dogs"], "datasets.cats_vs_dogs.backbone": name})
    recipe = resolve(params, "cats_vs_dogs", "transfer")
    backbone = params.backbones[name]
    assert backbone.architecture == name
    assert backbone.weights is not None
    assert backbone.weights.url.startswith("https://storage.googleapis.com/")
    assert getattr(recipe, "last_layer", None) == backbone.last_layer


def test_every_name_has_a_recipe_without_network_and_without_keras(tmp_path: Path) -> None:
    variants = {
        f"of_{name.lower()}": {"transfer": True, "backbone": name, "image_size": [128, 128], "against": "transfer"}
        for name in architectures()
    }
    changes = {f"variants.{variant}": diff for variant, diff in variants.items()}
    params = loaded(tmp_path, {"run.datasets": ["cats_vs_dogs"], "run.feature_variants": [*variants], **changes,
                               "run.fine_tune_variants": []})  # fmt: skip
    recipes = [resolve(params, "cats_vs_dogs", variant) for variant in variants]
    assert [getattr(recipe, "backbone", None) for recipe in recipes] == architectures()
    assert [getattr(recipe, "last_layer", None) for recipe in recipes] == [
        applications()[name]["last_layer"] for name in architectures()
    ]


def test_multiplications_of_vgg16_are_those_of_its_convolutions() -> None:
    filters, sides = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512], [224, 112, 56, 28, 14]
    of_layer = [sides[0]] * 2 + [sides[1]] * 2 + [sides[2]] * 3 + [sides[3]] * 3 + [sides[4]] * 3
    by_hand = sum(9 * a * b * side**2 for a, b, side in zip([3, *filters], filters, of_layer, strict=False))
    cost = cost_of("VGG16", None)
    assert cost is not None
    assert cost.multiplications * 224**2 == pytest.approx(by_hand, rel=1e-5)
    assert cost.megabytes == pytest.approx(58.9, abs=0.2)  # the published file: 58,889,256 bytes


def test_narrow_network_costs_less_and_an_unpublished_width_as_much_as_the_whole() -> None:
    whole, narrow, unknown = (cost_of("MobileNetV2", alpha) for alpha in (1.0, 0.35, 0.9))
    assert whole is not None
    assert narrow is not None
    assert narrow.multiplications < whole.multiplications / 4
    assert unknown == whole
    assert cost_of("compact", None) is None


def test_every_name_has_an_address_and_all_but_two_families_a_hash() -> None:
    without = set()
    for name in applications():
        backbone = Backbone.model_validate(applications()[name])
        assert backbone.weights is not None
        assert backbone.weights.url.endswith(".h5")
        if backbone.weights.md5 is None and backbone.weights.sha256 is None:
            without.add(backbone.architecture)
    assert without == {"MobileNet", "MobileNetV2"}
    assert len(architectures()) == 40


def test_entry_overrides_only_what_it_names(tmp_path: Path) -> None:
    params = loaded(tmp_path, {"backbones.ResNet50": {"last_layer": "conv3_block4_out"}})
    changed, known = params.backbones["ResNet50"], Backbone.model_validate({"architecture": "ResNet50"})
    assert changed == known.model_copy(update={"last_layer": "conv3_block4_out"})


def test_stand_in_is_added_to_the_published_file(tmp_path: Path) -> None:
    params = loaded(tmp_path, {"backbones.InceptionV3": {"weights": {"stand_ins": ["0" * 64]}}})
    weights, written = params.backbones["InceptionV3"].weights, params.backbones["inception_v3"].weights
    assert weights is not None
    assert written is not None
    assert (weights.url, weights.md5, weights.stand_ins) == (written.url, written.md5, ("0" * 64,))


def test_other_address_is_another_file(tmp_path: Path) -> None:
    other = {"architecture": "ResNet50", "weights": {"url": "file:///mine.h5", "sha256": "0" * 64}}
    weights = loaded(tmp_path, {"backbones.mine": other}).backbones["mine"].weights
    assert weights is not None
    assert (weights.url, weights.md5) == ("file:///mine.h5", None)


def test_width_decides_the_file(tmp_path: Path) -> None:
    entry = {"architecture": "MobileNetV3Small", "alpha": 0.75}
    weights = loaded(tmp_path, {"backbones.small": entry}).backbones["small"].weights
    assert weights is not None
    assert "small_224_0.75" in weights.url


def test_written_settings_are_read_back_unchanged() -> None:
    for backbone in load_params(PROJECT / "params.yaml").backbones.values():
        assert Backbone.model_validate(backbone.model_dump(mode="json")) == backbone


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"datasets.cats_vs_dogs.backbone": "efficientnetv2b0"}, "did you mean 'EfficientNetV2B0'?"),
        ({"datasets.cats_vs_dogs.backbone": "ConvNextTiny"}, "did you mean 'ConvNeXtTiny'?"),
        ({"backbones.mine": {"architecture": "ResNet5O"}}, "'ResNet5O' is not a network; did you mean 'ResNet50'?"),
        ({"backbones.ResNet50": {"last_lair": "x"}}, "unknown key backbones.ResNet50.last_lair; did you mean"),
        ({"backbones.ResNet50": {"alpha": 0.5}}, "only a MobileNet has one"),
        ({"backbones.mine": {"architecture": "MobileNetV2", "alpha": 0.6}}, "weights of this width are not published"),
    ],
)
def test_wrong_name_ends_in_the_nearest(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        loaded(tmp_path, changes)
    assert message in str(error.value)
