"""Every variant tries the same points, and the validation loss of an extra seed chooses."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import qmc
from sklearn.metrics import log_loss

from convnet.engine.tuning import use_tuning
from convnet.jobs.job import STORE
from convnet.jobs.predictions import load_predictions
from convnet.params.recipe import resolve
from convnet.params.tuning import trials_of, with_settings
from convnet.system.errors import UserError
from helpers import tiny_study as tiny

STUDY: Mapping[str, Any] = {
    **tiny.PIXELS_ONLY,
    "run.pixel_variants": ["baseline", "dropout"],
    "run.seeds": [0],
    "tuning": {"trials": 4, "seed": 7},
    "training.epochs": 3,
}


def test_trials_are_equal_points_of_a_sobol_sequence(tmp_path: Path) -> None:
    params = tiny.params(tmp_path, STUDY)
    baseline, dropout = (trials_of(params, resolve(params, "tiny", name)) for name in ("baseline", "dropout"))
    points = qmc.Sobol(3, scramble=False).random(8)[2:5]
    assert baseline[0] == dropout[0] == {}
    rate = params.training.learning_rate
    assert [trial["learning_rate"] for trial in baseline[1:]] == pytest.approx(
        [rate * 10 ** (2 * point[0] - 1) for point in points], rel=0.01
    )
    assert [trial["learning_rate"] for trial in dropout[1:]] == [trial["learning_rate"] for trial in baseline[1:]]
    assert [trial["dropout"] for trial in dropout[1:]] == pytest.approx([0.1 + 0.6 * p[1] for p in points], rel=0.01)
    assert all("dropout" not in trial for trial in baseline)


def test_the_strength_of_each_remedy_is_tuned_within_its_range(tmp_path: Path) -> None:
    changes = {"variants.mixed": {"mixup": 0.2, "weight_decay": 0.1, "brightness": 0.2}, "tuning.trials": 40}
    params = tiny.params(tmp_path, STUDY | changes)
    trials = trials_of(params, resolve(params, "tiny", "mixed"))[1:]
    alphas = [trial["mixup"]["alpha"] for trial in trials]
    products = [trial["weight_decay"]["product"] for trial in trials]
    brightness = [trial["brightness"] for trial in trials]
    for values, low, high in ((alphas, 0.05, 1.0), (products, 0.01, 1.0), (brightness, 0.05, 0.6)):
        assert low <= min(values) < low + 0.1 * (high - low)
        assert high - 0.2 * (high - low) < max(values) <= high
    tried = resolve(with_settings(params, {"mixed": trials[0]}), "tiny", "mixed").remedies
    assert tried["mixup"] == {"alpha": alphas[0]}
    assert tried["colour"]["brightness"] == brightness[0]


def test_augmentation_is_scaled_within_its_limits(tmp_path: Path) -> None:
    params = tiny.params(tmp_path, STUDY | {"augmentation.shear": 0.9, "tuning.trials": 30})
    trials = [trial["augmentation"] for trial in trials_of(params, resolve(params, "tiny", "augmented"))[1:]]
    rotations = [trial["rotation"] for trial in trials]
    assert 10.0 <= min(rotations) < 13.0
    assert 55.0 < max(rotations) <= 60.0
    assert max(trial["shear"] for trial in trials) == 1.0
    assert all(trial["horizontal_flip"] is True for trial in trials)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tuning.seed": 0}, "tuning.seed is 0, which is in run.seeds too"),
        ({"run.split": "resplit"}, "tuning.trials needs one split for all seeds"),
    ],
)
def test_tuning_that_could_see_the_study_is_refused(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        tiny.params(tmp_path, STUDY | changes)


def test_lowest_validation_loss_is_chosen_and_used(tmp_path: Path) -> None:
    # A rate of 10 and more makes the loss infinite or useless, so that the first trial cannot win by accident.
    params = tiny.params(tmp_path, STUDY | {"training.learning_rate": 1.0})
    tiny.write_arrays(tmp_path / "arrays")
    done = tiny.run_stage(tmp_path, "tune", "arrays", "features", "backbone", "tuning.json")
    assert done.returncode == 0, done.stderr
    tuned = json.loads((tmp_path / "tuning.json").read_text())["variants"]
    assert list(tuned) == ["baseline", "dropout"]
    for found in tuned.values():
        losses = [trial["validation_loss"] for trial in found["trials"]]
        assert len(losses) == 4
        best = min(loss for loss in losses if loss is not None)
        assert found["chosen"] == found["trials"][losses.index(best)]["settings"]
    # The losses are those of the stored predictions.
    stored = set()
    for path in (tmp_path / STORE).glob("*/result/predictions.npz"):
        [(seed, splits)] = load_predictions(path).items()
        assert seed == 7
        seen = splits["validation"]
        stored.add(round(log_loss(seen.labels, seen.probabilities, labels=[0, 1]), 4))
    assert {trial["validation_loss"] for found in tuned.values() for trial in found["trials"]} - {None} <= stored
    rate = tuned["baseline"]["chosen"].get("learning_rate", 1.0)
    assert resolve(use_tuning(params, tmp_path / "tuning.json"), "tiny", "baseline").fit.learning_rate == rate


def test_a_study_without_trials_trains_the_settings_of_params(tmp_path: Path) -> None:
    params = tiny.params(tmp_path, STUDY | {"tuning.trials": 0})
    tiny.write_arrays(tmp_path / "arrays")
    done = tiny.run_stage(tmp_path, "tune", "arrays", "features", "backbone", "tuning.json")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "tuning.json").read_text()) == {"trials": 0, "variants": {}}
    assert use_tuning(params, tmp_path / "tuning.json") == params
