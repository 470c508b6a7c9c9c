"""Results of datasets, variants and seeds that params.yaml does not list are in no report."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from convnet.params.load import load_params
from helpers.clones import Clone
from helpers.tiny_run import change_params, copy_of, finished_pipeline, names_in_reports
from helpers.tiny_study import PROJECT


@pytest.fixture
def clone(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, clone_project: Callable[[Path], Clone]) -> Clone:
    """A copy of the project in which the whole pipeline has run; the test may change it."""
    return copy_of(finished_pipeline(tmp_path_factory, clone_project), tmp_path / "copy")


def test_committed_metrics_and_plots_are_those_of_the_committed_run() -> None:
    run = load_params(PROJECT / "params.yaml").run
    metrics = json.loads((PROJECT / "metrics.json").read_text("utf-8"))
    assert set(metrics) == set(run.datasets)
    assert all(set(variants) == set(run.variants) for variants in metrics.values())
    rows = _rows(PROJECT / "reports" / "plots" / "variants.csv")
    assert {(row["dataset"], row["variant"]) for row in rows} == {
        (dataset, variant) for dataset in run.datasets for variant in run.variants
    }


GHOST = "ghost"


def leave(clone: Clone, path: str, origin: str) -> Path:
    """Copy a result to where a dataset or variant that is not listed would have left its own."""
    source, target = clone.path / origin, clone.path / path
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    return target


@pytest.mark.slow
def test_unlisted_variant_and_dataset_are_in_no_report_while_their_files_stay(clone: Clone) -> None:
    assert names_in_reports(clone.path, ["half_dropped"])
    left = [
        leave(clone, f"data/evaluations/{GHOST}", "data/evaluations/pets"),
        leave(clone, f"models/{GHOST}/baseline", "models/pets/baseline"),
        leave(clone, f"data/explanations/{GHOST}", "data/explanations/pets"),
        leave(clone, f"data/splits/{GHOST}.csv", "data/splits/pets.csv"),
        leave(clone, f"data/splits/{GHOST}.summary.json", "data/splits/pets.summary.json"),
        leave(clone, f"data/robustness/{GHOST}.json", "data/robustness/pets.json"),
    ]
    figures = leave(clone, f"reports/figures/{GHOST}", "reports/figures/pets")
    change_params(clone.path, {"run.pixel_variants": ["baseline"]})
    clone.run("dvc", "repro")
    names = ["half_dropped", GHOST]
    assert names_in_reports(clone.path, names) == []
    assert not figures.exists()
    for made in ("data/robustness/pets.json", "data/explanations/pets/figures.json", "models/best/pets/job.json"):
        text = (clone.path / made).read_text("utf-8")
        assert not [name for name in names if name in text], made
    assert not [path.name for path in (clone.path / "data/explanations/pets").rglob("*") if GHOST in path.name]
    shown = clone.run("dvc", "metrics", "show").stdout
    assert not [name for name in names if name in shown]
    assert all(path.exists() for path in left), "nothing is deleted without a request"
    # Listed again, the variant comes back without training.
    change_params(clone.path, {"run.pixel_variants": ["baseline", "half_dropped"]})
    assert " epochs in " not in clone.run("dvc", "repro").stderr
    assert names_in_reports(clone.path, ["half_dropped"])
    assert names_in_reports(clone.path, [GHOST]) == []


@pytest.mark.slow
def test_removed_seed_leaves_nothing_in_the_results(clone: Clone) -> None:
    assert (clone.path / "models" / "pets" / "baseline" / "seed-1.keras").is_file()
    change_params(clone.path, {"run.seeds": [0]})
    done = clone.run("dvc", "repro")
    assert " epochs in " not in done.stderr, "a job ran again"
    for variant in ("baseline", "half_dropped", "transfer", "fine_tune"):
        folder = clone.path / "models" / "pets" / variant
        assert [path.name for path in folder.glob("*.keras")] == ["seed-0.keras"]
        assert {row["seed"] for row in _rows(folder / "history.csv")} == {"0"}
        evaluation = json.loads(
            (clone.path / "data" / "evaluations" / "pets" / "variants" / f"{variant}.json").read_text("utf-8")
        )
        assert [row["seed"] for row in evaluation["seeds"]] == [0]
    tables = [_rows(path) for path in (clone.path / "reports" / "tables").glob("*.csv")]
    with_seed = [rows for rows in tables if "seed" in rows[0]]
    assert with_seed
    assert {row["seed"] for rows in with_seed for row in rows} == {"0"}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
