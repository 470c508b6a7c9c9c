"""A study in folds through the stages: every image is tested once, from the jobs to the page."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from convnet.comparison.schema import read_verdicts
from convnet.data.splits import SPLITS
from convnet.evaluation.schema import Evaluation, read_evaluation, read_trivial
from helpers import tiny_study as tiny
from helpers.clones import Clone
from helpers.tiny_run import change_params, copy_of, finished_pipeline

FOLDS = {"run.split": "folds", "run.seeds": [0, 1, 2]}


def members_of(arrays: Path) -> list[str]:
    """Return the names of all images, in the order of the joined arrays."""
    return [name for split in SPLITS for name in json.loads((arrays / split / "members.json").read_text("utf-8"))]


def names_tested(evaluation: Evaluation) -> list[str]:
    """Return the names of the test images of all seeds."""
    return [name for run in evaluation.seeds for name in run.test_members]


def test_folds_go_from_the_arrays_to_the_verdict(tmp_path: Path) -> None:
    plateau = {"training.length": "plateau", "training.epochs": 4, "training.patience": 1}
    variants = {"run.datasets": ["tiny"], "run.pixel_variants": ["baseline", "dropout"]}
    tiny.write_params(tmp_path, {**tiny.PIXELS_ONLY, **FOLDS, **plateau, **variants})
    arrays = tiny.write_arrays(tmp_path / "arrays")
    for stage in (tiny.TRAIN, ("evaluate", "arrays", "features", "models", "evaluations/tiny")):
        done = tiny.run_stage(tmp_path, *stage)
        assert done.returncode == 0, done.stderr
    done = tiny.run_stage(tmp_path, "compare", "evaluations", "tables", "plots", "metrics.json")
    assert done.returncode == 0, done.stderr
    variants_folder = tmp_path / "evaluations" / "tiny" / "variants"
    evaluations = [read_evaluation(variants_folder / f"{name}.json") for name in ("baseline", "dropout")]
    for evaluation in evaluations:
        assert (evaluation.split, evaluation.gap_split) == ("folds", "test")
        assert sorted(names_tested(evaluation)) == sorted(members_of(arrays))
    assert names_tested(evaluations[0]) == names_tested(evaluations[1])
    trivial = read_trivial(tmp_path / "evaluations" / "tiny" / "trivial.json")
    sizes = [len(run.test_labels) for run in evaluations[0].seeds]
    assert [[len(predicted) for predicted in row.test_predictions] for row in trivial] == [sizes, sizes]
    assert trivial[0].splits["test"].n == sum(sizes) == len(members_of(arrays))
    found = read_verdicts(tmp_path / "tables" / "verdict.json")["tiny"]
    assert (found.split, found.n_test) == ("folds", sum(sizes))
    assert found.comparisons[0].n_groups == sum(sizes)
    assert f"3 seeds, {sum(sizes)} test images, each tested once, rendered images" in found.comparisons[0].sentence


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, clone_project: Callable[[Path], Clone]) -> tuple[Clone, str]:
    """A copy of a finished project that goes on in folds, and the output of that run."""
    clone = copy_of(finished_pipeline(tmp_path_factory, clone_project), tmp_path_factory.mktemp("folds") / "copy")
    batches = {"transfer.batch_size": 8, "fine_tune.batch_size": 8}  # a fold leaves 19 training images
    changes = {**FOLDS, **batches, "training.early_stopping": 1, "run.pixel_variants": ["baseline"]}
    change_params(clone.path, changes)
    return clone, clone.run("dvc", "repro").stdout


@pytest.mark.slow
def test_only_models_are_made_again(study: tuple[Clone, str]) -> None:
    ran = {line for line in study[1].splitlines() if line.startswith("Running stage")}
    assert [line for line in ran if "train@pets" in line]
    assert not [line for line in ran if any(stage in line for stage in ("download", "split@", "prepare", "features"))]


@pytest.mark.slow
def test_every_variant_tests_every_image_once(study: tuple[Clone, str]) -> None:
    folder = study[0].path
    for name in ("baseline", "transfer", "fine_tune"):
        evaluation = read_evaluation(folder / "data" / "evaluations" / "pets" / "variants" / f"{name}.json")
        assert sorted(names_tested(evaluation)) == sorted(members_of(folder / "data" / "arrays" / "pets"))
        assert evaluation.gap_split == ("test" if name == "baseline" else "validation")


@pytest.mark.slow
def test_perturbed_copies_are_of_images_that_a_model_did_not_train_on(study: tuple[Clone, str]) -> None:
    folder = study[0].path
    rows = json.loads((folder / "data" / "robustness" / "pets.json").read_text("utf-8"))["rows"]
    assert {len(row["accuracy"]) for row in rows} == {3}
    # Of the baseline's validation images half chose the epoch; three of each seed are left.
    (images,) = {row["n"] for row in rows}
    assert 3 < images <= 9  # of all seeds, each once
    right = [3 * np.array(row["accuracy"]) for row in rows]
    assert all(np.allclose(counts, np.round(counts)) for counts in right)


@pytest.mark.slow
def test_page_and_prediction_work(study: tuple[Clone, str]) -> None:
    clone = study[0]
    page = (clone.path / "reports" / "index.html").read_text("utf-8")
    assert "40 test images, each tested once" in page
    assert "each with its own fold" in page
    command = ("python", "-m", "convnet.cli.main", "predict", "models/best/pets", "reports/images")
    lines = clone.run(*command).stdout.splitlines()
    images = [path for path in (clone.path / "reports" / "images").iterdir() if path.suffix == ".jpg"]
    assert len(images) > 0
    assert len(lines) == 1 + len(images)
