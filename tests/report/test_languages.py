"""The catalogues hold every text with its fields and no other, and the Spanish page and figures hold no English."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import get_args

import matplotlib.text
import numpy as np
import pytest
from jinja2 import Environment, nodes

import convnet
from convnet.analysis.augmented_draws import COURSE, FILLS
from convnet.analysis.perturbations import PERTURBATIONS
from convnet.comparison.schema import Decision, IntervalKind
from convnet.evaluation.label_check import NO_FEATURES, TOO_FEW
from convnet.evaluation.metrics import METRICS
from convnet.evaluation.trivial_models import MAJORITY, THUMBNAILS
from convnet.params.remedies import find_remedies
from convnet.report.build import draw_charts
from convnet.report.catalogue import catalogue, in_language
from convnet.report.chart import Chart, Numbers
from convnet.report.charts.augmentation import augmentation_chart, knobs_chart
from convnet.report.charts.cuts import cuts_chart
from convnet.report.charts.feature_maps import feature_maps_chart
from convnet.report.charts.filters import filters_chart
from convnet.report.charts.grad_cam import grad_cam_chart
from convnet.report.style import variant_styles
from convnet.report.tried import tried_table
from convnet.system.language import tr
from helpers.evaluations import VARIANTS, make_evaluation, make_label_check, typed
from report.test_charts import size_sweep
from report.test_page import verdict

PACKAGE = Path(convnet.__file__).parent
SPANISH = catalogue("es")
# The columns of all tables on the page, as `test_every_column_is_known` finds them.
COLUMNS = set(
    """variant; seed; test accuracy; gap; epoch; train accuracy; validation accuracy; train loss; validation loss;
    true; predicted; count; row share; file; probability; loss; seconds per seed; compared with; difference;
    interval low; interval high; verdict; lower; upper; n; confidence; accuracy; split; perturbation; strength;
    training images; power law; generalisation gap; given; suggested; probability given; probability suggested;
    label; copy; label of copy; layer; channels; shown; dead; height; width; cut; said; highest heat; remedy;
    effect; knobs; minutes per seed; file, MB; source""".replace("\n    ", " ").split("; ")
)
# Texts that reach `tr` from a table or from data of an earlier stage.
FROM_DATA = {
    *get_args(Decision),
    *get_args(IntervalKind),
    *(f"test {METRICS[metric].words}" for metric in ("accuracy", "balanced_accuracy")),
    *(MAJORITY, THUMBNAILS, NO_FEATURES, TOO_FEW),
    *("baseline", "train", "validation", "test", "accuracy", "loss"),
    *("rendered images of classes that no dataset here has", "all together", "reason", "note"),
    *COLUMNS,
    *(remedy.sentence for remedy in find_remedies().values()),
    *(name.replace("_", " ") for name in COURSE),
    *(f"fill {fill}" for fill in FILLS),
    *PERTURBATIONS,
}


def messages() -> set[str]:
    """Return every text that the code and the templates translate."""
    found = set(FROM_DATA)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                found |= set(_of_call(node.func.id, node))
    for path in PACKAGE.rglob("*.j2"):
        for call in Environment().parse(path.read_text("utf-8")).find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name == "tr":
                found |= {const.value for const in _alternatives(call.args[0])}
    return found


def _of_call(name: str, call: ast.Call) -> Iterator[str]:
    if name in ("tr", "mark"):
        first = call.args[0]
        for node in (first.body, first.orelse) if isinstance(first, ast.IfExp) else (first,):
            if isinstance(node, ast.Constant):
                yield node.value
    if name == "plural" and isinstance(call.args[1], ast.Constant):
        yield call.args[1].value
        yield f"{call.args[1].value}s"


def _alternatives(node: nodes.Node) -> Iterator[nodes.Const]:
    if isinstance(node, nodes.Const):
        yield node
    elif isinstance(node, nodes.Getitem):  # of a mapping in the template
        yield from (pair.value for pair in node.node.find_all(nodes.Pair))


def fields(text: str) -> list[tuple[str | None, str | None]]:
    return sorted((name or "", form or "") for _, name, form, _ in Formatter().parse(text) if name is not None)


def test_every_text_is_translated_and_no_other() -> None:
    translations, used = SPANISH["translations"], messages()
    assert sorted(used - set(translations)) == []
    assert sorted(set(translations) - used) == []


def test_translations_have_the_fields_of_the_english_text() -> None:
    for english, spanish in SPANISH["translations"].items():
        assert set(fields(english)) == set(fields(spanish)), english
        assert english[-1] == spanish[-1] or english[-1] not in ".:,", english
        assert english.count("`") == spanish.count("`")


def test_fixed_texts_and_glossary_are_complete() -> None:
    english = catalogue("en")
    assert list(SPANISH["sections"]) == list(english["sections"])
    for key, section in english["sections"].items():
        assert len(SPANISH["sections"][key]["text"]) == len(section["text"]), key
    assert len(SPANISH["glossary"]) == len(english["glossary"])
    forms = [form.lower() for term, entry in SPANISH["glossary"].items() for form in (term, *entry.get("also", ()))]
    assert len(set(forms)) == len(forms)


def test_language_ends_with_its_block() -> None:
    with in_language("es"):
        assert tr("seeds") == "semillas"
        with in_language("en"):
            assert tr("seeds") == "seeds"
        assert tr("seeds") == "semillas"
    assert tr("seeds") == "seeds"
    assert tr("{braces}") == "{braces}"


# Words of English sentences. None of them is a Spanish word, a setting or part of a name in these studies.
ENGLISH = re.compile(
    r"\b(the|is|are|was|of|and|with|which|than|that|from|by|on|at|its|their|each|every|not|has|have|images|seeds|less|"
    r"rendered|accuracy|training|test|layer|epoch|loss|helps|decided|interval|points|variants)\b"
)


def spanish_charts(seeds: int) -> list[Chart]:
    """Return every chart of the page, with what every stage may give it."""
    made = [make_evaluation("hands", name, seeds) for name in VARIANTS]
    rows = [
        {"split": "validation", "perturbation": kind, "strength": strength, "variant": name, "accuracy": [0.5] * seeds}
        for kind, strength in (("none", 0), *((kind, 1) for kind in PERTURBATIONS))
        for name in VARIANTS
    ]
    numbers = Numbers(
        typed(*made),
        variant_styles(VARIANTS),
        rows,
        size_sweep(seeds),
        lambda members: np.zeros((len(members), 8, 8, 3), np.uint8),
        verdict(made),
        make_label_check(),
    )
    images, described = np.zeros((2, 8, 8, 3), np.uint8), {"dataset": "hands", "kind": "rendered"}
    cuts = [{"layer": "block1", "shape": [4, 4, 8], "accuracy": 0.8, "n": 50, "cut": cut} for cut in (True, False)]
    names = [*COURSE, *(f"fill {fill}" for fill in FILLS), "all together", "zoom (off here)"]
    return [
        *draw_charts(numbers),
        augmentation_chart(images, np.zeros((2, 3, 8, 8, 3), np.uint8), described),
        knobs_chart(images[0], dict.fromkeys(names, images[0]), described),
        cuts_chart(cuts, "compact", described),
        feature_maps_chart(images[0], {"conv1": np.zeros((4, 4, 3))}, "baseline", described),
        filters_chart(np.ones((3, 3, 3, 4)), "conv1", "baseline", described),
        grad_cam_chart(images, np.ones((2, 2, 2)), ["paper", "rock"], "baseline", described),
    ]


@pytest.mark.parametrize("seeds", [1, 3])
def test_spanish_figures_hold_no_english(seeds: int) -> None:
    with in_language("es"):
        charts = spanish_charts(seeds)
    for chart in charts:
        drawn = [text.get_text() for text in chart.figure.findobj(matplotlib.text.Text)]
        for text in (chart.title, chart.alt, chart.caption, *drawn):
            assert not ENGLISH.search(without_names(text)), (chart.name, text)


def test_every_column_is_known() -> None:
    tables = [chart.table for chart in spanish_charts(3) if chart.table is not None]
    columns = {str(column).replace("_", " ") for table in tables for column in table.columns}
    assert columns <= COLUMNS
    assert {"said", "highest heat", *(tried_columns())} == COLUMNS - columns


def tried_columns() -> list[str]:
    """Return the columns of the table of remedies that no chart has."""
    remedies = {"baseline": [{"name": "a", "sentence": "b", "source": "c", "knobs": {}}]}
    table = tried_table(typed(make_evaluation("pets", "baseline", 1)), remedies)
    return [str(column) for column in table.columns if column != "variant"]


def without_names(text: str) -> str:
    """Return text without code, paths and names."""
    text = re.sub(r"`[^`]*`|\S*/\S+|\w+[_.]\w+\S*|one-hot|fine_tune", "", text)
    return re.sub(rf"\b({'|'.join(VARIANTS)}|log|sparse)\b", "", text)
