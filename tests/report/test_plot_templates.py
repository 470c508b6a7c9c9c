"""The templates of `dvc plots`, filled as DVC fills them and drawn by vega-lite."""

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
from helpers.evaluations import make_evaluations, typed

TEMPLATES = Path(__file__).parents[2] / ".dvc" / "plots"
PLOTS = {
    "variants": (tables.variants_table, "test_accuracy", "variant"),
    "gap": (tables.variants_table, "gap", "variant"),
    "curves": (tables.history_table, "epoch", "accuracy"),
    "confusion_grid": (tables.confusion_table, "predicted", "true"),
}
SVG = "{http://www.w3.org/2000/svg}"


def draw(template: str, revisions: dict[str, list[dict[str, Any]]]) -> ElementTree.Element:
    """Return the SVG of one plot: what `dvc plots diff` shows for `revisions`, name -> evaluations."""
    table, x, y = PLOTS[template]
    rows = []
    for revision, evaluations in revisions.items():
        for row in csv.DictReader(io.StringIO(csv_text(table(typed(*evaluations))))):
            rows.append({**row, "rev": revision, "filename": "x.csv", "field": y})
    renderer = VegaRenderer(rows, "plot", template=str(TEMPLATES / f"{template}.json"), x=x, y=y, title="The title")
    filled = json.dumps(renderer.get_filled_template())
    assert "<DVC_METRIC" not in filled
    return ElementTree.fromstring(vl_convert.vegalite_to_svg(filled, vl_version=VEGA_LITE_VERSION))


def words(svg: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in svg.iter(f"{SVG}text")]


def marks(svg: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    return [element for element in svg.iter() if element.get("aria-roledescription") == kind]


@pytest.mark.parametrize("template", PLOTS)
@pytest.mark.parametrize(("datasets", "variants", "seeds"), [(1, 1, 1), (2, 5, 3), (3, 6, 3)])
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


def test_curves_draw_every_seed_and_their_mean() -> None:
    svg = draw("curves", {"workspace": make_evaluations(1, 2, 3)})
    assert len(marks(svg, "line mark")) == 2 * 2 * (3 + 1)


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
    expected = [*current, *before, None]
    for counts, evaluation in zip(by_cell, expected, strict=True):
        assert counts == (tables.confusion_table(typed(evaluation))["count"].tolist() if evaluation else [])


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
