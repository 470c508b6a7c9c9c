"""The page shows what tuning tried, what it cost and what it chose."""

from pathlib import Path

from convnet.comparison.verdict import verdict
from convnet.report import page
from convnet.report.tuning import TunedVariant, tuned_variants
from helpers.evaluations import make_evaluations, typed

TUNED = {
    "baseline": {
        "chosen": {"learning_rate": 0.0005},
        "trials": [
            {"settings": {}, "validation_loss": 0.7, "seconds": 60.0},
            {"settings": {"learning_rate": 0.0005}, "validation_loss": 0.5, "seconds": 60.0},
            {"settings": {"learning_rate": 0.1}, "validation_loss": None, "seconds": None},
        ],
    },
    "mixup": {
        "chosen": {},
        "trials": [
            {"settings": {}, "validation_loss": 0.4, "seconds": 30.0},
            {"settings": {"mixup": {"alpha": 0.1}}, "validation_loss": 0.6, "seconds": 30.0},
        ],
    },
}


def test_a_failed_trial_is_counted_and_not_chosen() -> None:
    baseline, mixup = tuned_variants({"trials": 3, "variants": TUNED})
    assert baseline == TunedVariant("baseline", 3, 1, 0.7, 0.5, "learning_rate 0.0005", 2.0)
    assert mixup.chosen == "the settings of params.yaml"
    assert mixup.minutes == 1.0


def test_page_has_the_table_only_where_tuning_ran(tmp_path: Path) -> None:
    evaluations = typed(*make_evaluations(1))
    found = verdict(evaluations)
    path = tmp_path / "index.html"
    rows = tuned_variants({"trials": 3, "variants": TUNED})
    page.write_report([page.DatasetReport(evaluations, found, tuned=rows)], "", path)
    assert "3, 1 failed" in path.read_text("utf-8")
    assert "learning_rate 0.0005" in path.read_text("utf-8")
    page.write_report([page.DatasetReport(evaluations, found)], "", path)
    assert "learning_rate 0.0005" not in path.read_text("utf-8")
