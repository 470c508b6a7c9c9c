"""The interval where every image is tested once: its parts by the textbook, its limits, and groups."""

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from statsmodels.regression.linear_model import OLS

from bench.lib.fold_studies import intervals
from convnet.comparison.folds import folds_estimate, parts_of

ROOT = Path(__file__).parents[2]


def draw(folds: int, images: int, fold_deviation: float, seed: int = 0) -> list[np.ndarray]:
    """Differences -1, 0, 1 of the images of each fold."""
    generator = np.random.default_rng(seed)
    shares = np.clip(0.2 + fold_deviation * generator.standard_normal(folds), 0.05, 0.9)
    return [
        np.where(generator.random(images) < share, 1.0, -1.0 * (generator.random(images) < 0.1)) for share in shares
    ]


def apart(differences: list[np.ndarray]) -> list[np.ndarray]:
    """Groups of one image each."""
    ends = np.cumsum([0, *map(len, differences)])
    return [np.arange(start, end) for start, end in itertools.pairwise(ends)]


def test_the_larger_of_both_variances_counts_with_the_freedom_of_the_folds() -> None:
    for deviation in (0.0, 0.15):
        differences = draw(5, 400, deviation)
        estimate, components = folds_estimate(differences, apart(differences))
        means = [values.mean() for values in differences]
        images = sum(values.var(ddof=1) / len(values) for values in differences) / 25
        variance = max(images, np.var(means, ddof=1) / 5)
        assert estimate.mean == pytest.approx(np.mean(means))
        assert estimate.seed_variance == pytest.approx(variance, rel=0.005)
        assert estimate.half_width(0.05) == pytest.approx(2.7764 * np.sqrt(variance), rel=0.005)  # t of 4 degrees
        assert components is not None
        assert components.seed / 5 + components.unit / estimate.units == pytest.approx(variance, rel=0.005)
        assert (components.seed > 0) == (np.var(means, ddof=1) / 5 > images)


def test_images_of_a_group_count_as_one_and_agree_with_a_cluster_robust_error() -> None:
    differences = [np.repeat(values, 4) for values in draw(5, 100, 0.0)]
    groups = [np.repeat(np.arange(100) + 100 * fold, 4) for fold in range(5)]
    grouped, _ = folds_estimate(differences, groups)
    alone, _ = folds_estimate([values[::4] for values in differences], apart([values[::4] for values in differences]))
    assert grouped.units == alone.units == 500 - 5 + 1
    assert grouped.seed_variance == pytest.approx(alone.seed_variance, rel=0.01)
    within = parts_of(differences, groups).of_units
    assert parts_of(differences, apart(differences)).of_units < 0.3 * within
    # statsmodels: a mean per fold, with groups as clusters; its correction for few clusters is left out.
    fold = np.repeat(np.arange(5), 400)
    means = np.eye(5)[fold]
    robust = OLS(np.concatenate(differences), means).fit(
        cov_type="cluster", cov_kwds={"groups": np.concatenate(groups), "use_correction": False}
    )
    variance = robust.cov_params().sum() / 25
    assert within == pytest.approx(variance * 100 / 99, rel=0.005)


def test_half_an_image_keeps_the_interval_open() -> None:
    certain, _ = folds_estimate([np.ones(20)] * 5, apart([np.ones(20)] * 5))
    lower, upper = certain.interval()
    assert lower < certain.centre < 1.0 == certain.mean
    assert upper - lower > 0.02


def test_folds_of_one_group_each_leave_the_spread_to_the_folds() -> None:
    differences = draw(6, 30, 0.1)
    estimate, _ = folds_estimate(differences, [np.full(30, fold) for fold in range(6)])
    means = np.array([values.mean() for values in differences])
    half = 2.5706 * means.std(ddof=1) / np.sqrt(6)  # t of 5 degrees of freedom
    assert estimate.half_width(0.05) == pytest.approx(half, rel=0.05)


def test_one_fold_has_no_spread_between_folds() -> None:
    values = draw(1, 200, 0.0)
    estimate, components = folds_estimate(values, apart(values))
    assert components is None
    assert estimate.seed_variance == 0
    assert estimate.image_variance == pytest.approx(values[0].var() / 200, rel=0.05)


def test_real_folds_of_one_model_contain_no_difference() -> None:
    # Two logistic regressions that differ by nothing but the order of features: no fold shows a difference.
    generator = np.random.default_rng(1)
    labels = np.repeat([0, 1], 100)
    features = generator.standard_normal((200, 6)) + labels[:, None]
    differences, groups = [], []
    for train, test in StratifiedKFold(5).split(features, labels):
        right = [
            LogisticRegression().fit(features[train][:, order], labels[train]).predict(features[test][:, order])
            == labels[test]
            for order in (np.arange(6), np.arange(6)[::-1])
        ]
        differences.append(right[1].astype(float) - right[0])
        groups.append(test)
    estimate, _ = folds_estimate(differences, groups)
    assert estimate.mean == 0
    assert estimate.p_value() == 1.0


INTERVAL = "larger variance, t of the folds"  # that of `folds_estimate`


def simulated(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a simulation."""
    rows: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["settings"]
    return rows


def test_committed_studies_contain_the_truth_often_enough() -> None:
    rows = simulated(ROOT / "bench" / "results" / "folds_simulation.json")
    assert {row["source"] for row in rows} == {"digits", "points"}
    assert {100, 600} <= {row["images"] for row in rows}
    for row in rows:
        assert row["studies"] >= 200
        found = row["intervals"][INTERVAL]
        assert found["coverage"] >= 93.0, row
        assert found["false_decisions"] <= 5.0, row


def test_simulated_interval_is_that_of_the_verdict() -> None:
    differences = draw(5, 60, 0.1)
    estimate, _ = folds_estimate(differences, apart(differences))
    assert intervals(differences, apart(differences))[INTERVAL].half_width(0.05) == estimate.half_width(0.05)


@pytest.mark.slow
def test_simulation_trains_networks_and_counts(tmp_path: Path) -> None:
    options = ("--quick", "--studies", "30", "--out", str(tmp_path / "rates.json"))
    command = [sys.executable, "-m", "bench.correctness.simulate_folds", *options]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (row,) = simulated(tmp_path / "rates.json")
    # Two standard errors of 60 rates near 95 % are 5.6 points.
    assert row["intervals"][INTERVAL]["coverage"] >= 89
    assert row["intervals"]["Nadeau and Bengio"]["half_width"] > row["intervals"][INTERVAL]["half_width"]
    assert row["true_points"]["twin"] == 0.0
