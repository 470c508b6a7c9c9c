"""Remedies in params.yaml: what a variant may give them, combinations and conflicts."""

from pathlib import Path
from typing import Any

import pytest

from convnet.params.load import load_params
from convnet.params.recipe import resolve
from convnet.params.remedies import find_remedies
from convnet.params.schema import Params
from convnet.system.errors import UserError
from helpers import tiny_study as tiny


def load(folder: Path, **variants: Any) -> Params:
    settings = tiny.committed()
    for name, diff in variants.items():
        tiny.change(settings, f"variants.{name}", diff)
    (folder / "params.yaml").write_text(tiny.as_yaml(settings), "utf-8")
    return load_params(folder / "params.yaml")


def remedies(folder: Path, diff: Any, **variants: Any) -> dict[str, dict[str, Any]]:
    return resolve(load(folder, tried=diff, **variants), "pets", "tried").remedies


@pytest.mark.parametrize(
    ("value", "settings"),
    [(0.3, {"alpha": 0.3}), (True, {"alpha": 0.2}), ({}, {"alpha": 0.2}), ({"alpha": 0.1}, {"alpha": 0.1})],
    ids=str,
)
def test_number_or_true_or_a_mapping(tmp_path: Path, value: Any, settings: dict[str, float]) -> None:
    assert remedies(tmp_path, {"mixup": value}) == {"mixup": settings}


def test_false_is_without_the_remedy(tmp_path: Path) -> None:
    assert remedies(tmp_path, {"mixup": False}) == {}


@pytest.mark.parametrize(
    ("diff", "words"),
    [
        ({"mixup": 11.0}, r"variants.tried.mixup.alpha is 11.0; it should be less than or equal to 10"),
        ({"mixup": "much"}, r"variants.tried.mixup.alpha is the text 'much', not a number"),
        ({"mixup": {"alfa": 0.1}}, r"unknown key variants.tried.mixup.alfa; did you mean 'alpha'\?"),
        ({"mixop": 0.2}, r"unknown key variants.tried.mixop; did you mean 'mixup'\?"),
        ({"mixup": 0.2, "cutmix": True}, r"variants.tried has cutmix and mixup, which do not go together; take one"),
        ({"l2": 0.001, "weight_decay": 0.1}, r"variants.tried has l2 and weight_decay, which do not go together"),
        (["augmented", "nothing"], r"variants: tried names 'nothing', which is not a variant with settings"),
        (["augmented", "dropout", "half"], r"tried names dropout and half, which both change dropout; take"),
        (["augmented", "augmented_strong"], r"has augmented_strong and augmentation, which do not go together"),
        (["mixup", "cutmix"], r"variants.tried has cutmix and mixup, which do not go together"),
    ],
    ids=str,
)
def test_conflicts_and_slips_are_refused_by_name(tmp_path: Path, diff: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        load(tmp_path, tried=diff, half={"dropout": 0.25})


def test_single_knob_is_a_key_of_its_own(tmp_path: Path) -> None:
    off = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, "grey": 0.0}
    for diff in ({"brightness": 0.3, "hue": 20.0}, {"colour": {"brightness": 0.3}, "hue": 20.0}):
        assert remedies(tmp_path, diff) == {"colour": off | {"brightness": 0.3, "hue": 20.0}}
    with pytest.raises(UserError, match=r"variants.tried.colour.brightness is 1.5; it should be less than or equal"):
        load(tmp_path, tried={"brightness": 1.5})
    with pytest.raises(UserError, match=r"every knob is 0; set brightness, contrast"):
        load(tmp_path, tried={"colour": True})


def test_list_of_variants_combines_what_they_change(tmp_path: Path) -> None:
    params = load(tmp_path, tried=["augmented_dropout", "mixup", "weight_decay"])
    recipe = resolve(params, "pets", "tried")
    assert recipe.remedies == {"mixup": {"alpha": 0.2}, "weight_decay": {"product": 0.1}}
    assert (recipe.dropout, recipe.augmentation) == (0.5, params.augmentation)
    assert params.against("tried") == ("baseline",)


def test_cached_features_refuse_a_remedy_that_needs_pixels(tmp_path: Path) -> None:
    params = load(tmp_path, tried={"transfer": True, "cutmix": True})
    with pytest.raises(UserError, match=r"tried has cutmix, but trains on cached features. Cached features have no"):
        resolve(params, "pets", "tried")
    assert remedies(tmp_path, {"transfer": True, "mixup": 0.2}) == {"mixup": {"alpha": 0.2}}


def test_variant_without_remedies_has_the_recipe_it_always_had() -> None:
    params = load_params(tiny.PROJECT / "params.yaml")
    for variant in ("baseline", "augmented", "dropout", "transfer", "fine_tune"):
        assert "remedies" not in resolve(params, "pets", variant).model_dump()


def test_every_remedy_is_described() -> None:
    params = load_params(tiny.PROJECT / "params.yaml")
    named = {name for diff in params.variants.values() for name in diff.remedies}
    for name, remedy in find_remedies().items():
        assert remedy.sentence.endswith(".")
        assert len(remedy.sentence.split()) <= 20, name
        assert len(remedy.on_features.split(".")[0].split()) <= 20
        assert remedy.source
        if remedy.settings is None:
            assert remedy.used, name
            continue
        remedy.settings(**dict.fromkeys(remedy.alone, 0.1))  # every other setting has a default
        if remedy.strength:
            assert remedy.strength.knob == next(iter(remedy.settings.model_fields)), name
            for end in remedy.strength[1:3]:
                remedy.settings(**{remedy.strength.knob: end})
        assert name in named, f"params.yaml names {name} in no variant"
