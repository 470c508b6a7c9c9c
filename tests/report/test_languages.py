"""The catalogues hold every text with its fields and no other, and the Spanish page and figures hold no English."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any, get_args

import matplotlib.text
import numpy as np
import pytest
from jinja2 import Environment, nodes

import convnet
from comparison.test_verdict import evaluation
from convnet.analysis.perturbations import PERTURBATIONS
from convnet.comparison.cautions import with_words
from convnet.comparison.schema import Decision, IntervalKind
from convnet.comparison.verdict import verdict as judge
from convnet.engine.forecast import Forecast, sentence
from convnet.evaluation.label_check import NO_FEATURES, TOO_FEW
from convnet.evaluation.metrics import METRICS
from convnet.evaluation.trivial_models import MAJORITY, THUMBNAILS
from convnet.params.applications import SEEN, SEEN_BY_LARGE_CONVNEXTS
from convnet.params.remedies import find_remedies
from convnet.params.section import ImageKind
from convnet.params.training import Augmentation
from convnet.report.build import draw_charts
from convnet.report.catalogue import catalogue, in_language
from convnet.report.chart import Chart, Numbers
from convnet.report.charts.augmentation import augmentation_chart, knobs_chart
from convnet.report.charts.cuts import cuts_chart
from convnet.report.charts.feature_maps import feature_maps_chart
from convnet.report.charts.filters import filters_chart
from convnet.report.charts.grad_cam import grad_cam_chart
from convnet.report.page import DatasetReport, write_report
from convnet.report.provisional import write_provisional
from convnet.report.style import variant_styles
from convnet.report.summary import write_summary
from convnet.report.tried import tried_table
from convnet.report.tuning import tuned_variants
from convnet.system.language import tr
from helpers.evaluations import VARIANTS, make_evaluation, make_label_check, typed
from report.test_charts import size_sweep
from report.test_page import Parsed, dataset_report, verdict

PACKAGE = Path(convnet.__file__).parent
SPANISH = catalogue("es")
KNOBS = [*Augmentation.model_fields]
FILLS = ("nearest", "constant", "reflect", "wrap")
# The columns of all tables on the page, as `test_every_column_is_known` finds them.
COLUMNS = set(
    """variant; seed; test accuracy; gap; epoch; train accuracy; validation accuracy; train loss; validation loss;
    true; predicted; count; row share; file; probability; loss; minutes; megabytes; gain; compared with; difference;
    interval low; interval high; verdict; lower; upper; n; confidence; accuracy; split; perturbation; strength;
    training images; power law; generalisation gap; given; suggested; probability given; probability suggested;
    label; copy; label of copy; layer; channels; shown; dead; height; width; cut; said; highest heat; remedy;
    effect; knobs; minutes per seed; file, MB; source""".replace("\n    ", " ").split("; ")
)
# Texts that reach `tr` from a table or from data of an earlier stage.
FROM_DATA = {
    *get_args(Decision),
    *get_args(IntervalKind),
    *get_args(ImageKind),
    *(f"test {METRICS[metric].words}" for metric in ("accuracy", "balanced_accuracy")),
    *(MAJORITY, THUMBNAILS, NO_FEATURES, TOO_FEW),
    *("baseline", "train", "validation", "test", "accuracy", "loss"),
    *("rendered images of classes that no dataset here has", "all together", "reason", "note"),
    *COLUMNS,
    *(SEEN, SEEN_BY_LARGE_CONVNEXTS),
    *(remedy.sentence for remedy in find_remedies().values()),
    *(name.replace("_", " ") for name in KNOBS if name != "fill"),
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


def perturbed(seeds: int) -> list[dict[str, Any]]:
    """Return rows of the robustness stage."""
    return [
        {
            "split": "validation",
            "perturbation": kind,
            "strength": strength,
            "variant": name,
            "n": 60,
            "accuracy": [0.5] * seeds,
        }
        for kind, strength in (("none", 0), *((kind, 1) for kind in PERTURBATIONS))
        for name in VARIANTS
    ]


def spanish_charts(seeds: int) -> list[Chart]:
    """Return every chart of the page, with what every stage may give it."""
    made = [make_evaluation("hands", name, seeds) for name in VARIANTS]
    numbers = Numbers(
        typed(*made),
        variant_styles(VARIANTS),
        perturbed(seeds),
        size_sweep(seeds),
        lambda members: np.zeros((len(members), 8, 8, 3), np.uint8),
        verdict(made),
        make_label_check(),
    )
    images, described = np.zeros((2, 8, 8, 3), np.uint8), {"dataset": "hands", "kind": "rendered"}
    cuts = [{"layer": "block1", "shape": [4, 4, 8], "accuracy": 0.8, "n": 50, "cut": cut} for cut in (True, False)]
    names = [*KNOBS[:-1], *(f"fill {fill}" for fill in FILLS), "all together", "zoom (off here)"]
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
        assert chart.title.count(", imágenes renderizadas") == 1
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
    text = re.sub(r"`[^`]*`|\S*/\S+|\w+[_.]\w+\S*|one-hot|test processor|rendered images of other classes", "", text)
    return re.sub(rf"\b({'|'.join(VARIANTS)}|log|sparse)\b", "", text)


def english_in(text: str) -> list[str]:
    """Return the English words of a page: its text and its attributes for readers."""
    parsed = Parsed(text.partition("<details><summary>ajustes de cada etapa")[0] or text)
    attributes = [str(at[name]) for _, at in parsed.elements for name in ("alt", "aria-label", "title") if at.get(name)]
    return [part for part in (*parsed.words, *attributes) if ENGLISH.search(without_names(part))]


@pytest.mark.parametrize(("dataset", "seeds"), [("pets", 3), ("hands", 1)])
def test_spanish_page_holds_no_english(tmp_path: Path, dataset: str, seeds: int) -> None:
    with in_language("es"):
        report = spanish_report(tmp_path, dataset, seeds)
        write_report([report], "run: {}", tmp_path / "index.html")
        write_summary([(report.verdict, report.answer)], tmp_path / "summary.md")
    text = (tmp_path / "index.html").read_text("utf-8")
    assert text.startswith('<!doctype html>\n<html lang="es">')
    assert english_in(text) == []
    parsed = Parsed(text)
    assert "¿Qué remedio contra el sobreajuste ayuda, cuánto y con qué seguridad?" in parsed.text
    assert "Glosario" in parsed.text
    assert not ENGLISH.search(without_names((tmp_path / "summary.md").read_text("utf-8").partition("![")[0]))


def spanish_report(folder: Path, dataset: str, seeds: int) -> DatasetReport:
    """Return a report with every part that a run may have."""
    evaluations = [make_evaluation(dataset, name, seeds) for name in VARIANTS]
    found = with_words(verdict(evaluations), typed(*evaluations), {"dropout": ["larger"]})
    sentences = {name: remedy.sentence for name, remedy in find_remedies().items()}
    used = {"dropout": [{"name": "dropout", "sentence": sentences["dropout"], "source": "", "knobs": {"nested": True}}]}
    tuning = {"trials": [{"validation_loss": 0.4, "seconds": 9.0}, {"validation_loss": None, "seconds": None}]}
    return dataset_report(
        folder,
        dataset,
        len(VARIANTS),
        seeds,
        verdict=found,
        robustness=perturbed(seeds),
        sweep={},
        labels=make_label_check(dataset),
        tuned=tuned_variants({"variants": {"baseline": tuning | {"chosen": {}}}}),
        tried=tried_table(typed(*evaluations), used),
    )


@pytest.mark.parametrize("seeds", [1, 3])
def test_spanish_page_of_a_run_in_training_holds_no_english(tmp_path: Path, seeds: int) -> None:
    made = [evaluation(name, share, tuple(range(seeds))) for name, share in (("baseline", 0.6), ("augmented", 0.95))]
    with in_language("es"):
        write_provisional([judge(made, looks=(3, 5))], [sentence(9, 3, Forecast((), 90.0, True))], tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text("utf-8")
    assert english_in(text) == []
    assert "9 trabajos, 3 guardados, aproximadamente 2 min en esta máquina" in text
