"""Decisions at their limits, and which helper leads."""

from dataclasses import replace

import pytest

from convnet.comparison.decisions import decide, find_helpers, find_leader
from convnet.comparison.random_effects import Estimate

# Half the width of its 95 % interval is 1.96 points: images alone, so many that t is normal.
POINT = Estimate(mean=0.0, centre=0.0, seed_variance=0.0, image_variance=0.01**2, seeds=5, images=10**9, units=10**9)


def at(centre: float, **changes: float) -> Estimate:
    """An estimate of a difference."""
    return replace(POINT, mean=centre, centre=centre, **changes)


@pytest.mark.parametrize(
    ("centre", "margin", "decision"),
    [
        (0.0197, 0.0, "helps"),
        (-0.0197, 0.0, "hurts"),
        (0.0195, 0.0, "not decided"),
        (0.0, 0.02, "no relevant difference"),
        (0.0, 0.0195, "not decided"),
        # The interval excludes zero and is within the margin: the difference does not matter.
        (0.0197, 0.04, "no relevant difference"),
        (0.0197, 0.039, "helps"),
    ],
)
def test_decision_follows_the_interval(centre: float, margin: float, decision: str) -> None:
    assert decide([at(centre)], margin)[0].decision == decision


def test_both_kinds_of_p_are_corrected_for_all_comparisons() -> None:
    # Alone each is decided; among five, 0.049 and 0.025 are not enough.
    for centre, margin in ((0.0197, 0.0), (0.0, 0.0197)):
        rows = decide([at(centre)] * 5, margin)
        assert [row.decision for row in rows] == ["not decided"] * 5
        assert decide([at(centre)], margin)[0].decision != "not decided"


def test_fewer_than_three_seeds_decide_nothing() -> None:
    assert decide([at(0.5, seeds=2)])[0].decision == "not decided"
    assert decide([at(0.5, seeds=3)])[0].decision == "helps"
    assert decide([at(0.0, seeds=2, image_variance=1e-12)])[0].decision == "not decided"


def test_helpers_are_found_over_other_helpers() -> None:
    edges = [("fine_tune", "transfer"), ("transfer", "baseline"), ("a", "b"), ("augmented", "baseline")]
    assert sorted(find_helpers(edges, "baseline")) == ["augmented", "fine_tune", "transfer"]
    assert find_helpers([("a", "b"), ("b", "a")], "baseline") == []


@pytest.mark.parametrize(
    ("ahead", "leader"),
    [
        ({("a", "b"): "a", ("a", "c"): "a", ("b", "c"): None}, "a"),
        ({("a", "b"): "a", ("a", "c"): None, ("b", "c"): "b"}, None),
        ({("a", "b"): "b", ("a", "c"): "a", ("b", "c"): "b"}, "b"),
    ],
)
def test_leader_is_ahead_of_every_other(ahead: dict[tuple[str, str], str | None], leader: str | None) -> None:
    assert find_leader(["a", "b", "c"], ahead) == leader


def test_a_single_helper_leads_nobody() -> None:
    assert find_leader(["a"], {}) is None
