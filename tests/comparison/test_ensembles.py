"""Ensembles in a comparison: their partners, and the rate of false decisions on simulated studies."""

import json
from typing import Any

import numpy as np
import pytest

from bench.correctness.simulate_ensembles import RESULTS, Setting, settings, simulate
from convnet.comparison.paired import compare, shared_seeds
from convnet.comparison.verdict import verdict
from convnet.evaluation.schema import Evaluation
from helpers.evaluations import make_evaluation


def made(variant: str, seeds: int, members: int = 0) -> Evaluation:
    content: dict[str, Any] = make_evaluation("pets", variant, seeds)
    for place, run in enumerate(content["seeds"]):
        run["members"] = list(range(place * members, (place + 1) * members))
    return Evaluation.model_validate(content)


def right(evaluation: Evaluation) -> np.ndarray:
    return np.array([np.equal(run.test_predicted, run.test_labels) for run in evaluation.seeds], float)


@pytest.mark.parametrize("turned", [False, True])
def test_group_is_compared_with_the_mean_of_its_members(turned: bool) -> None:
    base, ensemble = made("baseline", 7), made("augmented", 3, members=2)
    pair = (ensemble, base) if turned else (base, ensemble)
    difference = compare(*pair, "accuracy")
    expected = right(ensemble) - right(base)[:6].reshape(3, 2, -1).mean(axis=1)
    assert difference.metrics["accuracy"].differences == pytest.approx((-1 if turned else 1) * expected.mean(axis=1))
    assert difference.seeds == [0, 1, 2]
    assert difference.left_out == [6]
    assert difference.paired


def test_group_without_all_its_members_is_left_out() -> None:
    base, ensemble = made("baseline", 5), made("augmented", 3, members=2)
    assert shared_seeds(base, ensemble) == [0, 1]
    assert shared_seeds(ensemble, made("dropout", 3, members=3)) == [0, 1, 2]  # two ensembles: group by group


def test_look_counts_groups() -> None:
    base = made("baseline", 6)
    rows = {groups: verdict([base, made("augmented", groups, members=2)], looks=(3, 5)) for groups in (2, 3)}
    assert rows[2].comparisons[0].decision == "not decided"
    assert rows[3].comparisons[0].seeds == [0, 1, 2]
    assert rows[3].comparisons[0].p_holm < 1.0


@pytest.mark.parametrize("members", [2, 3])
def test_simulated_studies_keep_the_error_rate(members: int) -> None:
    studies = 400
    found = simulate(Setting(3, members, 300, 0.1, 0.0, same=True), studies, np.random.default_rng(members))
    assert found["decided"] <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / studies)


def test_committed_simulation_keeps_the_error_rate_everywhere() -> None:
    content = json.loads(RESULTS.read_text("utf-8"))
    assert [Setting(*(row[name] for name in Setting._fields)) for row in content["rows"]] == settings()
    bound = 2 * np.sqrt(0.05 * 0.95 / content["studies"])
    for row in content["rows"]:
        assert row["decided"] <= 0.05 + bound or row["gain"], row
        assert row["covered"] >= 0.93, row
