"""reports/summary.md: one row per variant with the numbers of the verdict."""

from pathlib import Path

from convnet.report.answer import answer_on
from convnet.report.summary import write_summary
from convnet.system.formats import points, points_interval
from helpers.evaluations import make_evaluations, typed
from report.test_page import verdict


def test_summary_has_headline_and_a_row_of_equal_length_per_variant(tmp_path: Path) -> None:
    made = make_evaluations(1, 5, 3)
    found = verdict(made)
    answer = answer_on(found, typed(*made))
    write_summary([(found, answer)], tmp_path / "summary.md")
    lines = (tmp_path / "summary.md").read_text("utf-8").splitlines()
    assert lines[0] == answer.headline
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert {len(row) for row in rows} == {8}
    by_variant = {row[2]: row for row in rows[2:]}
    assert set(by_variant) == {row.variant for row in found.variants}
    for row in found.comparisons:
        cells = by_variant[row.variant]
        assert cells[4:7] == [points(row.mean), points_interval(*row.interval), f"{row.decision} (against baseline)"]
        assert (cells[7] == "") == (row.decision != "not decided")
    open_rows = {q.comparison.variant: q.chances[5] for q in answer.questions}
    assert all(by_variant[name][7] == f"{chance} with 5 seeds" for name, chance in open_rows.items())
