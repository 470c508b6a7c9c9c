"""Suggestions against what a study has found, and their commands against DVC and the checks of params.yaml."""

import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides

from convnet.comparison.verdict import verdict as judge
from convnet.params.load import load_params
from convnet.params.schema import Params
from convnet.pipeline.plans import remedies_tried
from convnet.pipeline.untried import untried
from convnet.report.next_tries import MOST, Known, Suggestion, by_command, next_tries
from helpers.evaluations import make_evaluation, typed
from helpers.tiny_study import PROJECT

PIXELS = ("baseline", "augmented", "dropout")


def params_with(tmp_path: Path, *overrides: str) -> Params:
    shutil.copy(PROJECT / "params.yaml", tmp_path / "params.yaml")
    if overrides:
        apply_overrides(tmp_path / "params.yaml", list(overrides))
    return load_params(tmp_path / "params.yaml")


def known(
    params: Params, helpers: tuple[str, ...] = (), gaps: Mapping[str, float] | None = None, **changes: Any
) -> Known:
    """What a run of params has found, with the gap of each variant, 20 points where none is given."""
    dataset = params.run.datasets[0]
    made = [make_evaluation("pets", name, 3, kind=params.datasets[dataset].kind) for name in params.run.variants]
    for one in made:
        for number, run in enumerate(one["seeds"]):
            run["generalisation_gap"] = (gaps or {}).get(one["variant"], 0.2) + 0.001 * number
        if one["variant"].startswith(("transfer", "fine")):
            one["backbone"] = params.datasets[dataset].backbone
    evaluations = typed(*made)
    found = judge(evaluations).model_copy(update={"helpers": list(helpers), "n_test": 2400} | changes)
    remedies = {name: {one["name"] for one in of} for name, of in remedies_tried(params, dataset).items()}
    return Known(found, evaluations, remedies, untried(params))


def settings_of(command: str) -> list[str]:
    words = shlex.split(command)
    assert words[:3] == ["dvc", "exp", "run"]
    assert words[3::2] == ["-S"] * len(words[4::2])
    return words[4::2]


def run_with(tmp_path: Path, suggestion: Suggestion) -> tuple[str, ...]:
    """Return the variants of the run after a suggestion's command, as DVC changes params.yaml and convnet reads it."""
    apply_overrides(tmp_path / "params.yaml", settings_of(suggestion.command))
    return load_params(tmp_path / "params.yaml").run.variants


def only(suggestions: list[Suggestion], words: str) -> Suggestion:
    return next(one for one in suggestions if words in one.reason)


def test_two_helpers_are_combined_by_the_variant_that_has_both(tmp_path: Path) -> None:
    params = params_with(tmp_path)
    found = next_tries(known(params, ("augmented", "transfer")))
    both = only(found, "augmented and transfer help on pets. transfer_augmented has the remedies of both.")
    assert run_with(tmp_path, both) == (*params.run.pixel_variants, *params.run.feature_variants, "transfer_augmented",
                                        *params.run.fine_tune_variants)  # fmt: skip


def test_two_helpers_without_such_a_variant_get_one(tmp_path: Path) -> None:
    params = params_with(tmp_path, "run.pixel_variants=[baseline,augmented,label_smoothing]")
    found = only(next_tries(known(params, ("augmented", "label_smoothing"))), "has the remedies of both")
    assert "augmented_label_smoothing" in run_with(tmp_path, found)
    changed = load_params(tmp_path / "params.yaml")
    remedies = [one["name"] for one in remedies_tried(changed, "pets")["augmented_label_smoothing"]]
    assert remedies == ["augmentation", "label_smoothing"]


def test_remedies_that_exclude_each_other_are_not_combined(tmp_path: Path) -> None:
    params = params_with(tmp_path, "run.pixel_variants=[baseline,mixup,cutmix]")
    assert not [one for one in next_tries(known(params, ("mixup", "cutmix"))) if "both" in one.reason]


def test_transfer_comes_first_where_no_variant_has_a_backbone(tmp_path: Path) -> None:
    params = params_with(tmp_path, "run.feature_variants=[]", "run.fine_tune_variants=[]")
    first = next_tries(known(params, ("augmented",)))[0]
    assert run_with(tmp_path, first) == (*PIXELS, "transfer")


def test_augmentation_is_proposed_only_where_the_baseline_overfits(tmp_path: Path) -> None:
    params = params_with(tmp_path, "run.pixel_variants=[baseline,dropout]")
    found = only(next_tries(known(params)), "baseline overfits on pets: its gap is +19.")
    assert "augmented" in run_with(tmp_path, found)
    assert not [one for one in next_tries(known(params, gaps={"baseline": 0.01})) if "overfits" in one.reason]


def test_a_closed_gap_leaves_room_for_a_larger_network(tmp_path: Path) -> None:
    params = params_with(tmp_path)
    found = only(next_tries(known(params, ("augmented",), {"augmented": 0.01})), "The gap of augmented")
    assert run_with(tmp_path, found)[:5] == (*PIXELS, "larger", "larger_augmented"), "with what it is compared with"
    assert not [one for one in next_tries(known(params, (), {"dropout": 0.0})) if "larger" in one.reason]


def test_a_gap_that_is_left_proposes_stronger_augmentation_and_a_smaller_head(tmp_path: Path) -> None:
    params = params_with(tmp_path, "run.feature_variants=[transfer]", "run.fine_tune_variants=[]")
    found = next_tries(known(params, ("augmented",)))
    assert "augmented_strong" in run_with(tmp_path, only(found, "augmented helps on pets and leaves a gap"))
    params = params_with(tmp_path)
    found = next_tries(known(params, ("transfer",)))
    assert "transfer_average" in run_with(tmp_path, only(found, "transfer helps on pets with a gap"))


def test_few_test_images_propose_folds_unless_tuning_needs_one_split(tmp_path: Path) -> None:
    params = params_with(tmp_path)
    found = only(next_tries(known(params, n_test=80)), "pets has 80 test images")
    run_with(tmp_path, found)
    assert load_params(tmp_path / "params.yaml").run.split == "folds"
    tuned = params_with(tmp_path, "tuning.trials=2")
    assert not [one for one in next_tries(known(tuned, n_test=80)) if "folds" in one.command]


def test_photographs_get_another_backbone(tmp_path: Path) -> None:
    params = params_with(tmp_path, "run.datasets=[cats_vs_dogs]")
    found = only(next_tries(known(params, ("transfer",))), "Features of EfficientNetV2B0 may fit")
    assert "transfer_efficientnetv2b0" in run_with(tmp_path, found)
    assert load_params(tmp_path / "params.yaml").variants["transfer_efficientnetv2b0"].against == ("transfer",)


@pytest.mark.parametrize("datasets", ["pets", "pets,hands", "cats_vs_dogs"])
def test_dvc_and_the_checks_accept_every_candidate(tmp_path: Path, datasets: str) -> None:
    params = params_with(tmp_path, f"run.datasets=[{datasets}]")
    candidates = untried(params)["variants"]
    assert len(candidates) > 15
    for candidate in candidates:
        params_with(tmp_path, f"run.datasets=[{datasets}]", *candidate["settings"])
        assert candidate["name"] in load_params(tmp_path / "params.yaml").run.variants


def test_images_too_small_for_a_network_do_not_get_it(tmp_path: Path) -> None:
    params = params_with(tmp_path, "datasets.pets.image_size=[40,40]", "run.datasets=[pets]")
    assert not [one for one in untried(params)["variants"] if one["name"].startswith("larger")]


def test_at_most_three_and_each_command_once(tmp_path: Path) -> None:
    params = params_with(tmp_path)
    found = next_tries(known(params, ("augmented", "transfer"), {"augmented": 0.01}, n_test=80))
    assert len(found) == MOST
    assert len({one.command for one in found}) == MOST


def test_datasets_with_one_command_share_a_sentence() -> None:
    both = [
        Suggestion("It helps on pets. It may help more.", "do"),
        Suggestion("On hands too. It may help more.", "do"),
    ]
    assert by_command(both) == {"do": ["It helps on pets.", "It may help more.", "On hands too."]}
