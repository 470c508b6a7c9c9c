"""The first screen: its sentences against the verdict, its commands against the seeds, its model against the choice."""

import re
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from convnet.comparison.power import estimate_of, minimum_detectable, planned, strictest_level
from convnet.comparison.schema import Verdict
from convnet.report.answer import _on_test_images, answer_on, detectable_table, next_steps
from helpers.evaluations import make_evaluations, typed
from report.test_page import Parsed, dataset_report, verdict, write


def study(seeds: int = 3) -> tuple[Verdict, list[Any]]:
    made = make_evaluations(1, 5, seeds)
    return verdict(made), typed(*made)


def test_every_open_comparison_has_a_chance_for_every_look() -> None:
    found, evaluations = study()
    answer = answer_on(found, evaluations)
    assert answer.looks == [5, 10]
    assert [q.comparison.variant for q in answer.questions] == [
        row.variant for row in found.comparisons if row.decision == "not decided"
    ]
    for question in answer.questions:
        assert list(question.chances) == [5, 10]
        assert all(re.fullmatch(r"(about|under|over) \d+ %", words) for words in question.chances.values())


def test_with_two_seeds_the_chance_is_not_known() -> None:
    found, evaluations = study(2)
    answer = answer_on(found, evaluations)
    assert answer.looks == [3, 5, 10]
    assert {words for question in answer.questions for words in question.chances.values()} == {"not known"}


def test_after_the_last_look_nothing_is_proposed() -> None:
    _, evaluations = study(10)
    assert next_steps([evaluations], [], declared=False) == []


def test_declared_looks_replace_the_proposed_ones() -> None:
    found, evaluations = study()
    found = found.model_copy(update={"looks": [3, 8]})
    assert answer_on(found, evaluations).looks == [8]
    assert detectable_table(found).seeds == [3, 8]
    assert [step.command for step in next_steps([evaluations], [8], declared=True)] == ["convnet decide --until 8"]


def test_next_steps_keep_the_seeds_and_add_unused_ones() -> None:
    made = make_evaluations(2, 2, 3)
    for evaluation in made:
        for run, seed in zip(evaluation["seeds"], (0, 2, 7), strict=True):
            run["seed"] = seed
            run["seconds_training"] = 60.0
    datasets = [typed(*made[:2]), typed(*made[2:])]
    five, ten = next_steps(datasets, [5, 10], declared=False)
    assert five.command == "dvc exp run -S 'run.seeds=[0,1,2,3,7]'"
    assert ten.command == "dvc exp run -S 'run.seeds=[0,1,2,3,4,5,6,7,8,9]'"
    assert (five.duration, ten.duration) == ("8 minutes", "28 minutes")  # 2 and 7 seeds of 4 variants, a minute each


def test_the_next_step_names_as_many_seeds_as_it_promises_where_variants_have_more() -> None:
    few, many = typed(*make_evaluations(1, 1, 3)), typed(*make_evaluations(1, 1, 6))
    (five,) = next_steps([[*many, *few]], [5], declared=False)
    assert five.command == "dvc exp run -S 'run.seeds=[0,1,2,3,4]'"


def test_the_kept_model_has_the_highest_validation_accuracy() -> None:
    found, evaluations = study()
    reached = {e.variant: fmean(run.splits["validation"].accuracy for run in e.seeds) for e in evaluations}
    answer = answer_on(found, evaluations)
    assert answer.kept == max(reached, key=reached.__getitem__)
    assert f"{100 * reached[answer.kept]:.1f} %" in answer.reasons[0]


def test_the_test_images_are_quoted_beside_the_choice() -> None:
    found, _ = study()
    kept = "transfer"
    for changes, expected in (
        ({"helpers": [kept, "x"], "leader": kept}, f"{kept} is ahead of every other helper"),
        ({"helpers": ["x", kept], "leader": "x"}, f"x is ahead of {kept}"),
        ({"helpers": [kept, "x"], "leader": None}, "do not show which of the helpers is best"),
        ({"helpers": [], "leader": None}, f"yet whether {kept} is better than baseline"),
    ):
        assert expected in _on_test_images(found.model_copy(update=changes), kept)[-1]
    assert _on_test_images(found, "baseline") == []


def test_detectable_differences_are_those_of_the_power_module_and_never_rise() -> None:
    found, _ = study()
    table = detectable_table(found)
    assert table.seeds == [3, 5, 10]
    for row, by_seeds, with_images in table.rows:
        expected = [minimum_detectable(planned(estimate_of(row), n), strictest_level(found)) for n in table.seeds]
        np.testing.assert_allclose(by_seeds, expected)
        assert by_seeds == sorted(by_seeds, reverse=True)
        assert with_images <= by_seeds[0]


def test_first_screen_holds_sentence_command_model_and_chart(tmp_path: Path) -> None:
    report = dataset_report(tmp_path, "pets", 5, 3, figures=())
    text = Parsed(write(tmp_path, report)).text
    first = text[: text.index("Verdict", text.index("The model to use"))]
    assert report.answer.headline in first
    assert "dvc exp run -S 'run.seeds=[0,1,2,3,4]'" in first
    assert "convnet predict models/best/pets folder/" in first
    for question in report.answer.questions:
        assert f"{question.comparison.variant} or {question.comparison.baseline} " in first


def test_no_number_of_the_first_screen_is_rounded_to_the_other_side_of_zero(tmp_path: Path) -> None:
    report = dataset_report(tmp_path, "pets", 5, 3, figures=())
    rows = [
        row.model_copy(update={"interval": row.interval._replace(lower=0.0003)}) for row in report.verdict.comparisons
    ]
    report = type(report)(report.evaluations, report.verdict.model_copy(update={"comparisons": rows}))
    text = Parsed(write(tmp_path, report)).text
    assert "+0.03 to " in text
    assert not re.search(r"[ (]0\.0 to \+", text)
