import csv
import io
import json
import math
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss

from convnet.report import tables
from helpers.evaluations import make_evaluation, make_evaluations

SIZES = [(1, 1, 1), (2, 5, 3), (3, 6, 5)]


def read(table: tables.Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(tables.csv_text(table))))


@pytest.mark.parametrize(("datasets", "variants", "seeds"), SIZES)
def test_every_table_has_a_row_per_combination(datasets: int, variants: int, seeds: int) -> None:
    evaluations = make_evaluations(datasets, variants, seeds)
    runs = datasets * variants * seeds
    assert len(tables.variants_table(evaluations).rows) == runs
    assert len(tables.summary_table(evaluations).rows) == datasets * variants
    assert len(tables.history_table(evaluations).rows) == runs * 15 * 2
    assert len(tables.cost_table(evaluations).rows) == runs
    for evaluation in evaluations:
        assert len(tables.confusion_table([evaluation]).rows) == len(evaluation["classes"]) ** 2


@pytest.mark.parametrize(("datasets", "variants", "seeds"), SIZES)
def test_every_file_opens_with_dataset_variant_and_pictures(
    tmp_path: Path, datasets: int, variants: int, seeds: int
) -> None:
    tables.write_tables(make_evaluations(datasets, variants, seeds), tmp_path)
    names = {path.stem for path in tmp_path.glob("*.csv")}
    assert names == {"variants", "summary", "history", "confusion", "reliability", "top_losses", "cost"}
    for path in tmp_path.glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        assert rows[0][:3] == ["dataset", "variant", "kind"]
        assert {len(row) for row in rows} == {len(rows[0])}
        assert {row[2] for row in rows[1:]} == {"rendered"}


def test_second_run_gives_equal_bytes(tmp_path: Path) -> None:
    tables.write_tables(make_evaluations(), tmp_path / "first")
    tables.write_tables(json.loads(json.dumps(make_evaluations())), tmp_path / "second")
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()


def test_measured_seconds_change_cost_alone(tmp_path: Path) -> None:
    evaluations = make_evaluations(1, 2, 2)
    tables.write_tables(evaluations, tmp_path / "first")
    for evaluation in evaluations:
        for run in evaluation["seeds"]:
            run["seconds_training"] *= 2
    tables.write_tables(evaluations, tmp_path / "second")
    changed = [
        path.name
        for path in sorted((tmp_path / "first").iterdir())
        if path.read_bytes() != (tmp_path / "second" / path.name).read_bytes()
    ]
    assert changed == ["cost.csv"]


def test_summary_agrees_with_the_statistics_module() -> None:
    evaluation = make_evaluation("pets", "baseline", 5)
    accuracies = [run["splits"]["test"]["accuracy"] for run in evaluation["seeds"]]
    row = read(tables.summary_table([evaluation]))[0]
    assert float(row["test_accuracy"]) == pytest.approx(mean(accuracies), abs=1e-6)
    assert float(row["test_accuracy_sd"]) == pytest.approx(stdev(accuracies), abs=1e-6)
    half = 2.776445 * stdev(accuracies) / math.sqrt(5)  # Student's t, 4 degrees of freedom, from a printed table
    assert float(row["interval_low"]) == pytest.approx(mean(accuracies) - half, abs=2e-6)
    assert float(row["interval_high"]) == pytest.approx(mean(accuracies) + half, abs=2e-6)
    assert float(row["wilson_low"]) < mean(accuracies) < float(row["wilson_high"])


def test_overfitting_table_holds_means_over_seeds() -> None:
    evaluations = make_evaluations(1, 3, 3)
    table = tables.overfitting_table(evaluations)
    assert [row[0] for row in table.rows] == [evaluation["variant"] for evaluation in evaluations]
    for evaluation, row in zip(evaluations, table.rows, strict=True):
        for column, value in zip(table.columns[1:], row[1:], strict=True):
            assert value == pytest.approx(mean(run[column] for run in evaluation["seeds"])), column
    assert {"best_epoch", "validation_loss_rise", "gap_at_best_epoch", "gap_at_last_epoch"} < set(table.columns)


def test_interval_is_cut_off_at_one() -> None:
    evaluation = make_evaluation("pets", "baseline", 2)
    for run, accuracy in zip(evaluation["seeds"], (0.9, 1.0), strict=True):
        run["splits"]["test"]["accuracy"] = accuracy
    row = read(tables.summary_table([evaluation]))[0]
    assert (row["interval_low"], row["interval_high"]) == ("0.314690", "1.000000")


def test_one_seed_has_no_spread() -> None:
    row = read(tables.summary_table(make_evaluations(1, 1, 1)))[0]
    assert row["test_accuracy_sd"] == row["interval_low"] == row["interval_high"] == ""
    assert row["wilson_low"] != ""


def test_gap_is_train_less_validation_accuracy() -> None:
    for row in read(tables.variants_table(make_evaluations())):
        expected = float(row["train_accuracy"]) - float(row["validation_accuracy"])
        assert float(row["gap"]) == pytest.approx(expected, abs=2e-6)


def test_confusion_counts_are_summed_over_seeds() -> None:
    evaluation = make_evaluation("shapes", "baseline", 3)
    rows = read(tables.confusion_table([evaluation]))
    expected = np.sum([run["splits"]["test"]["confusion"] for run in evaluation["seeds"]], axis=0)
    assert [int(row["count"]) for row in rows] == expected.ravel().tolist()
    for name in evaluation["classes"]:
        shares = [float(row["row_share"]) for row in rows if row["true"] == name]
        assert sum(shares) == pytest.approx(1.0, abs=1e-5)


def test_class_without_test_images_has_no_share() -> None:
    evaluation = make_evaluation("pets", "baseline", 1)
    evaluation["seeds"][0]["splits"]["test"]["confusion"] = [[0, 0], [3, 37]]
    assert [row["row_share"] for row in read(tables.confusion_table([evaluation]))] == ["", "", "0.075000", "0.925000"]


def test_empty_bins_are_left_out_of_reliability() -> None:
    evaluation = make_evaluation("pets", "baseline", 2)
    bins = [part for run in evaluation["seeds"] for part in run["splits"]["test"]["reliability"]]
    full = [part for part in bins if part["n"]]
    assert 0 < len(full) < len(bins)
    assert [int(row["n"]) for row in read(tables.reliability_table([evaluation]))] == [part["n"] for part in full]


def test_top_losses_are_the_mean_log_loss_of_each_picture() -> None:
    evaluation = make_evaluation("pets", "dropout", 3)
    worst = tables.top_losses(evaluation, 80)
    labels = evaluation["seeds"][0]["test_labels"]
    probabilities = [run["test_probabilities"] for run in evaluation["seeds"]]
    overall = np.mean([log_loss(labels, p, labels=[0, 1]) for p in probabilities])
    assert np.mean([item.loss for item in worst]) == pytest.approx(overall, rel=1e-6)
    assert [item.loss for item in worst] == sorted((item.loss for item in worst), reverse=True)
    wrong = sum(round(80 * (1 - accuracy_score(labels, np.argmax(p, axis=1)))) for p in probabilities)
    assert sum(item.wrong for item in worst) == wrong


def test_test_members_named_once_serve_all_seeds() -> None:
    evaluation = make_evaluation("pets", "baseline", 3)
    expected = tables.top_losses(evaluation, 5)
    for run in evaluation["seeds"][1:]:
        del run["test_members"], run["test_labels"]
    assert tables.top_losses(evaluation, 5) == expected


def test_resplit_seeds_count_a_picture_where_it_was_tested() -> None:
    evaluation = make_evaluation("pets", "baseline", 2)
    second = evaluation["seeds"][1]
    second["test_members"] = [f"other/{member}" for member in second["test_members"]]
    worst = tables.top_losses(evaluation, 1000)
    assert len(worst) == 160
    assert {item.seeds for item in worst} == {1}


HOSTILE = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "'=1", "＝1", "\n@x"]  # noqa: RUF001


@pytest.mark.parametrize("name", HOSTILE)
def test_class_name_that_begins_a_formula_is_defused(name: str) -> None:
    evaluation = make_evaluation("pets", "baseline", 1, classes=[name, 'a,"b"'])
    rows = read(tables.confusion_table([evaluation]))
    assert rows[0]["true"][0] in "'\\"  # an apostrophe, or the backslash of an escaped control character
    assert rows[0]["predicted"] == rows[0]["true"]
    assert rows[2]["true"] == 'a,"b"'


def test_negative_number_stays_a_number() -> None:
    assert tables.csv_text(tables.Table(("a", "b"), ((-0.5, "-0.5"),))) == "a,b\n-0.500000,'-0.5\n"


def test_numbers_that_are_not_finite_are_empty() -> None:
    assert tables.csv_text(tables.Table(("a", "b", "c"), ((math.nan, None, math.inf),))) == "a,b,c\n,,\n"


@given(st.text())
def test_no_text_survives_as_formula_or_control_character(text: str) -> None:
    shown = tables.safe_text(text)
    assert not shown.lstrip().startswith(("=", "+", "-", "@"))
    assert all(character.isprintable() for character in shown)


@given(st.lists(st.tuples(st.text(), st.integers(-9, 9)), min_size=1))
def test_csv_reads_back_as_it_was_written(rows: list[tuple[str, int]]) -> None:
    found: list[Any] = read(tables.Table(("name", "value"), tuple(rows)))
    assert [row["value"] for row in found] == [str(value) for _, value in rows]
    assert [row["name"] for row in found] == [tables.safe_text(name) for name, _ in rows]
