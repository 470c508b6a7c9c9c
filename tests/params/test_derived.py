"""Derived variants in params.yaml: the variant that each is made from, its seeds, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from convnet.params.recipe import resolve
from convnet.params.tuning import with_settings
from convnet.system.errors import UserError
from helpers import tiny_study as tiny

RUN = {"run.pixel_variants": ["baseline", "augmented", "augmented_tta", "ensemble"], "run.seeds": [4, 5, 6, 7, 8]}


def test_it_is_made_from_the_variant_with_its_other_settings(tmp_path: Path) -> None:
    params = tiny.params(tmp_path, RUN)
    made_from = {name: params.base_of(name) for name in ("augmented_tta", "ensemble", "transfer_ensemble", "augmented")}
    assert made_from == {
        "augmented_tta": "augmented", "ensemble": "baseline", "transfer_ensemble": "transfer", "augmented": None
    }  # fmt: skip
    assert params.against("augmented_tta") == ("augmented",)
    recipe, base = (resolve(params, "tiny", name) for name in ("augmented_tta", "augmented"))
    assert recipe.augmentation == base.augmentation
    assert recipe.remedies == {"tta": {"views": 8, "move": 0.1, "mirror": True}}


def test_seeds_follow_those_of_its_base(tmp_path: Path) -> None:
    params = tiny.params(tmp_path, RUN).with_numbers({"tiny": {"baseline": 7, "ensemble": 9}})
    assert params.seeds_of("tiny", "augmented_tta") == (4, 5, 6, 7, 8)
    assert params.seeds_of("tiny", "ensemble") == (4, 5, 6)  # of 7
    assert params.trained_for("ensemble", 3) == ("baseline", 6)
    assert params.trained_for("augmented", 3) == ("augmented", 3)


def test_tuned_settings_of_its_base_are_its_own(tmp_path: Path) -> None:
    params = with_settings(tiny.params(tmp_path, RUN), {"augmented": {"learning_rate": 0.02}})
    assert resolve(params, "tiny", "augmented_tta").fit.learning_rate == 0.02
    assert params.base_of("augmented_tta") == "augmented"
    assert resolve(params, "tiny", "ensemble").fit.learning_rate == 0.001


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run.pixel_variants": ["baseline", "augmented_tta"]},
         "augmented_tta is made from augmented, which is not in run.pixel_variants; add it there"),
        ({"run.seeds": [0]}, "ensemble joins 2 seeds, but run.seeds has 1; give more"),
        ({"run.split": "folds"}, "ensemble joins 2 seeds, which need one split, but run.split is folds"),
        ({"variants.ensemble": {"ensemble": 2, "dropout": 0.123}},
         "variants.ensemble has ensemble, but no variant has only its other settings"),
        ({"variants.ensemble": {"ensemble": 2, "tta": 4}}, "ensemble and tta, which both change a finished variant"),
        ({"sweep.variants": ["ensemble"], "sweep.enabled": True}, "which is made from another variant"),
        ({"run.feature_variants": ["transfer", "heads"], "variants.heads": {"transfer": True, "tta": 4}},
         "heads has tta, but trains on cached features. Cached features have no pixels to move"),
        ({"fine_tune.start": "transfer_ensemble", "run.fine_tune_variants": []}, "which trains no head to go on with"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_refusals(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        tiny.params(tmp_path, {**RUN, **changes})
