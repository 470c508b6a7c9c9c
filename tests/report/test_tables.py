import csv
import io
import json
import math
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, log_loss

from convnet.report import tables
from convnet.system.csv_tables import csv_text
from helpers.evaluations import make_evaluation, make_evaluations, typed

SIZES = [(1, 1, 1), (2, 5, 3), (3, 6, 5)]


def read(table: pd.DataFrame) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_text(table))))


@pytest.mark.parametrize(("datasets", "variants", "seeds"), SIZES)
def test_every_table_has_a_row_per_combination(datasets: int, variants: int, seeds: int) -> None:
    evaluations = typed(*make_evaluations(datasets, variants, seeds))
    runs = datasets * variants * seeds
    assert len(tables.variants_table(evaluations)) == runs
    assert len(tables.summary_table(evaluations)) == datasets * variants
    assert len(tables.history_table(evaluations)) == runs * 15 * 2
    assert len(tables.cost_table(evaluations)) == runs
    for evaluation in evaluations:
        assert len(tables.confusion_table([evaluation])) == len(evaluation.classes) ** 2


@pytest.mark.parametrize(("datasets", "variants", "seeds"), SIZES)
def test_every_file_opens_with_dataset_variant_and_kind(
    tmp_path: Path, datasets: int, variants: int, seeds: int
) -> None:
    tables.write_tables(typed(*make_evaluations(datasets, variants, seeds)), tmp_path)
    names = {path.stem for path in tmp_path.glob("*.csv")}
    assert names == {"variants", "summary", "history", "confusion", "reliability", "top_losses", "cost"}
    for path in tmp_path.glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        assert rows[0][:3] == ["dataset", "variant", "kind"]
        assert {len(row) for row in rows} == {len(rows[0])}
        assert {row[2] for row in rows[1:]} == {"rendered"}


def test_second_run_gives_equal_bytes(tmp_path: Path) -> None:
    tables.write_tables(typed(*make_evaluations()), tmp_path / "first")
    tables.write_tables(typed(*json.loads(json.dumps(make_evaluations()))), tmp_path / "second")
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()


def test_measured_seconds_change_cost_alone(tmp_path: Path) -> None:
    evaluations = make_evaluations(1, 2, 2)
    tables.write_tables(typed(*evaluations), tmp_path / "first")
    for evaluation in evaluations:
        for run in evaluation["seeds"]:
            run["seconds_training"] *= 2
    tables.write_tables(typed(*evaluations), tmp_path / "second")
    changed = [
        path.name
        for path in sorted((tmp_path / "first").iterdir())
        if path.read_bytes() != (tmp_path / "second" / path.name).read_bytes()
    ]
    assert changed == ["cost.csv"]


def test_summary_agrees_with_the_statistics_module() -> None:
    evaluation = make_evaluation("pets", "baseline", 5)
    accuracies = [run["splits"]["test"]["accuracy"] for run in evaluation["seeds"]]
    row = read(tables.summary_table(typed(evaluation)))[0]
    assert float(row["test_accuracy"]) == pytest.approx(mean(accuracies), abs=1e-6)
    assert float(row["test_accuracy_sd"]) == pytest.approx(stdev(accuracies), abs=1e-6)
    half = 2.776445 * stdev(accuracies) / math.sqrt(5)  # Student's t, 4 degrees of freedom, from a printed table
    assert float(row["interval_low"]) == pytest.approx(mean(accuracies) - half, abs=2e-6)
    assert float(row["interval_high"]) == pytest.approx(mean(accuracies) + half, abs=2e-6)
    assert float(row["wilson_low"]) < mean(accuracies) < float(row["wilson_high"])


def test_overfitting_table_holds_means_over_seeds() -> None:
    evaluations = make_evaluations(1, 3, 3)
    table = tables.overfitting_table(typed(*evaluations))
    assert table["variant"].tolist() == [evaluation["variant"] for evaluation in evaluations]
    for evaluation, (_, row) in zip(evaluations, table.iterrows(), strict=True):
        for column, value in row[1:].items():
            assert value == pytest.approx(mean(run[column] for run in evaluation["seeds"])), column
    assert {"best_epoch", "validation_loss_rise", "gap_at_best_epoch", "gap_at_last_epoch"} < set(table.columns)


def test_interval_is_cut_off_at_one() -> None:
    evaluation = make_evaluation("pets", "baseline", 2)
    for run, accuracy in zip(evaluation["seeds"], (0.9, 1.0), strict=True):
        run["splits"]["test"]["accuracy"] = accuracy
    row = read(tables.summary_table(typed(evaluation)))[0]
    assert (row["interval_low"], row["interval_high"]) == ("0.314690", "1.000000")


def test_one_seed_has_no_spread() -> None:
    row = read(tables.summary_table(typed(*make_evaluations(1, 1, 1))))[0]
    assert row["test_accuracy_sd"] == row["interval_low"] == row["interval_high"] == ""
    assert row["wilson_low"] != ""


def test_gap_is_train_less_validation_accuracy() -> None:
    for row in read(tables.variants_table(typed(*make_evaluations()))):
        expected = float(row["train_accuracy"]) - float(row["validation_accuracy"])
        assert float(row["gap"]) == pytest.approx(expected, abs=2e-6)


def test_confusion_counts_are_summed_over_seeds() -> None:
    evaluation = make_evaluation("shapes", "baseline", 3)
    rows = read(tables.confusion_table(typed(evaluation)))
    expected = np.sum([run["splits"]["test"]["confusion"] for run in evaluation["seeds"]], axis=0)
    assert [int(row["count"]) for row in rows] == expected.ravel().tolist()
    for name in evaluation["classes"]:
        shares = [float(row["row_share"]) for row in rows if row["true"] == name]
        assert sum(shares) == pytest.approx(1.0, abs=1e-5)


def test_class_without_test_images_has_no_share() -> None:
    evaluation = make_evaluation("pets", "baseline", 1)
    evaluation["seeds"][0]["splits"]["test"]["confusion"] = [[0, 0], [3, 37]]
    assert [row["row_share"] for row in read(tables.confusion_table(typed(evaluation)))] == [
        "",
        "",
        "0.075000",
        "0.925000",
    ]


def test_empty_bins_are_left_out_of_reliability() -> None:
    evaluation = make_evaluation("pets", "baseline", 2)
    bins = [part for run in evaluation["seeds"] for part in run["splits"]["test"]["reliability"]]
    full = [part for part in bins if part["n"]]
    assert 0 < len(full) < len(bins)
    assert [int(row["n"]) for row in read(tables.reliability_table(typed(evaluation)))] == [part["n"] for part in full]


def test_top_losses_are_the_mean_log_loss_of_each_image() -> None:
    evaluation = make_evaluation("pets", "dropout", 3)
    worst = tables.top_losses_table(typed(evaluation), 80)
    labels = evaluation["seeds"][0]["test_labels"]
    probabilities = [run["test_probabilities"] for run in evaluation["seeds"]]
    overall = np.mean([log_loss(labels, p, labels=[0, 1]) for p in probabilities])
    assert worst["loss"].mean() == pytest.approx(overall, rel=1e-6)
    assert worst["loss"].is_monotonic_decreasing
    assert worst["rank"].tolist() == list(range(1, 81))
    wrong = sum(round(80 * (1 - accuracy_score(labels, np.argmax(p, axis=1)))) for p in probabilities)
    assert worst["wrong"].sum() == wrong


def test_equal_losses_come_in_order_of_names() -> None:
    evaluation = make_evaluation("pets", "dropout", 1)
    run = evaluation["seeds"][0]
    run["test_members"], run["test_probabilities"] = run["test_members"][::-1], [[0.5, 0.5]] * 80
    assert tables.top_losses_table(typed(evaluation), 5)["member"].tolist() == sorted(run["test_members"])[:5]


def test_wrong_counts_the_stored_predictions_and_not_rounded_probabilities() -> None:
    evaluation = make_evaluation("pets", "dropout", 2)
    for run in evaluation["seeds"]:
        run["test_probabilities"] = [[0.5, 0.5]] * 80
        run["test_predicted"] = run["test_labels"]
    assert tables.top_losses_table(typed(evaluation), 80)["wrong"].sum() == 0


def test_resplit_seeds_count_an_image_where_it_was_tested() -> None:
    evaluation = make_evaluation("pets", "baseline", 2)
    second = evaluation["seeds"][1]
    second["test_members"] = [f"other/{member}" for member in second["test_members"]]
    worst = tables.top_losses_table(typed(evaluation), 1000)
    assert len(worst) == 160
    assert set(worst["seeds"]) == {1}


def test_class_name_that_begins_a_formula_is_defused() -> None:
    evaluation = make_evaluation("pets", "baseline", 1, classes=["=1+1", 'a,"b"'])
    rows = read(tables.confusion_table(typed(evaluation)))
    assert rows[0]["true"] == rows[0]["predicted"] == "'=1+1"
    assert rows[2]["true"] == 'a,"b"'
