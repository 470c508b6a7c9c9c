import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn

from convnet.data.splits import SPLITS
from convnet.evaluation.calibration import fit_temperature
from convnet.evaluation.evaluate import evaluate
from convnet.evaluation.schema import Evaluation, read_evaluation
from convnet.jobs.predictions import CALIBRATION, Predictions, load_predictions, save_predictions
from convnet.system.errors import UserError
from convnet.system.files import write_json
from helpers import tiny_study as tiny


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.unbroken(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def evaluation(study: Path) -> Evaluation:
    return evaluate(study / "arrays", study / "models" / "hard")


@pytest.fixture(scope="module")
def predictions(study: Path) -> dict[int, Predictions]:
    return load_predictions(study / "models" / "hard" / "predictions.npz")


def test_evaluation_is_read_back_as_it_was_written(evaluation: Evaluation, tmp_path: Path) -> None:
    write_json(tmp_path / "evaluation.json", evaluation.model_dump())
    assert read_evaluation(tmp_path / "evaluation.json") == evaluation


def test_evaluation_of_another_version_is_a_user_error(evaluation: Evaluation, tmp_path: Path) -> None:
    write_json(tmp_path / "evaluation.json", evaluation.model_dump(exclude={"kind"}))
    with pytest.raises(UserError, match=r"kind: .*dvc repro"):
        read_evaluation(tmp_path / "evaluation.json")


def test_facts_are_those_of_dataset_and_job(evaluation: Evaluation, study: Path) -> None:
    assert (evaluation.dataset, evaluation.variant, evaluation.kind) == ("tiny", "hard", "rendered")
    assert (evaluation.classes, evaluation.image_size) == (["blue", "green"], (16, 16))
    assert evaluation.backbone is None
    assert evaluation.parameters == evaluation.trainable_parameters == 953
    assert evaluation.model_bytes == (study / "models" / "hard" / "seed-0.keras").stat().st_size
    assert evaluation.seconds.features is None
    assert evaluation.seconds.training == sum(seed.seconds_training for seed in evaluation.seeds)


def test_numbers_are_those_of_sklearn(evaluation: Evaluation, predictions: dict[int, Predictions]) -> None:
    for run in evaluation.seeds:
        for split in SPLITS:
            found, prediction = run.splits[split], predictions[run.seed][split]
            probabilities, truth = prediction.probabilities.astype(np.float64), prediction.labels
            probabilities /= probabilities.sum(axis=1, keepdims=True)  # float32 sums to 1 within its own precision
            predicted = probabilities.argmax(axis=1)
            assert found.n == len(truth)
            assert found.accuracy == pytest.approx(sklearn.accuracy_score(truth, predicted))
            # Of a loss near 0, float32 probabilities leave the precision of float32.
            assert found.loss == pytest.approx(sklearn.log_loss(truth, probabilities), rel=1e-5, abs=1e-7)
            assert found.balanced_accuracy == pytest.approx(sklearn.balanced_accuracy_score(truth, predicted))
            assert found.macro_f1 == pytest.approx(sklearn.f1_score(truth, predicted, average="macro"))
            assert found.confusion == sklearn.confusion_matrix(truth, predicted, labels=[0, 1]).tolist()
            recall = sklearn.recall_score(truth, predicted, average=None, zero_division=0)
            assert list(found.recall.values()) == pytest.approx(recall)
            assert sum(row.n for row in found.reliability) == len(truth)


def test_gap_is_taken_against_images_that_chose_no_epoch(evaluation: Evaluation, study: Path, tmp_path: Path) -> None:
    # The validation images chose the epoch.
    assert evaluation.gap_split == "test"
    for run in evaluation.seeds:
        assert run.generalisation_gap == pytest.approx(run.splits["train"].accuracy - run.splits["test"].accuracy)
    folder = with_job(study, tmp_path)
    by_seed = load_predictions(folder / "predictions.npz")
    fixed = {seed: {split: of_seed[split] for split in SPLITS} for seed, of_seed in by_seed.items()}
    save_predictions(folder / "predictions.npz", fixed)
    found = evaluate(study / "arrays", folder)
    assert found.gap_split == "validation"
    for run in found.seeds:
        assert run.generalisation_gap == pytest.approx(run.splits["train"].accuracy - run.splits["validation"].accuracy)


def test_temperature_is_fitted_on_images_that_chose_no_epoch(
    evaluation: Evaluation, predictions: dict[int, Predictions]
) -> None:
    for run in evaluation.seeds:
        unused = predictions[run.seed][CALIBRATION]
        assert run.splits["validation"].n + len(unused.labels) == tiny.COUNTS["validation"]
        assert run.temperature.temperature == fit_temperature(unused.probabilities, unused.labels)


def test_history_belongs_to_its_seed(evaluation: Evaluation) -> None:
    assert [(run.epochs, run.at_cap) for run in evaluation.seeds] == [(10, True), (3, False)]
    for run in evaluation.seeds:
        rows = [row for row in evaluation.history if row.seed == run.seed]
        losses = [row.validation_loss for row in rows]
        assert run.best_epoch == int(np.argmin(losses)) + 1
        assert run.validation_loss_rise == pytest.approx(losses[-1] - min(losses))


def test_test_images_are_named_in_the_order_of_their_predictions(
    evaluation: Evaluation, predictions: dict[int, Predictions], study: Path
) -> None:
    members = json.loads((study / "arrays" / "test" / "members.json").read_text())
    for run in evaluation.seeds:
        test = predictions[run.seed]["test"]
        assert run.test_members == members
        assert run.test_groups == np.load(study / "arrays" / "test" / "groups.npy").tolist()
        assert run.test_labels == test.labels.tolist()
        assert run.test_predicted == test.probabilities.argmax(axis=1).tolist()
        assert np.array(run.test_probabilities) == pytest.approx(test.probabilities, abs=6e-7)


def with_job(study: Path, folder: Path, **changes: Any) -> Path:
    """Copy what is evaluated, with changes to job.json."""
    for path in (study / "models" / "hard").iterdir():
        if path.suffix != ".keras":
            (folder / path.name).write_bytes(path.read_bytes())
    job = json.loads((folder / "job.json").read_text()) | changes
    (folder / "job.json").write_text(json.dumps(job))
    return folder


def test_resplit_names_the_images_of_the_joined_splits(study: Path, tmp_path: Path) -> None:
    run = evaluate(study / "arrays", with_job(study, tmp_path, split="resplit")).seeds[0]
    # The indices 0, 1, ... now count from the first training image.
    members = json.loads((study / "arrays" / "train" / "members.json").read_text())
    assert run.test_members == members[: tiny.COUNTS["test"]]
    groups = np.load(study / "arrays" / "train" / "groups.npy")
    assert run.test_groups == groups[: tiny.COUNTS["test"]].tolist()


def test_features_add_their_seconds_to_the_variants_that_use_them(
    study: Path, tmp_path: Path, evaluation: Evaluation
) -> None:
    features = tmp_path / "features"
    features.mkdir()
    (features / "timing.json").write_text('{"seconds": 12.5}')
    used = {"kind": "features", "augmented_views": None, "backbone": "compact", "last_layer": "block2_pool"}
    uses_them = with_job(study, tmp_path, recipe=evaluation.recipe | used)
    assert evaluate(study / "arrays", uses_them, features).seconds.features == 12.5
    assert evaluate(study / "arrays", study / "models" / "hard", features).seconds.features is None


def test_stage_writes_equal_bytes_every_time(study: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        command = tiny.stage_command("evaluate", "arrays", "features", "models", tmp_path / name)
        subprocess.run([sys.executable, *command], cwd=study, env=tiny.environment(), check=True)
    for file in ("variants/hard.json", "trivial.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()
