"""dvc.yaml lists the inputs and outputs of each stage completely, or DVC would reuse outdated results."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from convnet.params.checks import is_name
from convnet.params.load import load_params
from convnet.params.recipe import resolve
from helpers.tiny_study import PROJECT

STAGES: dict[str, dict[str, Any]] = yaml.safe_load((PROJECT / "dvc.yaml").read_text("utf-8"))["stages"]
PARAMS: dict[str, Any] = yaml.safe_load((PROJECT / "params.yaml").read_text("utf-8"))

# The time between checkpoints changes no result, so its change must train nothing again.
WITHOUT_EFFECT = {"checkpoints"}
KINDS_OF_OUTPUT = ("outs", "metrics", "plots")

each_stage = pytest.mark.parametrize("name", STAGES)


@each_stage
def test_code_of_the_stage_is_a_dependency(name: str) -> None:
    if name == "source_code":
        assert STAGES[name]["deps"] == ["src/convnet", "stages"]
    else:
        assert [path for path in STAGES[name]["deps"] if _is_code(path)] == [
            f"data/source_code/{Path(_script(name)).stem}.txt"
        ]


@each_stage
def test_command_replaces_its_shell_and_runs_one_script(name: str) -> None:
    # Without exec the shell would take the signal of Ctrl-C or kill, and the training would go on.
    assert STAGES[name]["cmd"].startswith("exec python stages/")
    assert not re.search(r"[;&|<>`]|\$\(", STAGES[name]["cmd"]), "more than one command"


def test_names_need_no_quotes_in_a_shell() -> None:
    characters = map(chr, range(0x3000))
    allowed = {c for c in characters if any(is_name(name) for name in (c, f"{c}a", f"a{c}", f"a{c}a"))}
    assert allowed == set("abcdefghijklmnopqrstuvwxyz0123456789_")
    assert all(shlex.quote(f"a{c}") == f"a{c}" for c in allowed)
    assert "".join(STAGES["source_code"]["deps"]).count("$") == 0, "the first stage takes no name"


@each_stage
def test_every_path_of_the_command_is_a_dependency_or_an_output(name: str) -> None:
    known = {*_data(name), *_outputs(name)}
    known |= {str(parent) for output in _outputs(name) for parent in Path(output).parents}
    paths = [word for word in _arguments(name) if "/" in word or word in {"data", "models", "reports", "metrics"}]
    assert set(paths) - known == set()


@each_stage
def test_every_dependency_and_output_is_given_in_the_command(name: str) -> None:
    words = _arguments(name)
    for path in [*_data(name), *_outputs(name)]:
        assert any(path == word or path.startswith(f"{word}/") for word in words), f"{path} is in the code"


@each_stage
def test_matrix_lists_come_from_params_yaml(name: str) -> None:
    for values in STAGES[name].get("matrix", {}).values():
        assert re.fullmatch(r"\$\{run\.\w+\}", values)
        assert values[2:-1].split(".")[1] in PARAMS["run"]


@each_stage
def test_stage_of_a_dataset_depends_on_its_plan(name: str) -> None:
    plans = [path for path in STAGES[name].get("deps", []) if path.startswith("data/plans/")]
    expected = [f"data/plans/${{item.dataset}}/{name}.json"] if "matrix" in STAGES[name] else []
    assert plans == (["data/plans/run.json"] if name == "compare" else expected)


def test_only_the_plan_reads_params_yaml() -> None:
    assert [name for name, stage in STAGES.items() if "params" in stage] == ["plan"]
    for key in STAGES["plan"]["params"]:
        if isinstance(key, dict):  # a whole file
            assert key == {"seeds.yaml": None}
            assert (PROJECT / "seeds.yaml").is_file()
        else:
            assert _has(PARAMS, key), f"{key} is not in params.yaml"


@each_stage
def test_outputs_of_training_stay_in_the_cache(name: str) -> None:
    # `cache: false` on a plain output switches the run cache off, and a change that is reverted would train again.
    for out in STAGES[name].get("outs", []):
        if isinstance(out, dict):
            ((path, options),) = out.items()
            assert path.startswith("reports/") or options.get("cache", True)


def test_every_script_is_a_stage() -> None:
    assert {_script(name) for name in STAGES} == {f"stages/{path.name}" for path in PROJECT.glob("stages/*.py")}


def test_no_two_stages_write_the_same_file() -> None:
    # Stages of one output template differ in their matrix: a variant is in one of the three lists only.
    lists = [PARAMS["run"][key] for key in ("pixel_variants", "feature_variants", "fine_tune_variants")]
    names = [name for variants in lists for name in variants]
    assert len(names) == len(set(names))
    outputs = [(out, str(STAGES[name].get("matrix"))) for name in STAGES for out in _outputs(name)]
    assert len(outputs) == len(set(outputs))


def test_every_section_of_params_is_a_param_of_some_stage() -> None:
    keys = [key for stage in STAGES.values() for key in stage.get("params", []) if isinstance(key, str)]
    sections = {key.split(".")[0] for key in keys}
    assert set(PARAMS) - WITHOUT_EFFECT == sections


def test_committed_params_are_valid_and_every_name_is_defined() -> None:
    params = load_params(PROJECT / "params.yaml")
    assert set(params.run.datasets) <= set(params.datasets)
    assert set(params.run.variants) <= set(params.variants)
    assert {dataset.backbone for dataset in params.datasets.values()} <= set(params.backbones)
    assert params.fine_tune.start in params.run.feature_variants


def test_every_variant_and_dataset_that_is_offered_makes_a_recipe() -> None:
    params = load_params(PROJECT / "params.yaml")
    for dataset in params.datasets:
        for variant, diff in params.variants.items():
            recipe = resolve(params, dataset, variant)
            assert recipe.kind == ("fine_tune" if diff.fine_tune else "features" if diff.transfer else "pixels")


def test_variants_of_the_run_are_in_the_list_of_their_kind() -> None:
    variants = PARAMS["variants"]
    assert not [v for v in PARAMS["run"]["pixel_variants"] if {"transfer", "fine_tune"} & set(variants[v])]
    assert all(variants[v].get("transfer") for v in PARAMS["run"]["feature_variants"])
    assert all(variants[v].get("fine_tune") for v in PARAMS["run"]["fine_tune_variants"])


def test_line_for_dvc_exp_show_fits_200_characters() -> None:
    # For one changed variant that no other is compared with. The width is that of DVC's table.
    found = re.search(r"dvc exp show --only-changed --drop '(\S+)'", (PROJECT / "docs" / "dvc.md").read_text("utf-8"))
    assert found is not None
    metrics = json.loads((PROJECT / "metrics.json").read_text("utf-8"))
    inputs = {path for name in STAGES if name != "source_code" for path in STAGES[name]["deps"]}
    for variant in ("augmented", "dropout", "transfer_dropout", "fine_tune"):
        numbers = [f"{dataset}.{variant}.{key}" for dataset in metrics for key in metrics[dataset][variant]]
        columns = ["Experiment", "Created", *numbers, f"variants.{variant}.dropout", *inputs]
        kept = [column for column in columns if not re.match(found[1], column)]
        assert {column.rpartition(".")[2] for column in kept} == {"Experiment", "accuracy", "difference", "dropout"}
        assert 2 + sum(max(len(column), 24) + 3 for column in kept) - 3 <= 200


def test_no_key_is_one_whose_change_dvc_ignores() -> None:
    # Found by experiment: DVC takes a key with one of these names for a fact of a file, and ignores its change.
    assert not {"size", "nfiles"} & {key for path in _key_paths(PARAMS) for key in path}


def test_every_number_is_read_as_a_number() -> None:
    # YAML 1.1 reads 1e-3 as text.
    assert not [value for value in _leaves(PARAMS) if isinstance(value, str) and re.fullmatch(r"[-+.\deE]+", value)]


@pytest.mark.parametrize("key", ["pixel_variants", "feature_variants", "fine_tune_variants"])
def test_list_emptied_by_dvc_leaves_a_file_that_can_be_read(key: str, tmp_path: Path) -> None:
    # A comment behind the list would end up in the middle of what follows.
    path = tmp_path / "params.yaml"
    path.write_text((PROJECT / "params.yaml").read_text("utf-8"), "utf-8")
    for value in ("[one]", "[]"):  # `dvc exp run -S 'run.<key>=...'`
        apply_overrides(path, [f"run.{key}={value}"])
    assert yaml.safe_load(path.read_text("utf-8")) == PARAMS | {"run": PARAMS["run"] | {key: []}}


def test_no_path_in_params_yaml_leads_into_the_pipeline() -> None:
    # All paths of the pipeline are in dvc.yaml.
    assert not [v for v in _leaves(PARAMS) if isinstance(v, str) and re.match(r"(data|models|reports|metrics)/", v)]


def _script(name: str) -> str:
    return str(STAGES[name]["cmd"].split()[2])


def _arguments(name: str) -> list[str]:
    words: list[str] = STAGES[name]["cmd"].split()[3:]
    return words


def _is_code(dependency: str) -> bool:
    return dependency.startswith("data/source_code/")


def _data(name: str) -> list[str]:
    """Return the dependencies that are neither code nor a plan, which stands for params.yaml."""
    plans = () if name in ("features", "report") else ("data/plans/",)
    return [path for path in STAGES[name]["deps"] if not _is_code(path) and not path.startswith(plans or "none")]


def _outputs(name: str) -> list[str]:
    entries = [entry for kind in KINDS_OF_OUTPUT for entry in STAGES[name].get(kind, [])]
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def _value(settings: Any, key: str) -> Any:
    for part in key.split("."):
        settings = settings[part]
    return settings


def _has(settings: Any, key: str) -> bool:
    try:
        _value(settings, key)
    except (KeyError, TypeError):
        return False
    return True


def _key_paths(settings: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(settings, dict):
        for key, value in settings.items():
            yield (*path, key)
            yield from _key_paths(value, (*path, key))
    elif isinstance(settings, list):
        for value in settings:
            yield from _key_paths(value, path)


def _leaves(settings: Any) -> Iterator[Any]:
    values = settings.values() if isinstance(settings, dict) else settings if isinstance(settings, list) else None
    if values is None:
        yield settings
        return
    for value in values:
        yield from _leaves(value)
