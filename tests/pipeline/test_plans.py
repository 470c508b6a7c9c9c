"""One setting of params.yaml changes the plans of the stages that use it, and of no other."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from convnet.params.load import load_params
from convnet.pipeline.plans import plans_of
from convnet.system.errors import UserError
from helpers.tiny_study import PROJECT, as_yaml, change, committed

COMMON = {"pets", "hands"}
MODELS = {"train", "look"}
# Leaf -> the stages whose plans change; of both datasets where no dataset is named.
EXPECTED: dict[str, set[str]] = {
    "run.seeds": MODELS,
    "network.dense": MODELS,
    "training.learning_rate": MODELS,
    "transfer.dense": MODELS,
    "fine_tune.epochs": MODELS,
    "variants.dropout.dropout": MODELS,
    "augmentation.rotation": {*MODELS, "features"},  # the compact backbone is pretrained with these knobs
    "images.minimum_side": {"split", "prepare", "features"},  # pretraining packs images by the same rule
    "split.seed": {"split", "features", "look"},
    "robustness.images_per_split": {"look"},
    "explain.draws": {"look"},
    "engine.threads_per_job": {*MODELS, "features"},
    "backbones.compact.explain_layers": {"look", "features"},
    "backbones.compact.pretrain.fit.epochs": {"features"},
    "sweep.enabled": {"sweep"},
    "tuning.trials": {"tune"},
}
CHANGED: dict[type, Any] = {bool: lambda value: not value, int: lambda value: value + 1, float: lambda value: value / 2}


def plans(settings: dict[str, Any], folder: Any) -> dict[tuple[str, str], Any]:
    path = folder / "params.yaml"
    path.write_text(as_yaml(settings), "utf-8")
    params = load_params(path)
    return {(d, stage): plan for d in params.run.datasets for stage, plan in plans_of(params, d).items()}


def changed(folder: Any, key: str, value: Any = None) -> set[tuple[str, str]]:
    settings, before = committed(), plans(committed(), folder)
    if value is None:
        old: Any = settings
        for part in key.split("."):
            old = old[part]
        value = old[:-1] if isinstance(old, list) else CHANGED[type(old)](old)
    change(settings, key, value)
    after = plans(settings, folder)
    return {name for name in before if before[name] != after.get(name)}


@pytest.mark.parametrize("key", EXPECTED)
def test_setting_changes_the_plans_of_its_stages_only(tmp_path: Any, key: str) -> None:
    assert changed(tmp_path, key) == {(dataset, stage) for dataset in COMMON for stage in EXPECTED[key]}


def test_setting_of_a_dataset_changes_nothing_of_the_others(tmp_path: Any) -> None:
    assert {dataset for dataset, _ in changed(tmp_path, "datasets.hands.training", {"epochs": 2})} == {"hands"}
    assert changed(tmp_path, "run.datasets", ["hands", "pets"]) == set()
    assert changed(tmp_path, "run.datasets", ["pets", "hands", "cats_vs_dogs"]) == set()


def _leaves(settings: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if isinstance(settings, dict):
        for key, value in settings.items():
            yield from _leaves(value, (*path, key))
    else:
        yield ".".join(path), settings


UNUSED = ("variants.larger", "variants.transfer_average", "backbones.mobilenet_v2", "backbones.inception_v3",
          "datasets.cats_vs_dogs", "datasets.rock_paper_scissors", "checkpoints", "engine.parallel_jobs",
          "engine.cpus_per_job", "engine.gpus_per_job")  # fmt: skip


def test_setting_that_the_run_does_not_use_changes_no_plan(tmp_path: Any) -> None:
    before, tried = plans(committed(), tmp_path), 0
    for key, value in list(_leaves(committed())):
        if key.startswith(UNUSED) and type(value) in CHANGED:
            settings = copy.deepcopy(committed())
            change(settings, key, CHANGED[type(value)](value))
            try:
                after = plans(settings, tmp_path)
            except UserError:  # half a core, for example
                continue
            assert before == after, key
            tried += 1
    assert tried > 10


def test_whole_params_yaml_makes_plans() -> None:
    params = load_params(PROJECT / "params.yaml")
    assert set(plans_of(params, "pets")) == {
        "download", "split", "prepare", "features", "train", "tune", "evaluate", "look", "sweep", "best"
    }  # fmt: skip
