"""The templates of `dvc plots`, filled as DVC fills them and drawn by vega-lite."""

import copy
import csv
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import vl_convert
from dvc_render.vega import VegaRenderer

from convnet.pipeline.plots_page import VEGA_LITE_VERSION
from convnet.report import tables
from convnet.system.csv_tables import csv_text
from helpers.evaluations import make_evaluation, make_evaluations, typed

TEMPLATES = Path(__file__).parents[2] / ".dvc" / "plots"
PLOTS = {
    "variants": (tables.variants_table, "test_accuracy", "variant"),
    "gap": (tables.variants_table, "gap", "variant"),
    "curves": (tables.history_table, "epoch", "accuracy"),
    "confusion_grid": (tables.confusion_table, "predicted", "true"),
}
SVG = "{http://www.w3.org/2000/svg}"


def draw(template: str, revisions: dict[str, list[dict[str, Any]]], column: str | None = None) -> ElementTree.Element:
    """Return the SVG of one plot: what `dvc plots diff` shows for `revisions`, name -> evaluations.

    `column` is drawn on y instead of the plot's own.
    """
    table, x, y = PLOTS[template]
    y = column or y
    rows = []
    for revision, evaluations in revisions.items():
        for row in csv.DictReader(io.StringIO(csv_text(table(typed(*evaluations))))):
            rows.append({**row, "rev": revision, "filename": "x.csv", "field": y})
    renderer = VegaRenderer(rows, "plot", template=str(TEMPLATES / f"{template}.json"), x=x, y=y, title="The title")
    filled = json.dumps(renderer.get_filled_template())
    assert "<DVC_METRIC" not in filled
    return ElementTree.fromstring(vl_convert.vegalite_to_svg(filled, vl_version=VEGA_LITE_VERSION))


def words(svg: ElementTree.Element) -> list[str]:
    """The words of each label; the lines of a longer one are words of their own."""
    return [line.text or "" for text in svg.iter(f"{SVG}text") for line in (text.findall(f"{SVG}tspan") or [text])]


def marks(svg: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    return [element for element in svg.iter() if element.get("aria-roledescription") == kind]


@pytest.mark.parametrize("template", PLOTS)
@pytest.mark.parametrize(("datasets", "variants", "seeds"), [(1, 1, 1), (2, 5, 3), (3, 6, 3), (2, 8, 5)])
def test_every_panel_is_named_and_fits_a_page(template: str, datasets: int, variants: int, seeds: int) -> None:
    evaluations = make_evaluations(datasets, variants, seeds)
    svg = draw(template, {"workspace": evaluations})
    shown = words(svg)
    assert "The title" in shown
    for evaluation in evaluations:
        assert f"{evaluation['dataset']}, rendered images" in shown
        assert evaluation["variant"] in shown
    assert float(str(svg.get("width"))) < 1500
    sizes = [float(str(text.get("font-size")).removesuffix("px")) for text in svg.iter(f"{SVG}text")]
    assert min(sizes) >= 10


def test_variants_show_a_dot_per_seed_and_a_mean_per_variant() -> None:
    svg = draw("variants", {"workspace": make_evaluations(2, 5, 3)})
    assert len(marks(svg, "point")) + len(marks(svg, "circle")) == 2 * 5 * 3
    assert len(marks(svg, "tick")) == 2 * 5


def test_two_revisions_stand_side_by_side() -> None:
    both = {"workspace": make_evaluations(1, 3, 2), "HEAD": make_evaluations(1, 3, 3)}
    for template, kind, count in (("variants", "tick", 6), ("gap", "bar", 6), ("confusion_grid", "rect mark", 24)):
        svg = draw(template, both)
        assert len(marks(svg, kind)) == count, template
    assert {"workspace", "HEAD"} <= set(words(draw("curves", both)))


def test_curves_draw_every_seed_and_their_median() -> None:
    svg = draw("curves", {"workspace": make_evaluations(1, 2, 3)})
    assert len(marks(svg, "line mark")) == 2 * 2 * (3 + 1)


def with_outlier(evaluations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return evaluations in which one seed of one variant learned nothing, and its loss exploded."""
    changed = copy.deepcopy(evaluations)
    lost = changed[1]["seeds"][2]
    lost["splits"]["test"]["accuracy"] = 0.05
    lost["generalisation_gap"] = -0.9
    for row in changed[1]["history"]:
        if row["seed"] == lost["seed"]:
            row["validation_loss"] *= 100
    return changed


def numbers(svg: ElementTree.Element) -> list[float]:
    """The labels of the axes, without percent signs."""
    found = (re.fullmatch(r"[\u2212-]?([\d.]+)%?", word) for word in words(svg))
    return [float(match[0].replace("\u2212", "-").rstrip("%")) for match in found if match]


@pytest.mark.parametrize(
    ("template", "column"), [("variants", None), ("gap", None), ("curves", "loss")], ids=lambda value: str(value)
)
def test_one_seed_far_from_the_others_does_not_set_the_axis(template: str, column: str | None) -> None:
    whole = make_evaluations(1, 4, 3)
    before = numbers(draw(template, {"workspace": whole}, column))
    after = numbers(draw(template, {"workspace": with_outlier(whole)}, column))
    spread = max(before) - min(before)
    assert min(after) >= min(before) - spread
    assert max(after) <= max(before) + spread


def test_seed_beyond_the_axis_is_a_triangle() -> None:
    whole = make_evaluations(1, 4, 3)
    plain, changed = (draw("variants", {"workspace": e}) for e in (whole, with_outlier(whole)))
    shapes = [{str(mark.get("d")).count("L") for mark in marks(svg, "point")} for svg in (plain, changed)]
    assert len(shapes[0]) == 1
    assert len(shapes[1]) == 2
    assert len(marks(changed, "point")) == len(marks(plain, "point"))


def test_few_epochs_of_fine_tuning_fill_their_panel() -> None:
    long, short = make_evaluation("pets", "baseline", 3, epochs=40), make_evaluation("pets", "fine_tune", 3, epochs=3)
    svg = draw("curves", {"workspace": [long, short]})
    drawn = [list(map(float, re.findall(r"[ML](-?[\d.]+)", str(line.get("d"))))) for line in marks(svg, "line mark")]
    widths = sorted({round(max(xs) - min(xs)) for xs in drawn})
    assert len(widths) == 1
    assert len(marks(svg, "point")) == 2 * 3  # of training and validation; a single epoch is no line


def test_variants_keep_the_order_of_the_run() -> None:
    shown = words(draw("curves", {"workspace": make_evaluations(1, 3, 1)}))
    assert [word for word in shown if word in ("baseline", "augmented", "dropout")] == [
        "baseline",
        "augmented",
        "dropout",
    ]


def test_confusion_stays_in_its_column_when_a_revision_lacks_a_variant() -> None:
    current = make_evaluations(2, 3, 1)
    before = [e for e in current if e["variant"] != "dropout" and e["dataset"] == "pets"]
    svg = draw("confusion_grid", {"workspace": current, "HEAD": before})
    by_cell = cells(svg)
    assert len(by_cell) == 3 * 3  # three rows: two datasets, and one of them before
    expected = [*current[:3], *before, None, *current[3:]]  # the revisions of a dataset follow each other
    for counts, evaluation in zip(by_cell, expected, strict=True):
        assert counts == (tables.confusion_table(typed(evaluation))["count"].tolist() if evaluation else [])


def test_confusion_of_many_variants_goes_on_in_the_next_rows() -> None:
    both = {"workspace": make_evaluations(2, 8, 5), "HEAD~1": make_evaluations(2, 8, 5)}
    svg = draw("confusion_grid", both)
    one = draw("confusion_grid", {"workspace": make_evaluations(2, 6, 5)})
    assert float(str(svg.get("width"))) == pytest.approx(float(str(one.get("width"))), abs=30)
    shown = words(svg)
    assert shown.count("HEAD~1") == 2 * 2  # two rows of each dataset
    names = list(dict.fromkeys(e["variant"] for e in both["workspace"]))
    assert [shown.count(name) for name in names] == [2 * 2] * 8


def test_seed_far_above_the_others_is_a_thin_line_at_the_edge() -> None:
    lines = marks(draw("curves", {"workspace": with_outlier(make_evaluations(1, 4, 3))}, "loss"), "line mark")
    thin, thick = (
        [highest(line) for line in lines if (line.get("stroke-width") == "2") == is_thick] for is_thick in (False, True)
    )
    assert len(thick) == 4 * 2
    assert min(thin) < min(thick) - 10


def highest(line: ElementTree.Element) -> float:
    """The place of a line's highest point, from the top of its panel."""
    return min(float(y) for y in re.findall(r",(-?[\d.]+)", str(line.get("d"))))


def cells(svg: ElementTree.Element) -> Sequence[list[int]]:
    """The counts in each panel, row by row of panels, whatever the order in the file."""
    found = []
    for group in svg.iter(f"{SVG}g"):
        if re.search(r"role-scope cell", group.get("class", "")):
            for cell in group.findall(f"{SVG}g"):
                match = re.match(r"translate\(([\d.]+),([\d.]+)\)", cell.get("transform", ""))
                assert match is not None
                place = (float(match[2]), float(match[1]))
                numbers = [
                    e.text or "" for e in cell.iter(f"{SVG}text") if e.get("aria-roledescription") == "text mark"
                ]
                found.append((place, [int(number) for number in numbers]))
    return [numbers for _, numbers in sorted(found)]
