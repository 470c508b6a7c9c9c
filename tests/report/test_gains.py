from typing import Any

import pytest

from convnet.comparison.paired import compare
from convnet.comparison.schema import Verdict
from convnet.comparison.verdict import verdict as judge
from convnet.evaluation.schema import Evaluation
from convnet.report.gains import ELSEWHERE, Gain, cheapest_sentence, gains, minutes_per_model, minutes_words, pareto
from convnet.system.formats import points, points_interval
from helpers.evaluations import make_evaluation, typed

NAMES = ("baseline", "augmented", "transfer", "transfer_dropout", "fine_tune")


def study(**seconds: float) -> tuple[Verdict, list[Evaluation]]:
    made = [make_evaluation("pets", name, 5) for name in NAMES]
    made[-1]["recipe"]["start"] = "transfer"
    for one in made:
        for run in one["seeds"]:
            run["seconds_training"] = seconds.get(one["variant"], 60.0)
        one["seconds"]["features"] = 30.0 if one["variant"] in ("transfer", "transfer_dropout") else None
    found = typed(*made)
    return judge(found, against={"transfer_dropout": ["transfer"], "fine_tune": ["transfer"]}), found


def test_a_model_costs_its_training_its_start_and_the_features() -> None:
    _, evaluations = study(fine_tune=12.0)
    assert minutes_per_model(evaluations) == {
        **{"baseline": 1.0, "augmented": 1.0, "transfer": 1.5, "transfer_dropout": 1.5, "fine_tune": 1.7}
    }


@pytest.mark.parametrize(
    ("minutes", "words"), [(0.01, "under 0.1"), (0.06, "0.1"), (9.94, "9.9"), (9.96, "10"), (75.2, "75")]
)
def test_minutes_are_as_exact_as_they_repeat(minutes: float, words: str) -> None:
    assert minutes_words(minutes) == words


def test_gains_are_those_of_the_verdict_and_the_others_are_computed_alike() -> None:
    verdict, evaluations = study()
    found = {one.variant: one for one in gains(evaluations, verdict)}
    assert list(found) == list(NAMES)
    assert found["baseline"][3:] == (0.0, 0.0, 0.0, "baseline")
    direct = {row.variant: row for row in verdict.comparisons if row.baseline == "baseline"}
    assert set(direct) == {"augmented", "transfer"}
    for name, row in direct.items():
        assert found[name][3:] == (row.mean, *row.interval, row.decision)
    expected = compare(evaluations[0], evaluations[3], "accuracy").estimate
    assert found["transfer_dropout"].gain == expected.mean
    assert found["transfer_dropout"].verdict == ELSEWHERE, "it is judged against transfer"


def test_without_a_baseline_there_are_no_gains() -> None:
    found = typed(make_evaluation("pets", "augmented", 3))
    assert gains(found, judge(found)) == []


def gain(name: str, minutes: float, share: float, verdict: str = "helps") -> Gain:
    return Gain(name, minutes, 1.0, share, share - 0.01, share + 0.01, verdict)


def test_line_rises_by_more_than_the_margin_and_holds_only_what_helps() -> None:
    found = [
        gain("best", 9.0, 0.20),
        gain("baseline", 1.0, 0.0, "baseline"),
        gain("open", 1.5, 0.5, "not decided"),
        gain("cheap", 2.0, 0.05),
        gain("hardly better", 3.0, 0.06),
        gain("worse", 4.0, 0.03),
    ]
    assert [one.variant for one in pareto(found, "minutes", 0.02)] == ["baseline", "cheap", "best"]
    assert [one.variant for one in pareto(found, "megabytes", 0.02)] == ["best"], "equal costs: the largest gain"


def test_cheapest_is_a_helper_with_the_numbers_of_its_verdict() -> None:
    verdict, evaluations = study(augmented=1.0)  # not more than half a minute, but does it help?
    for variant, minutes in (("augmented", "under 0.1"), ("transfer", "1.5")):
        helping = verdict.model_copy(update={"helpers": [variant]})
        row = next(row for row in verdict.comparisons if row.variant == variant)
        rows = [row.model_copy(update={"decision": "helps"})]
        sentence = cheapest_sentence(helping.model_copy(update={"comparisons": rows}), evaluations)
        assert sentence == (
            f"The cheapest remedy that helps is {variant}: {points(row.mean)} points over baseline "
            f"(95 % interval {points_interval(*row.interval)}), for {minutes} minutes per model."
        )


def test_equal_costs_as_printed_are_named_together() -> None:
    verdict, evaluations = study(augmented=88.0)
    rows = [row.model_copy(update={"decision": "helps"}) for row in verdict.comparisons]
    changes: dict[str, Any] = {"helpers": [row.variant for row in rows], "comparisons": rows}
    sentence = cheapest_sentence(verdict.model_copy(update=changes), evaluations)
    assert sentence.startswith("The cheapest remedies that help take 1.5 minutes per model each: ")
    for name in ("augmented: ", "transfer: ", "transfer_dropout: "):
        assert name in sentence
    assert "fine_tune" not in sentence, "it also costs what it starts from"


def test_without_a_helper_nothing_is_the_cheapest() -> None:
    verdict, evaluations = study()
    assert cheapest_sentence(verdict.model_copy(update={"helpers": []}), evaluations) == ""
