"""What params.yaml no longer names is gone from every result: nothing old may stand among new numbers."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from convnet.params.load import load_params
from helpers.clones import Clone
from helpers.tiny_run import WARM_REPRO, change_params, copy_of, finished_pipeline, names_in_reports
from helpers.tiny_study import PROJECT


@pytest.fixture
def clone(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, clone_project: Callable[[Path], Clone]) -> Clone:
    """A copy of the project in which the whole pipeline has run; the test may change it."""
    return copy_of(finished_pipeline(tmp_path_factory, clone_project), tmp_path / "copy")


def test_committed_metrics_and_reports_are_those_of_the_committed_run() -> None:
    run = load_params(PROJECT / "params.yaml").run
    names = {f"{dataset}-{variant}" for dataset in run.datasets for variant in run.variants}
    assert {path.stem for path in PROJECT.glob("metrics/*")} <= names
    assert {path.stem for path in PROJECT.glob("reports/model_cards/*")} <= names
    assert {path.name for path in PROJECT.glob("reports/figures/*/")} <= set(run.datasets)


@pytest.mark.slow
def test_removed_variant_leaves_nothing_in_the_results(clone: Clone) -> None:
    assert names_in_reports(clone.path, ["half_dropped"])
    change_params(clone.path, {"run.pixel_variants": ["baseline"]})
    clone.run(*WARM_REPRO)
    assert names_in_reports(clone.path, ["half_dropped"]) == []
    robustness = json.loads((clone.path / "data" / "robustness" / "pets.json").read_text("utf-8"))
    assert "half_dropped" not in json.dumps(robustness)
    assert "half_dropped" not in clone.run("dvc", "metrics", "show").stdout
    # Named again, it comes back without training.
    change_params(clone.path, {"run.pixel_variants": ["baseline", "half_dropped"]})
    done = clone.run(*WARM_REPRO)
    assert "Running stage 'train@" not in done.stdout
    assert names_in_reports(clone.path, ["half_dropped"])


@pytest.mark.slow
def test_removed_seed_leaves_nothing_in_the_results(clone: Clone) -> None:
    assert (clone.path / "models" / "pets" / "baseline" / "seed-1.keras").is_file()
    change_params(clone.path, {"run.seeds": [0]})
    done = clone.run(*WARM_REPRO)
    assert " epochs in " not in done.stderr, "a job ran again"
    for variant in ("baseline", "half_dropped", "transfer", "fine_tune"):
        folder = clone.path / "models" / "pets" / variant
        assert [path.name for path in folder.glob("*.keras")] == ["seed-0.keras"]
        assert {row["seed"] for row in _rows(folder / "history.csv")} == {"0"}
        evaluation = json.loads((clone.path / "data" / "evaluations" / f"pets-{variant}.json").read_text("utf-8"))
        assert [row["seed"] for row in evaluation["seeds"]] == [0]
    tables = [_rows(path) for path in (clone.path / "reports" / "tables").glob("*.csv")]
    with_seed = [rows for rows in tables if "seed" in rows[0]]
    assert with_seed
    assert {row["seed"] for rows in with_seed for row in rows} == {"0"}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
