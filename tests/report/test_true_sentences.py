"""No sentence of the first screen contradicts its verdict, nor a rounded number beside it, for made-up studies."""

import re
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convnet.comparison.decisions import decide
from convnet.comparison.random_effects import Estimate
from convnet.comparison.schema import Comparison, Needed, Verdict
from convnet.comparison.variant_summary import accuracy_interval
from convnet.comparison.verdict import verdict as judge
from convnet.comparison.wording import comparison_sentence, headline
from convnet.evaluation.schema import Evaluation
from convnet.report.answer import answer_on
from convnet.system.formats import percent, points, points_interval
from helpers import evaluations as helper
from helpers.evaluations import VARIANTS, make_evaluation, typed

NUMBER = r"([+-]?\d+(?:\.\d+)?)"
CHANGE = re.compile(rf"changes by {NUMBER} points \(95 % interval {NUMBER} to {NUMBER} over")
LEVEL = 0.05

# From studies that decide nothing to studies that decide all; equal accuracies and faultless models included.
reached = st.one_of(
    st.lists(st.sampled_from([0.6, 0.8, 0.81, 0.97, 1.0]), min_size=2, max_size=5),
    st.lists(st.sampled_from([0.9, 0.97, 1.0]), min_size=2, max_size=4).map(lambda remedies: [0.6, *remedies]),
)
studies = st.tuples(reached, st.sampled_from([20, 300, 1200]), st.sampled_from([2, 3, 6]), st.booleans())


def make_study(reached: Sequence[float], images: int, seeds: int, looks: bool) -> tuple[Verdict, list[Evaluation]]:
    """Return the verdict on variants of known accuracy, and their evaluations."""
    names = VARIANTS[: len(reached)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(helper.COUNTS, "test", images)
        for name, accuracy in zip(names, reached, strict=True):
            patch.setitem(helper.UNSEEN, name, accuracy)
        made = typed(*(make_evaluation("pets", name, seeds) for name in names))
    return judge(made, looks=[3, 5] if looks else []), made


BASE = make_study([0.7, 0.8], 20, 2, False)[0]


@st.composite
def estimates(draw: st.DrawFn) -> list[Estimate]:
    """Return the differences of a study, with their errors; many intervals end close to zero or to the margin."""
    seeds = draw(st.integers(2, 10))
    return [draw(estimates_of(seeds)) for _ in range(draw(st.integers(1, 4)))]


@st.composite
def estimates_of(draw: st.DrawFn, seeds: int) -> Estimate:
    error = draw(st.floats(1e-4, 0.05))
    one = Estimate(0.0, 0.0, error**2 / 2, error**2 / 2, seeds, 400, 402.0)
    end = draw(
        st.one_of(
            st.floats(-0.3, 0.3).filter(lambda end: abs(end) > 1e-6),
            st.sampled_from([0.0, 0.02, -0.02]).map(lambda near: near + 4e-4),
        )
    )
    mean = draw(st.sampled_from([end, end + one.half_width(LEVEL), end - one.half_width(LEVEL)]))
    return replace(one, mean=mean, centre=mean)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(estimates(), st.booleans())
def test_sentences_of_comparisons_agree_with_their_rounded_numbers(drawn: list[Estimate], looks: bool) -> None:
    found = BASE.model_copy(update={"looks": [drawn[0].seeds, 20] if looks else []})
    rows = [
        found.comparisons[0].model_copy(
            update={
                **decided._asdict(),
                "variant": f"remedy{number}",
                "mean": estimate.mean,
                "interval": estimate.interval(),
                "seeds": list(range(estimate.seeds)),
                "needed": Needed(more_seeds=None, probability=None, test_images=None),
            }
        )
        for number, (estimate, decided) in enumerate(zip(drawn, decide(drawn, looks=1 + looks), strict=True))
    ]
    found = found.model_copy(update={"comparisons": rows})
    for row in rows:
        _check_sentence(comparison_sentence(row, found), row)


def _check_sentence(sentence: str, row: Comparison) -> None:
    written = CHANGE.search(sentence)
    assert written, sentence
    mean, low, high = map(float, written.groups())
    assert low - 0.05 <= mean <= high + 0.05, sentence
    beside_zero = low > 0 or high < 0
    assert beside_zero == (row.interval.lower > 1e-6 or row.interval.upper < -1e-6), (
        "no end is rounded to the other side"
    )
    if row.decision in ("helps", "hurts"):
        assert beside_zero, sentence
        assert (mean > 0) == (row.decision == "helps")
    if row.decision == "no relevant difference":
        assert low >= -2
        assert high <= 2
    if "excludes zero" in sentence:
        assert beside_zero
        assert row.decision == "not decided"
    p = re.search(r"p [=<] (\d\.\d+)", sentence)
    assert p, sentence
    if row.decision in ("helps", "hurts"):
        assert float(p[1]) <= LEVEL
    elif row.decision == "not decided" and len(row.seeds) >= 3:
        assert float(p[1]) >= LEVEL, sentence


@settings(max_examples=40, deadline=None, derandomize=True)
@given(studies)
def test_headline_names_the_helpers_and_no_other(drawn: tuple[list[float], int, int, bool]) -> None:
    found, evaluations = make_study(*drawn)
    answer = answer_on(found, evaluations)
    decided = {row.variant for row in found.comparisons if row.decision == "helps"}
    named = set(re.findall(r"\w+", answer.headline)) & set(VARIANTS)
    if not decided:
        assert re.search("no remedy is shown to help|nothing is decided|nothing to compare", answer.headline)
        return
    assert named - {"baseline"} == set(found.helpers)
    assert set(found.helpers) >= decided
    if "and is ahead of" in answer.headline:
        leading = {(pair.first, pair.second) for pair in found.pairs if pair.ahead == found.leader}
        assert len(leading) == len(found.helpers) - 1
    for row in found.comparisons:
        if row.variant in named and row.decision == "helps" and len(found.helpers) > 1 and not found.leader:
            assert f"{row.variant} {points(row.mean)} points" in answer.headline
            assert points_interval(*row.interval) in answer.headline
    means = re.search(rf"{NUMBER} % -> {NUMBER} % \({NUMBER} points", answer.headline)
    if means:
        before, after, change = map(float, means.groups())
        assert after - before == pytest.approx(change, abs=0.11), "each of the three is rounded by 0.05"


@settings(max_examples=40, deadline=None, derandomize=True)
@given(studies)
def test_questions_and_the_kept_model_are_true(drawn: tuple[list[float], int, int, bool]) -> None:
    found, evaluations = make_study(*drawn)
    answer = answer_on(found, evaluations)
    assert [q.comparison for q in answer.questions] == [r for r in found.comparisons if r.decision == "not decided"]
    for question in answer.questions:
        assert all(look > len(question.comparison.seeds) for look in question.chances)
        images = re.match(r"about ([\d,]+) \(([\d,]+) now\)", question.images)
        if images:
            wanted, now = (int(text.replace(",", "")) for text in images.groups())
            assert wanted >= question.comparison.needed.test_images > now  # type: ignore[union-attr]
    reached = {e.variant: fmean(run.splits["validation"].accuracy for run in e.seeds) for e in evaluations}
    assert percent(reached[answer.kept]) in answer.reasons[0]
    assert reached[answer.kept] == max(reached.values())
    of_kept = {row.decision for row in found.comparisons if row.variant == answer.kept}
    said = " ".join(answer.reasons[1:])
    assert ("is worse than" in said) <= ("hurts" in of_kept)
    assert ("no relevant difference" in said) <= ("no relevant difference" in of_kept)
    assert ("do not decide yet" in said) <= ("not decided" in of_kept)
    assert ("is ahead of" in said) <= (found.leader is not None)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(studies)
def test_an_accuracy_has_a_range_even_where_all_seeds_agree(drawn: tuple[list[float], int, int, bool]) -> None:
    _, evaluations = make_study(*drawn)
    for evaluation in evaluations:
        lower, upper = map(percent, accuracy_interval(evaluation))
        assert lower != upper
        shares = [fmean(run.splits["test"].accuracy for run in evaluation.seeds), *accuracy_interval(evaluation)]
        assert shares[1] - 1e-9 <= shares[0] <= shares[2] + 1e-9


def test_many_helpers_are_counted_and_only_the_ends_are_named() -> None:
    names = [f"remedy{number}" for number in range(8)]
    row = BASE.comparisons[0].model_copy(update={"decision": "helps"})
    rows = [row.model_copy(update={"variant": name}) for name in names]
    found = BASE.model_copy(update={"comparisons": rows, "helpers": names})
    rows = [row.model_copy(update={"seeds": [0, 1, 2]}) for row in rows]
    text = headline(found.model_copy(update={"comparisons": rows}))
    assert "8 remedies help, and none is shown to be ahead of all others: remedy0 " in text
    assert " to remedy7 " in text
    assert "remedy3" not in text
