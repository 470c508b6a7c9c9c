"""Looks: what they spend, what stays, what waits; and the simulated rates that docs/method.md prints."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from comparison.test_decisions import at
from comparison.test_verdict import evaluation
from convnet.comparison.decisions import decide
from convnet.comparison.look_sentences import TOO_LARGE, look_sentence
from convnet.comparison.looks import decide_in_looks
from convnet.comparison.verdict import verdict
from convnet.comparison.wording import opening_sentences

RESULTS = Path(__file__).parents[2] / "bench" / "results" / "looks_simulation.json"


def centre(p: float) -> float:
    """The centre of an estimate with this two-sided p; its standard error is one point."""
    return float(stats.norm.isf(p / 2)) / 100


def decisions(looks: list[list[float | None]], margin: float = 0.0) -> list[str]:
    """Decide comparisons whose centres are given by look."""
    rows = [[None if value is None else at(value) for value in row] for row in looks]
    return [standing.decided.decision for standing in decide_in_looks(rows, margin)]


def test_one_look_is_the_rule_without_looks() -> None:
    estimates = [at(centre(p)) for p in (0.001, 0.012, 0.02, 0.4, 0.9)]
    found = decide_in_looks([estimates], 0.02)
    assert [standing.decided for standing in found] == decide(estimates, 0.02)
    assert {standing.look for standing in found} == {0}


def test_one_declared_look_changes_no_number() -> None:
    made = [evaluation(name, accuracy) for name, accuracy in (("baseline", 0.6), ("augmented", 0.7), ("dropout", 0.62))]
    plain, looked = verdict(made), verdict(made, looks=(5,))
    sentences = {"sentence": ""}
    assert [row.model_copy(update=sentences) for row in plain.comparisons] == [
        row.model_copy(update=sentences) for row in looked.comparisons
    ]
    assert (plain.helpers, plain.pairs, plain.leader) == (looked.helpers, looked.pairs, looked.leader)


@pytest.mark.parametrize(("p", "decision"), [(0.0166, "helps"), (0.0167, "not decided")])
def test_each_look_spends_its_part(p: float, decision: str) -> None:
    for look in range(3):
        centres: list[list[float | None]] = [[0.0]] * 3
        centres[look] = [centre(p)]
        assert decisions(centres) == [decision]


def test_decision_stays() -> None:
    assert decisions([[0.05], [-0.05], [-0.05]]) == ["helps"]
    standing = decide_in_looks([[at(0.05)], [at(-0.05)], [at(-0.05)]], 0.0)[0]
    assert standing.look == 0
    assert standing.decided.p_holm <= 0.05


def test_comparison_without_the_seeds_of_a_look_still_counts() -> None:
    # At the second look p is 0.01: times 2 looks enough alone, but not among three declared comparisons.
    one, three = [[0.0], [centre(0.01)]], [[0.0, 0.0, 0.0], [centre(0.01), None, None]]
    assert decisions(one) == ["helps"]  # type: ignore[arg-type]
    assert decisions(three) == ["not decided"] * 3  # type: ignore[arg-type]
    # Those that an earlier look decided leave the correction.
    assert decisions([[0.0, 0.05, 0.05], [centre(0.01), None, None]]) == ["helps"] * 3
    # Data of a comparison cannot take a decision from another.
    assert decisions([[0.0, 0.05, 0.05], [centre(0.01), 0.0, -0.05]]) == ["helps"] * 3


def test_irrelevant_difference_leaves_only_the_correction_of_its_own_hypothesis() -> None:
    # The first is irrelevant at the first look. "No difference" was not rejected, so two comparisons still count.
    tight = replace(at(0.0), image_variance=0.001**2)
    rows = [[tight, at(centre(0.1))], [None, at(centre(0.02))]]
    assert [s.decided.decision for s in decide_in_looks(rows, 0.02)] == ["no relevant difference", "not decided"]
    helping = [[at(0.09), at(centre(0.1))], [None, at(centre(0.02))]]
    assert [s.decided.decision for s in decide_in_looks(helping, 0.02)] == ["helps", "helps"]


def test_seeds_between_looks_wait() -> None:
    def study(count: int) -> list[dict[str, object]]:
        made = [evaluation(name, value, tuple(range(count))) for name, value in (("baseline", 0.6), ("dropout", 0.61))]
        return [row.model_dump(exclude={"seeds_left_out"}) for row in verdict(made, looks=(3, 5)).comparisons]

    assert study(4) == study(3)
    assert study(5) != study(4)
    assert study(6) == study(5)


def test_seeds_may_differ_by_variant() -> None:
    made = [
        evaluation("baseline", 0.6, tuple(range(5))),
        evaluation("augmented", 0.85, (0, 1, 2)),
        evaluation("dropout", 0.61, tuple(range(5))),
    ]
    found = verdict(made, looks=(3, 5, 10))
    by_name = {row.variant: row for row in found.comparisons}
    assert by_name["augmented"].decision == "helps"
    assert by_name["augmented"].seeds == [0, 1, 2]
    assert by_name["dropout"].seeds == [0, 1, 2, 3, 4]
    assert not [text for text in found.warnings if "left out" in text]
    spent = (
        "Looks were declared at 3, 5 and 10 seeds. Spent: 3 and 5. To come for open comparisons: 10. 13 jobs were "
        "trained, 17 fewer than at the last look for all variants. Seeds by variant: baseline 5, augmented 3, "
        "dropout 5."
    )
    assert spent in found.warnings
    assert "The look at 3 seeds decided it (1 of 3)." in by_name["augmented"].sentence
    assert "The next look is at 10 seeds." in by_name["dropout"].sentence
    assert "Holm over 2 comparisons, 3 looks" in by_name["dropout"].sentence
    assert "test accuracy rises (" in opening_sentences([found])[0]


def test_words_before_the_first_and_behind_the_last_look() -> None:
    made = [evaluation(name, value, (0, 1, 2)) for name, value in (("baseline", 0.6), ("dropout", 0.605))]
    row = verdict(made, looks=(5,)).comparisons[0]
    assert (row.decision, row.p_holm, len(row.seeds)) == ("not decided", 1.0, 3)
    assert row.p < 1
    assert look_sentence(row, (5,)) == "This is provisional: the first look is at 5 seeds."
    assert look_sentence(row, (3,)).startswith("The last look is over.")


def test_committed_simulation_keeps_its_bounds_and_sees_the_error() -> None:
    found = json.loads(RESULTS.read_text("utf-8"))
    rows = [row for group in found["settings"].values() for row in group]
    assert len(rows) == 40
    users = [name for name in rows[0] if name.startswith("false: ") and "unspent" not in name]
    assert len(users) == 6
    for row in rows:
        two_errors = 200 * (0.05 * 0.95 / row["studies"]) ** 0.5
        assert all(row[name] <= 5 + two_errors for name in users), row
    early = [group[f"too large at {look}"] for group in found["ranges"].values() for look in (3, 5)
             if f"too large at {look}" in group]  # fmt: skip
    assert f"{min(row['lowest'] for row in early):.1f} to {max(row['highest'] for row in early):.1f}" == TOO_LARGE
    assert max(row["false: unspent, looks"] for row in rows) > 7
    assert max(row["false: unspent, every seed"] for row in rows) > 7


GROUPS = {
    "no gain": "no_gain",
    "some variants gain": "partial_nulls",
    "unequal spreads of seeds": "unequal_spreads",
    "unlike networks": "unlike_networks",
    "differences of exactly the margin, or none": "margin",
    "gains of 2, 4, 8 and 12 points": "gains",
}
USERS = (
    "all",
    "only what looks good",
    "only what looks bad",
    "what looks clear first",
    "stop when pleased",
    "stop at random",
)


def test_table_of_the_document_is_that_of_the_committed_simulation() -> None:
    document = (Path(__file__).parents[2] / "docs" / "method.md").read_text("utf-8")
    ranges = json.loads(RESULTS.read_text("utf-8"))["ranges"]
    for words, group in GROUPS.items():
        cells = " | ".join(f"{ranges[group][f'false: {user}']:.1f} %" for user in USERS)
        assert f"| {words} | {cells} |" in document


@pytest.mark.parametrize("size", [2, 3, 4, 8, 10, 12])
def test_excess_of_early_decisions_is_that_of_the_committed_simulation(size: int) -> None:
    document = (Path(__file__).parents[2] / "docs" / "method.md").read_text("utf-8")
    rows = [row for group in json.loads(RESULTS.read_text("utf-8"))["settings"].values() for row in group]
    cells = []
    for look in ("3", "5"):
        found = [row["too_large_by_size"].get(f"{size}.0 points", {}).get(look, {"n": 0}) for row in rows]
        means = [value["mean"] for value in found if value["n"] >= 50]
        cells.append(" to ".join(f"{end:+.1f}" for end in sorted({min(means), max(means)})))
    assert f"| {size} points | {cells[0]} | {cells[1]} |" in document
