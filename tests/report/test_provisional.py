"""The provisional page: accuracies, what is decided, what is to come; and never a decision from one seed."""

import re
from pathlib import Path

from comparison.test_verdict import evaluation
from convnet.comparison.schema import Verdict
from convnet.comparison.verdict import verdict
from convnet.report.provisional import write_provisional

ROW = re.compile(
    r'<tr><th scope="row">(.*?)</th><td class="number">(.*?)</td><td class="number">(.*?)</td><td>(.*?)</td></tr>'
)
PLAN = ["all variants at 3 seeds: 9 jobs, 3 stored, about 6 min on this machine"]


def judged(seeds: int) -> Verdict:
    made = [
        evaluation(name, accuracy, tuple(range(seeds)))
        for name, accuracy in (("baseline", 0.6), ("augmented", 0.95), ("dropout", 0.61))
    ]
    return verdict(made, looks=(3, 5))


def page(tmp_path: Path, seeds: int) -> tuple[str, list[list[str]]]:
    path = tmp_path / "index.html"
    write_provisional([judged(seeds)], PLAN, path)
    text = path.read_text("utf-8")
    return text, [list(row) for row in ROW.findall(text)]


def test_one_seed_shows_accuracies_and_decides_nothing(tmp_path: Path) -> None:
    text, table = page(tmp_path, 1)
    assert "This page is provisional: a run wrote it in the middle of its training." in text
    assert "<title>Provisional" in text
    assert "0 of 2 comparisons are decided. Looks were declared at 3 and 5 seeds. Spent: none." in text
    assert "To come for open comparisons: 3 and 5." in text
    assert PLAN[0] in text
    accuracies = [f"{100 * row.accuracy.mean:.1f} %" for row in judged(1).variants]
    assert table == [
        ["baseline", "1", accuracies[0], "baseline"],
        ["augmented", "1", accuracies[1], "not decided"],
        ["dropout", "1", accuracies[2], "not decided"],
    ]
    assert not re.search(r"helps against|hurts against|[+-]\d+\.\d", text.partition("</style>")[2])


def test_look_shows_what_it_decided(tmp_path: Path) -> None:
    text, table = page(tmp_path, 3)
    decided = {variant: words for variant, _, _, words in table}
    assert decided["augmented"].startswith("helps against baseline: +")
    assert decided["dropout"] == "not decided"
    assert "1 of 2 comparisons are decided. Looks were declared at 3 and 5 seeds. Spent: 3." in text


def test_first_fold_shows_that_each_seed_tests_another_one(tmp_path: Path) -> None:
    path = tmp_path / "index.html"
    write_provisional([judged(1).model_copy(update={"split": "folds", "looks": [5]})], PLAN, path)
    text = path.read_text("utf-8")
    assert "Each seed tests another fold of the images. All 5 seeds are judged together." in text
    assert "Looks were declared" not in text


def test_names_are_escaped_and_nothing_is_loaded(tmp_path: Path) -> None:
    write_provisional([judged(1)], ["<script>alert(1)</script>"], tmp_path / "index.html")
    text = (tmp_path / "index.html").read_text("utf-8")
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert not re.search(r'(?:src|href)="(?!#|data:)', text)
