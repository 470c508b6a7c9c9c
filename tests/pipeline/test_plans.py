"""One setting of params.yaml changes the plans of the stages that use it, and of no other."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from convnet.params.load import load_params
from convnet.pipeline.plans import plan_of_run, plans_of
from convnet.system.errors import UserError
from helpers.tiny_study import PROJECT, as_yaml, change, committed

COMMON = ("pets", "hands")
RUN = ("run", "run")
MODELS = {"train", "look"}
PIXELS = {*MODELS, "sweep"}  # the baseline is swept
NOTHING: set[str] = set()
# The beginning of a setting's key -> the stages whose plans change with it, for the datasets that it names or for both;
# the longest beginning counts. A plan holds whole sections, so a new setting in one of them needs no entry.
EXPECTED: dict[str, set[str]] = {
    "run.pixel_variants": {*MODELS, "evaluate", "best", "run"},
    "run.feature_variants": {*MODELS, "evaluate", "best", "run"},
    "run.fine_tune_variants": {*MODELS, "evaluate", "best", "run"},
    "run.seeds": {*PIXELS, "run"},
    "run.split": {*PIXELS, "run"},
    "run.margin": {"run"},
    "run.looks": {"run"},
    "variants": NOTHING,  # an entry that the run does not list
    "variants.augmented": MODELS,
    "variants.dropout": MODELS,
    "variants.transfer": {*MODELS, "features"},
    "variants.transfer_dropout": MODELS,
    "variants.transfer_dropout.against": {"run"},
    "variants.transfer_average": NOTHING,
    "variants.transfer_augmented": NOTHING,
    "network": PIXELS,
    "training": PIXELS,
    "augmentation": MODELS,
    "transfer": MODELS,
    "transfer.augmented_views": NOTHING,  # no variant of the run trains on cached views
    "transfer.fresh_views": NOTHING,
    "fine_tune": MODELS,
    "fine_tune.start": {*MODELS, "run"},
    "split": {"split", "features"},  # pretraining splits its images by the same rule
    "split.validation": {"features"},  # both datasets have their own
    "split.test": {"features"},
    "split.test_from_validation": {"split", "features"},
    "split.seed": {"split", "features", "look"},
    "images": {"split", "prepare", "features"},  # pretraining packs images by the same rule
    "backbones": NOTHING,
    "backbones.compact": {"features"},
    "backbones.compact.input_range": {"features", "train", "sweep"},
    "backbones.compact.last_layer": {"features", *MODELS},
    "backbones.compact.trainable_from": {"features", *MODELS},
    "backbones.compact.explain_layers": {"features", "look"},
    "datasets": NOTHING,
    "robustness": {"look"},
    "explain": {"look"},
    "report": {"look"},  # it draws words into figures; the report stage depends on all plans
    "sweep": {"sweep"},
    "tuning": NOTHING,
    "tuning.trials": {"tune"},
    "checkpoints": NOTHING,
    "engine": NOTHING,
    "engine.threads_per_job": {*PIXELS, "features"},
}
TRAINING = {"training", "transfer", "fine_tune"}
# The same for the entry of a dataset: nothing of the other one changes.
OF_DATASET: dict[str, set[str]] = {
    "kind": {"download", "split"},
    "source": {"download", "split"},
    "split": {"split"},
    "image_size": {"split", "prepare", "features", *PIXELS},
    "backbone": {"features", *PIXELS},
    "training": PIXELS,
    "transfer": MODELS,
}
# A value that is not a number or a switch -> another valid one.
OTHER: dict[str, Any] = {
    "rmsprop": "adam", "adam": "sgd", "constant": "cosine", "cosine": "constant", "cooldown": "constant",
    "sparse": "one_hot", "auto": "float32", "fixed": "plateau", "nearest": "wrap", "flatten": "average",
    "average": "flatten", "rendered": "photographs", "photographs": "rendered", "local": "ray",
    "compact": "mobilenet_v2", "inception_v3": "compact",
    "pets": "hands", "hands": "pets", "course": None, "en": "es",
}  # fmt: skip
BLANK = {"early_stopping": 3, "trainable_from": "block3_conv", "address": "10.0.0.5:6379"}
OF_KEY: dict[str, Any] = {
    "run.split": "resplit",
    "fine_tune.start": "transfer_dropout",
    "sweep.enabled": False,
    "backbones.inception_v3.weights.md5": 32 * "0",
}
# Every other value of these contradicts another setting, as does the kind of a variant.
REFUSED = {
    *("training.length", "transfer.length", "backbones.compact.pretrain.rendered"),
    *(f"backbones.{name}.architecture" for name in ("compact", "inception_v3", "mobilenet_v2")),
}
KIND = re.compile(r"variants\.\w+\.(transfer|fine_tune)")
CHANGED: dict[type, Any] = {bool: lambda value: not value, int: lambda value: value + 1, float: lambda value: value / 2}


def plans(settings: dict[str, Any], folder: Path) -> dict[tuple[str, str], Any]:
    path = folder / "params.yaml"
    path.write_text(as_yaml(settings), "utf-8")
    params = load_params(path)
    of_datasets = {(d, stage): plan for d in params.run.datasets for stage, plan in plans_of(params, d).items()}
    return {**of_datasets, RUN: plan_of_run(params)}


def changed(folder: Path, key: str, value: Any, base: dict[str, Any] | None = None) -> set[tuple[str, str]]:
    """Return the plans that change with a setting, where `base` was changed before."""
    settings = committed()
    for base_key, base_value in (base or {}).items():
        change(settings, base_key, base_value)
    before = plans(settings, folder)
    change(settings, key, value)
    after = plans(settings, folder)
    return {name for name in before if before[name] != after.get(name)}


def another(key: str, value: Any) -> Any:
    """Return another value of a setting, None where there is none."""
    if key in OF_KEY:
        return OF_KEY[key]
    if key.endswith(".against") and isinstance(value, str):
        return "baseline"
    if isinstance(value, list):
        if all(isinstance(item, str) for item in value):
            return value[:-1]
        return [item | {"bytes": 1} if isinstance(item, dict) else CHANGED[type(item)](item) for item in value]
    if value is None:
        return BLANK.get(key.rpartition(".")[2], 2)
    return CHANGED[type(value)](value) if type(value) in CHANGED else OTHER.get(value, f"{value}_")


def expected(key: str) -> set[tuple[str, str]]:
    """Return the plans that depend on a setting."""
    section, _, rest = key.partition(".")
    dataset, _, setting = rest.partition(".")
    if section == "datasets" and dataset in COMMON:
        return {(dataset, stage) for stage in _longest(OF_DATASET, setting)}
    stages = _longest(EXPECTED, key)
    entries = committed()["datasets"]
    overridden = {d for d in COMMON if section in TRAINING and rest in entries[d].get(section, {})}
    found = {(d, stage) for d in COMMON if d not in overridden for stage in stages - {"run"}}
    return found | ({RUN} if "run" in stages else set())


def _longest(rules: dict[str, set[str]], key: str) -> set[str]:
    return rules[max((known for known in rules if f"{key}.".startswith(f"{known}.")), key=len)]


def leaves(settings: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if isinstance(settings, dict):
        for key, value in settings.items():
            yield from leaves(value, (*path, key))
    else:
        yield ".".join(path), settings


def test_every_setting_changes_the_plans_of_its_stages_only(tmp_path: Path) -> None:
    before, refused, wrong = plans(committed(), tmp_path), [], {}
    for key, value in leaves(committed()):
        if key == "run.datasets":  # it decides which plans there are
            continue
        settings = committed()
        change(settings, key, another(key, value))
        try:
            after = plans(settings, tmp_path)
        except UserError:
            refused += [] if KIND.fullmatch(key) else [key]
            continue
        found = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        if found != expected(key):
            wrong[key] = (found - expected(key), expected(key) - found)
    assert wrong == {}
    assert set(refused) == REFUSED, "OTHER and OF_KEY give other values"


def test_setting_of_a_dataset_changes_nothing_of_the_others(tmp_path: Path) -> None:
    assert {dataset for dataset, _ in changed(tmp_path, "datasets.hands.training", {"epochs": 2})} == {"hands"}
    assert changed(tmp_path, "run.datasets", ["hands", "pets"]) == {RUN}
    assert {dataset for dataset, _ in changed(tmp_path, "run.datasets", ["pets"])} == {"hands", "run"}
    assert changed(tmp_path, "run.datasets", ["pets", "hands", "cats_vs_dogs"]) == {RUN}


@pytest.mark.parametrize(
    ("switch", "value", "key", "other", "stages"),
    [
        ("tuning.trials", 2, "tuning.trials", 3, {"tune"}),
        ("tuning.trials", 2, "tuning.seed", 1001, {"tune"}),
        ("tuning.trials", 2, "training.batch_size", 21, {"tune", *PIXELS}),
        ("sweep.enabled", True, "sweep.shares", [0.5, 1.0], {"sweep"}),
        ("sweep.enabled", True, "sweep.variants", ["augmented"], {"sweep"}),
        ("sweep.enabled", True, "training.batch_size", 21, PIXELS),
        ("run.split", "folds", "split.seed", 1, {"split", "features", *PIXELS}),
    ],
)
def test_settings_of_what_the_committed_run_leaves_out(
    tmp_path: Path, switch: str, value: Any, key: str, other: Any, stages: set[str]
) -> None:
    found = changed(tmp_path, key, other, {switch: value})
    assert found == {(dataset, stage) for dataset in COMMON for stage in stages}


def test_number_of_seeds_changes_the_jobs_of_its_dataset_only(tmp_path: Path) -> None:
    before = plans(committed(), tmp_path)
    (tmp_path / "seeds.yaml").write_text("hands: {dropout: 7}\n", "utf-8")
    after = plans(committed(), tmp_path)
    assert {name for name in before if before[name] != after[name]} == {("hands", "train"), ("hands", "look")}
    assert after["hands", "train"]["seeds"]["dropout"] == (*committed()["run"]["seeds"], 3, 4, 5, 6)
    assert after["hands", "train"]["seeds"]["baseline"] == tuple(committed()["run"]["seeds"])


def test_whole_params_yaml_makes_plans() -> None:
    params = load_params(PROJECT / "params.yaml")
    assert set(plans_of(params, "pets")) == {
        "download", "split", "prepare", "features", "train", "tune", "evaluate", "look", "sweep", "best"
    }  # fmt: skip
