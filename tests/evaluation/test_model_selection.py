import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from helpers.tiny_study import start_keras

start_keras()

from convnet.evaluation.metrics import evaluate_split  # noqa: E402
from convnet.evaluation.model_selection import best_of, candidate, choose_best  # noqa: E402
from convnet.jobs.model_files import check_model, find_model  # noqa: E402
from convnet.jobs.predictions import load_predictions, save_predictions  # noqa: E402
from helpers.evaluations import make_evaluation, typed  # noqa: E402
from helpers.saved_variant import overconfident, write_variant  # noqa: E402


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A variant of two seeds, to be copied and given other predictions."""
    return write_variant(tmp_path_factory.mktemp("made") / "variant", seeds=(0, 1))


def write(made: Path, folder: Path, validation: Mapping[int, float], test: float = 0.5, parameters: int = 100) -> None:
    """Write a variant whose seeds reach the given validation accuracies."""
    shutil.copytree(made, folder)
    predictions = {
        seed: {
            split: overconfident(2, seed, test if split == "test" else reached)
            for split in ("train", "validation", "test")
        }
        for seed, reached in validation.items()
    }
    save_predictions(folder / "predictions.npz", predictions)
    job = json.loads((folder / "job.json").read_text()) | {"variant": folder.name}
    job["seeds"] = [run | {"parameters": parameters} for run in job["seeds"]]
    (folder / "job.json").write_text(json.dumps(job))


def test_highest_mean_validation_accuracy_is_chosen_and_its_best_seed(made: Path, tmp_path: Path) -> None:
    write(made, tmp_path / "models" / "baseline", {0: 0.9, 1: 0.5})
    write(made, tmp_path / "models" / "dropout", {0: 0.7, 1: 0.8})
    best = choose_best(tmp_path / "models", ["baseline", "dropout"], "rendered", tmp_path / "best")
    assert (best.variant, best.seed, best.accuracy) == ("dropout", 1, pytest.approx(0.75))


def test_test_images_take_no_part(made: Path, tmp_path: Path) -> None:
    write(made, tmp_path / "models" / "baseline", {0: 0.6, 1: 0.6}, test=1.0)
    write(made, tmp_path / "models" / "dropout", {0: 0.7, 1: 0.7}, test=0.1)
    best = choose_best(tmp_path / "models", ["baseline", "dropout"], "rendered", tmp_path / "best")
    assert best.variant == "dropout"


def test_evaluations_lead_to_the_choice_of_the_predictions(made: Path, tmp_path: Path) -> None:
    candidates = []
    for variant, reached in (
        ("baseline", {0: 0.6, 1: 0.9}),
        ("dropout", {0: 0.8, 1: 0.8}),
        ("transfer", {0: 0.5, 1: 1.0}),
    ):
        write(made, tmp_path / "models" / variant, reached)
        evaluation = make_evaluation("pets", variant, 2) | {"parameters": 100}
        saved = load_predictions(tmp_path / "models" / variant / "predictions.npz")
        for run in evaluation["seeds"]:
            found = saved[run["seed"]]["validation"]
            run["splits"]["validation"] = evaluate_split(
                found.probabilities, found.labels, ["cats", "dogs"]
            ).model_dump()
        candidates.append(candidate(typed(evaluation)[0]))
    best = choose_best(tmp_path / "models", ["baseline", "dropout", "transfer"], "rendered", tmp_path / "best")
    assert best_of(candidates) == best
    assert best.variant == "dropout"


def test_among_equals_the_smaller_network_is_chosen(made: Path, tmp_path: Path) -> None:
    write(made, tmp_path / "models" / "baseline", {0: 0.7, 1: 0.7}, parameters=200)
    write(made, tmp_path / "models" / "transfer", {0: 0.7, 1: 0.7}, parameters=100)
    best = choose_best(tmp_path / "models", ["baseline", "transfer"], "rendered", tmp_path / "best")
    assert best.variant == "transfer"


def test_chosen_folder_is_complete_and_passes_the_check(made: Path, tmp_path: Path) -> None:
    write(made, tmp_path / "models" / "baseline", {0: 0.6, 1: 0.8})
    choose_best(tmp_path / "models", ["baseline"], "photographs", tmp_path / "best")
    assert {path.name for path in (tmp_path / "best").iterdir()} == {
        *("model.keras", "job.json", "predictions.npz", "labels.json")
    }
    facts = check_model(find_model(tmp_path / "best"))
    assert (facts.seed, facts.variant, facts.kind) == (1, "baseline", "photographs")
    kept, all_of_them = (load_predictions(tmp_path / part / "predictions.npz") for part in ("best", "models/baseline"))
    assert set(kept) == {1}
    np.testing.assert_array_equal(kept[1]["test"].probabilities, all_of_them[1]["test"].probabilities)
    labels = json.loads((tmp_path / "best" / "labels.json").read_text())
    assert labels["classes"] == ["blue", "green"]
    assert labels["validation_accuracy"] == pytest.approx(0.7)


def test_choosing_twice_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    write(made, tmp_path / "models" / "baseline", {0: 0.6, 1: 0.8})
    for name in ("first", "second"):
        choose_best(tmp_path / "models", ["baseline"], "rendered", tmp_path / name)
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()
