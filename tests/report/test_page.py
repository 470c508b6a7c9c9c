import dataclasses
import functools
import http.server
import itertools
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convnet.comparison.schema import Verdict
from convnet.comparison.statistics import wilson_interval
from convnet.comparison.variant_summary import accuracy_interval
from convnet.comparison.verdict import verdict as judge
from convnet.evaluation.schema import TrivialScores
from convnet.report import embedding, page, tables
from convnet.report.backbone_text import backbone_sentence
from convnet.report.build import draw_charts
from convnet.report.chart import Numbers
from convnet.report.charts import confusion, differences
from convnet.report.gains import minutes_per_model
from convnet.report.model_card import escape_markdown, write_model_card
from convnet.report.next_tries import Suggestion
from convnet.report.style import save_figure, variant_styles
from convnet.system.errors import UserError
from helpers import evaluations as helper
from helpers.evaluations import CLASSES, VARIANTS, make_backbone, make_evaluation, make_evaluations, make_summary, typed


def verdict(evaluations: list[dict[str, Any]]) -> Verdict:
    """Return the verdict on evaluations, with a trivial model."""
    return judge(typed(*evaluations)).model_copy(update={"trivial": [TRIVIAL]})


HOSTILE = '<b>&"cats"'
PARAMS = "run:\n  seeds: [0, 1]  # <script>alert(1)</script>\n"
LAYERS = [
    {"type": "Conv2D", "frozen": True} | row
    for row in (
        {"name": "block4_conv", "output_shape": [32, 32, 8], "parameters": 224, "used": True, "cut": False},
        {"name": "block4_pool", "output_shape": [4, 4, 32], "parameters": 0, "used": True, "cut": True},
        {"name": "behind", "output_shape": [4, 4, 9], "parameters": 297, "used": False, "cut": False},
    )
]
HERE = make_backbone("trained here")
FETCHED = make_backbone("official")
SCORES = typed(make_evaluation("pets", "baseline", 1))[0].seeds[0].splits
TRIVIAL = TrivialScores(name="most frequent class", train_images=240, penalty=None, splits=SCORES)


class Parsed(HTMLParser):
    """The page's elements with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.text = " ".join("".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._break(tag)
        if tag not in {"meta", "link", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self._break(tag)

    def _break(self, tag: str) -> None:
        if tag not in {"a", "code", "strong"}:  # these are in the middle of a sentence
            self.words.append(" ")

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def drawn(evaluations: list[dict[str, Any]], folder: Path, count: int, of_one: str = "") -> list[page.Figure]:
    """Return the first charts of a dataset; all show the one PNG `of_one` where it is named."""
    numbers = Numbers(
        typed(*evaluations),
        variant_styles(VARIANTS),
        images=lambda members: np.zeros((len(members), 8, 8, 3), np.uint8),
    )
    figures = []
    for chart in draw_charts(numbers)[:count]:
        path = folder / f"{of_one or chart.name}.png"
        if not path.exists():
            save_figure(chart.figure, path.with_suffix(""))
        figures.append(page.Figure(chart.section, chart.title, path, chart.alt, chart.caption, chart.table))
    return figures


def dataset_report(folder: Path, dataset: str, variants: int, seeds: int, **changes: Any) -> page.DatasetReport:
    """A report on one dataset, with two real charts."""
    names = changes.pop("classes", CLASSES.get(dataset))
    kind = changes.pop("kind", "rendered")
    evaluations = [make_evaluation(dataset, name, seeds, classes=names, kind=kind) for name in VARIANTS[:variants]]
    parts: dict[str, Any] = {
        "verdict": verdict(evaluations),
        "summary": make_summary(dataset, names, kind=kind),
        "backbone": backbone_sentence(HERE, "block4_pool", 56.4),
        "layers": LAYERS,
    }
    if "figures" not in changes:
        changes["figures"] = drawn(evaluations, folder, 2)
    return page.DatasetReport(typed(*evaluations), **(parts | changes))


def write(folder: Path, *datasets: page.DatasetReport) -> str:
    page.write_report(datasets, PARAMS, folder / "index.html")
    return (folder / "index.html").read_text("utf-8")


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two datasets, five variants and three seeds."""
    folder = tmp_path_factory.mktemp("page")
    write(folder, *(dataset_report(folder / name, name, 5, 3) for name in ("pets", "shapes")))
    return folder / "index.html"


def test_page_loads_nothing_and_runs_nothing(full: Path) -> None:
    parsed = Parsed(full.read_text("utf-8"))
    assert not {tag for tag, _ in parsed.elements} & {"script", "iframe", "object", "embed", "form", "base"}
    for tag, attributes in parsed.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href", "srcset", "poster", "action"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#")), (tag, name)
    assert re.search(r"url\(|@import", full.read_text("utf-8")) is None
    policy = next(meta for meta in parsed.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert str(policy["content"]).startswith("default-src 'none'; img-src data:; style-src 'sha256-")


def test_every_figure_has_words_and_numbers(full: Path) -> None:
    parsed = Parsed(full.read_text("utf-8"))
    images = parsed.all("img")
    assert len(images) == 4
    for image in images:
        assert len(str(image["alt"])) > 40
        assert int(str(image["width"])) > 0
    assert parsed.text.count("The numbers of this figure") == 4


def test_page_opens_with_two_sentences_and_names_rendered_images(full: Path) -> None:
    parsed = Parsed(full.read_text("utf-8"))
    assert "how sure is that? On pets (rendered images)" in parsed.text
    assert parsed.text.count("the numbers do not hold for photographs") == 2
    for row in verdict(make_evaluations(1, 5, 3)).comparisons:
        assert row.sentence in parsed.text


def test_page_holds_the_evidence(full: Path) -> None:
    parsed = Parsed(full.read_text("utf-8"))
    for expected in (
        *("baseline", "generalisation gap, points", "p (Holm)", "most frequent class", "to be beaten"),
        *("cat/=666.jpg", "holds no bytes", "GIF content under .png", "2 exact and 1 near pairs"),
        *("block4_pool (cut here)", "4 × 4 × 32", "keras", "3.15.0", "test processor", "seeds: [0, 1]"),  # noqa: RUF001
        "40 × 60",  # noqa: RUF001
    ):
        assert expected in parsed.text, expected


def test_page_has_one_title_and_headings_in_order(full: Path) -> None:
    parsed = Parsed(full.read_text("utf-8"))
    assert not parsed.open
    levels = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    targets = {f"#{name}" for name in ids}
    assert {attributes["href"] for attributes in parsed.all("a")} <= targets


def test_second_run_gives_equal_bytes(tmp_path: Path) -> None:
    pages = [
        write(tmp_path / name, dataset_report(tmp_path / name, "pets", 3, 2)).encode() for name in ("first", "second")
    ]
    assert pages[0] == pages[1]


@pytest.mark.parametrize(
    "name", [HOSTILE, "</style><script>alert(1)</script>", "a\x00\u202eb", "{{ 7 * 7 }}", "'\"><img>"]
)
def test_hostile_names_are_text(tmp_path: Path, name: str) -> None:
    summary = make_summary("pets", [name, "dog"])
    summary["rejected"] = [{"archive": name, "member": name, "reason": name}]
    summary["duplicates"]["groups"] = [[name, name]]
    report = dataset_report(tmp_path, "pets", 2, 2, classes=[name, "dog"], summary=summary)
    parsed = Parsed(write(tmp_path, report))
    shown = name.replace("\x00", "\\x00").replace("\u202e", "\\u202e")
    assert parsed.text.count(" ".join(shown.split())) >= 6
    assert not {tag for tag, _ in parsed.elements} & {"b", "script"}
    assert len(parsed.all("img")) == 2
    assert "\x00" not in parsed.text


def test_params_keep_their_lines(full: Path) -> None:
    text = full.read_text("utf-8")
    assert "run:\n  seeds: [0, 1]  # &lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_missing_parts_leave_no_heading_and_no_empty_cell(tmp_path: Path) -> None:
    report = dataset_report(tmp_path, "pets", 1, 1, summary=None, figures=(), backbone="", layers=())
    report.verdict.trivial.clear()
    parsed = Parsed(write(tmp_path, report))
    headings = [tag for tag, _ in parsed.elements if tag == "h3"]
    assert len(headings) == 7  # the verdict, the variant, the cost, and the lessons that need only a baseline
    assert [attributes["href"] for attributes in parsed.all("a") if not attributes.get("class")] == [
        "#answer",
        *(f"#dataset-1-{key}" for key in ("verdict", "variants", "see", "epochs", "small", "classes", "cost")),
        *("#glossary", "#made"),
    ]
    assert not parsed.all("figure")
    assert "p (Holm)" not in parsed.text[: parsed.text.rindex("Glossary")]
    assert "95 % interval over test images" in parsed.text
    assert "is the only variant" in parsed.text


def test_figures_of_one_section_share_a_heading(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "black.png")
    sections = ("mistakes", "small", "mistakes")
    figures = [
        page.Figure(section, f"black {i}", tmp_path / "black.png", "a black image")
        for i, section in enumerate(sections)
    ]
    report = dataset_report(tmp_path, "pets", 1, 1, figures=figures)
    assert {name: len(groups) for name, groups in report.groups.items()} == {"mistakes": 2, "small": 1}
    headings = [attributes.get("id") for attributes in Parsed(write(tmp_path, report)).all("h3")]
    assert headings.count("dataset-1-mistakes") == headings.count("dataset-1-small") == 1


def test_repeats_share_one_caption_and_the_kept_variant_is_open(tmp_path: Path) -> None:
    report = dataset_report(tmp_path, "pets", 4, 3, figures=())
    figures = []
    for name in VARIANTS[:4]:
        Image.new("RGB", (40, 30)).save(tmp_path / f"maps_{name}.png")
        title = f"Maps of {name}: pets"
        figures.append(page.Figure("see", title, tmp_path / f"maps_{name}.png", "black", "Each tile is a channel."))
    report = dataclasses.replace(report, figures=figures)
    parsed = Parsed(write(tmp_path, report))
    assert parsed.text.count("Each tile is a") == 1
    repeats = [attributes for attributes in parsed.all("details") if attributes.get("class") == "repeat"]
    validation = {e.variant: fmean(run.splits["validation"].accuracy for run in e.seeds) for e in report.evaluations}
    kept = max(validation, key=validation.__getitem__)
    assert ["open" in attributes for attributes in repeats] == [name == kept for name in VARIANTS[:4]]


def test_suggestions_of_two_datasets_share_a_command(tmp_path: Path) -> None:
    reports = [
        dataclasses.replace(
            dataset_report(tmp_path / name, name, 2, 2, figures=()), nexts=[Suggestion(f"Why on {name}.", "do it")]
        )
        for name in ("pets", "shapes")
    ]
    assert "Try next Why on pets. Why on shapes. do it Each command" in Parsed(write(tmp_path, *reports)).text


def test_only_the_cut_layer_is_marked(full: Path) -> None:
    assert len([row for row in Parsed(full.read_text("utf-8")).all("tr") if row.get("class") == "cut"]) == 2


def test_layers_behind_the_cut_are_called_not_used(full: Path) -> None:
    parsed = Parsed(full.read_text("utf-8"))
    times = "\u00d7"
    assert parsed.text.count(f"block4_pool (cut here) Conv2D 4 {times} 4 {times} 32 0 frozen ") == 2
    assert parsed.text.count(f"behind Conv2D 4 {times} 4 {times} 9 297 not used ") == 2


def test_page_names_the_images_of_the_pretraining(full: Path) -> None:
    parsed = Parsed(full.read_text("utf-8"))
    expected = (
        "The backbone compact is cut at block4_pool. It was pretrained on rendered images of other classes. "
        "It was trained here in 56 seconds on 1,800 rendered images of 2 classes (bears, fish). Its accuracy is 83.8 % "
        "on 600 rendered images of these classes that it had not seen. All 3 layers"
    )
    assert parsed.text.count(expected) == 2
    assert "trains the layers" not in parsed.text, "no variant is fine-tuned"


def test_page_says_which_layers_fine_tuning_trains(tmp_path: Path) -> None:
    expected = "fine_tune trains the layers from block4_conv up to the cut, batch normalisation excepted."
    assert expected in Parsed(write(tmp_path, dataset_report(tmp_path, "pets", 6, 1, figures=()))).text


def test_backbone_is_described_without_its_layers(tmp_path: Path) -> None:
    parsed = Parsed(write(tmp_path, dataset_report(tmp_path, "pets", 4, 1, layers=(), figures=())))
    assert "The backbone compact is cut at block4_pool. " in parsed.text
    assert "the double line is the cut" not in parsed.text


@pytest.mark.parametrize("name", [HOSTILE, "</p><script>alert(1)</script>", "a\x00\u202eb", "{{ 7 * 7 }}"])
def test_hostile_words_on_a_backbone_are_text(tmp_path: Path, name: str) -> None:
    backbone = make_backbone("trained here", seen=name, source_classes=[name, "fish"])
    sentence = backbone_sentence(backbone, "block4_pool")
    parsed = Parsed(write(tmp_path, dataset_report(tmp_path, "pets", 4, 1, backbone=sentence, figures=())))
    assert parsed.text.count(name.replace("\x00", "\\x00").replace("\u202e", "\\u202e")) == 2
    assert not {tag for tag, _ in parsed.elements} & {"b", "script"}
    evaluation = make_evaluation("pets", "transfer", 1)
    write_card([evaluation], 0, backbone, tmp_path / "card.md")
    assert (tmp_path / "card.md").read_text("utf-8").count(escape_markdown(name)) == 2


def test_photographs_are_not_called_rendered(tmp_path: Path) -> None:
    fetched = backbone_sentence(FETCHED, "mixed7")
    report = dataset_report(tmp_path, "pets", 2, 2, kind="photographs", backbone=fetched)
    text = Parsed(write(tmp_path, report)).text
    assert "rendered" not in text[: text.rindex("Glossary")], "the glossary explains the word"


def test_long_list_of_rejected_files_is_cut_and_says_so(tmp_path: Path) -> None:
    summary = make_summary("pets")
    summary["rejected"] = [{"archive": "a.zip", "member": f"cat/{i}.jpg", "reason": "x"} for i in range(1234)]
    parsed = Parsed(write(tmp_path, dataset_report(tmp_path, "pets", 1, 1, summary=summary)))
    assert "The first 50 of 1,234. All are in data/splits/pets.csv." in parsed.text
    assert "cat/49.jpg" in parsed.text
    assert "cat/50.jpg" not in parsed.text


def test_page_of_many_noisy_figures_stays_under_5_mb(tmp_path: Path) -> None:
    figures = []
    for i in range(20):
        path = noise(tmp_path / f"{i}.png", i)
        figures.append(page.Figure("mistakes", f"noise {i}", path, "an image of nothing but noise"))
    text = write(tmp_path, dataset_report(tmp_path, "pets", 1, 1, figures=figures))
    assert len(text.encode()) <= 5_000_000
    assert len(Parsed(text).all("img")) == 20


def noise(path: Path, seed: int) -> Path:
    """Write an image of noise, the worst that can be compressed."""
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (600, 1000, 3), dtype=np.uint8)).save(path)
    return path


def large_report(folder: Path, dataset: str) -> page.DatasetReport:
    """Six variants, three seeds, 400 epochs: every chart's table, one chart's image for all, and galleries."""
    evaluations = [make_evaluation(dataset, name, 3, epochs=400) for name in VARIANTS]
    figures = drawn(evaluations, folder, 7, of_one=dataset)
    galleries = [noise(folder / f"{dataset}-{i}.png", i) for i in range(4)]
    figures += [page.Figure("mistakes", f"noise {path.stem}", path, "nothing but noise") for path in galleries]
    return page.DatasetReport(typed(*evaluations), verdict(evaluations), make_summary(dataset), figures, layers=LAYERS)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> list[page.DatasetReport]:
    folder = tmp_path_factory.mktemp("large")
    return [large_report(folder, name) for name in ("pets", "shapes", "hands")]


def test_page_with_long_tables_and_many_figures_stays_under_5_mb(
    large: list[page.DatasetReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = "The first 200 of 2,400 rows. All are in the folder reports/tables."
    assert Parsed(write(tmp_path, *large)).text.count(shown) == 3 * 2
    monkeypatch.setattr(page, "SHOWN_ROWS", 1000)
    text = write(tmp_path, *large)
    parsed = Parsed(text)
    images = [str(image["src"]) for image in parsed.all("img")]
    assert len(text.encode()) - sum(map(len, images)) > 700_000, "the tables are long"
    assert 4_000_000 < len(text.encode()) <= 5_000_000, "the budget is used and kept"
    assert len(images) == 3 * (7 + 4)
    assert "Left out" not in parsed.text
    assert parsed.text.count("The first 1,000 of 2,400 rows. All are in the folder reports/tables.") == 3 * 2


def test_galleries_without_room_are_named_and_charts_stay(
    large: list[page.DatasetReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "PAGE_BUDGET", 500_000)
    text = write(tmp_path, large[0])
    parsed = Parsed(text)
    assert len(text.encode()) <= 500_000
    assert 7 <= len(parsed.all("img")) < 7 + 4
    assert parsed.text.count("Left out to keep this page small: ") == 7 + 4 - len(parsed.all("img"))
    assert str(large[0].figures[-1].path) in parsed.text
    monkeypatch.setattr(page, "PAGE_BUDGET", 100_000)
    with pytest.raises(UserError, match=r"MB of the report page, which may have 0\.1; name fewer datasets"):
        write(tmp_path, large[0])


def test_the_open_figures_stay_where_there_is_no_room_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def figure(title: str, section: str) -> page.Figure:
        path = noise(tmp_path / f"{title.replace(' ', '_')}.png", len(title))
        return page.Figure(section, title, path, title)

    maps = [figure(f"Feature maps of {'x' * number}", "see") for number in range(1, 7)]
    last = figure("Accuracy per epoch", "epochs")
    report = dataset_report(tmp_path, "pets", 1, 1, figures=[*maps, last])
    monkeypatch.setattr(page, "PAGE_BUDGET", 500_000)
    shown = {str(image["alt"]) for image in Parsed(write(tmp_path, report)).all("img")}
    assert {maps[0].alt, last.alt} <= shown
    assert len(shown) < 7


def test_accuracy_comes_with_its_interval_over_seeds_and_images(full: Path) -> None:
    parsed = Parsed(full.read_text("utf-8"))
    for evaluation in typed(*make_evaluations(1, 5, 3)):
        mean = fmean(run.splits["test"].accuracy for run in evaluation.seeds)
        low, high = accuracy_interval(evaluation)
        assert f"{evaluation.variant} {100 * mean:.1f} % {100 * low:.1f} % to {100 * high:.1f} % " in parsed.text


def test_equal_seeds_on_few_images_leave_an_interval() -> None:
    made = make_evaluation("pets", "transfer", 1)
    made["seeds"] = [made["seeds"][0] | {"seed": seed} for seed in range(3)]
    evaluation = typed(made)[0]
    low, high = accuracy_interval(evaluation)
    run = evaluation.seeds[0].splits["test"]
    wilson = wilson_interval(run.accuracy, run.n)
    assert low == pytest.approx(wilson.lower, abs=0.015), "three equal seeds leave the choice of images"
    assert high == pytest.approx(wilson.upper, abs=0.015)


def test_only_the_interval_decides(full: Path) -> None:
    text = Parsed(full.read_text("utf-8")).text
    for word in ("sign flip", "McNemar", "bootstrap", "after rounding"):
        assert word not in text


def test_overfitting_is_described_per_variant(full: Path) -> None:
    parsed = Parsed(full.read_text("utf-8"))
    table = tables.overfitting_table(typed(*make_evaluations(1, 5, 3))).to_numpy().tolist()
    variant, epochs, best, rise, *gaps = next(row for row in table if row[0] == "dropout")
    shown = " ".join(f"{100 * gap:+.1f}" for gap in gaps)
    assert f"{variant} {epochs:g} {best:.1f} {rise:+.3f} {shown} " in parsed.text
    assert parsed.text.count("rise of validation loss after it, nats") == 2


def test_cost_of_fine_tuning_is_the_same_in_table_and_chart(tmp_path: Path) -> None:
    evaluations = [make_evaluation("pets", name, 2) for name in ("baseline", "transfer", "fine_tune")]
    evaluations[2]["recipe"]["start"] = "transfer"
    numbers = typed(*evaluations)
    parsed = Parsed(write(tmp_path, page.DatasetReport(numbers, verdict(evaluations))))
    seconds, minutes = tables.seconds_per_seed(numbers), minutes_per_model(numbers)
    for evaluation in numbers:
        assert f"{evaluation.variant} {seconds[evaluation.variant]:,.1f} " in parsed.text
        features = evaluation.seconds.features or 0.0
        assert minutes[evaluation.variant] == pytest.approx((seconds[evaluation.variant] + features) / 60)
    assert "Fine-tuning includes the training that it starts from" in parsed.text


def test_transparent_image_is_put_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (40, 30), (255, 0, 0, 0)).save(tmp_path / "clear.png", dpi=(192, 192))
    embedded = embedding.embed_image(tmp_path / "clear.png", 1600)
    assert (embedded.width, embedded.height) == (20, 15)
    assert embedded.uri.startswith("data:image/png;base64,")


def write_card(evaluations: list[dict[str, Any]], number: int, backbone: dict[str, Any], path: Path) -> None:
    write_model_card(typed(*evaluations)[number], verdict(evaluations), backbone, path)


def test_model_card_holds_numbers_recipe_and_limits(tmp_path: Path) -> None:
    evaluations = make_evaluations(1, 4, 3)
    write_card(evaluations, 3, HERE, tmp_path / "card.md")
    card = (tmp_path / "card.md").read_text("utf-8")
    accuracy = fmean(run["splits"]["test"]["accuracy"] for run in evaluations[3]["seeds"])
    assert f"| accuracy | {100 * accuracy:.1f} % |" in card
    for expected in (
        "rendered images",
        "| fit.learning\\_rate | 0.0001 |",
        "80 test images",
        "backbone compact",
    ):
        assert expected in card, expected
    low, high = (f"{100 * end:.1f} %" for end in wilson_interval(accuracy, 80))
    assert f"The sample of test images leaves the accuracy open between {low} and {high} (Wilson, 95 %)." in card
    write_card(evaluations, 3, HERE, tmp_path / "again.md")
    assert (tmp_path / "again.md").read_text("utf-8") == card


@pytest.mark.parametrize("variant", ["transfer", "transfer_dropout", "fine_tune"])
def test_model_card_describes_the_backbone(tmp_path: Path, variant: str) -> None:
    evaluation = make_evaluation("pets", variant, 2)
    write_card([evaluation], 0, HERE, tmp_path / "card.md")
    paragraphs = (tmp_path / "card.md").read_text("utf-8").split("\n\n")
    assert escape_markdown(backbone_sentence(HERE, "block4_pool")) in paragraphs
    assert not [text for text in paragraphs if re.search(r"\bseconds?\b", text)], "equal results give equal cards"
    write_card([evaluation], 0, FETCHED, tmp_path / "card.md")
    card = (tmp_path / "card.md").read_text("utf-8")
    assert r"weights.h5, as published at https:\//example.org/weights.h5." in card, "an address is no link"


def test_model_card_of_an_own_network_names_no_backbone(tmp_path: Path) -> None:
    evaluation = make_evaluation("pets", "baseline", 2)
    for name, backbone in (("unused", HERE), ("none", {"needed": False})):
        write_card([evaluation], 0, backbone, tmp_path / f"{name}.md")
        assert "pretrained on" not in (tmp_path / f"{name}.md").read_text("utf-8")


def test_model_card_lists_the_settings_of_its_recipe(tmp_path: Path) -> None:
    evaluation = make_evaluation("pets", "baseline", 2)
    evaluation["recipe"] |= {"kind": "pixels", "pooling": None, "network": {"filters": [16, 32], "dense": 512}}
    write_card([evaluation], 0, HERE, tmp_path / "card.md")
    card = (tmp_path / "card.md").read_text("utf-8")
    assert "| network.filters | 16, 32 |" in card
    assert "| network.dense | 512 |" in card
    assert "pooling" not in card, "it is not set"


def test_model_card_escapes_names_and_knows_one_seed(tmp_path: Path) -> None:
    evaluation = make_evaluation("pets", "baseline", 1, classes=['<b>|"cats"', "dog\n# x"])
    write_card([evaluation], 0, HERE, tmp_path / "card.md")
    card = (tmp_path / "card.md").read_text("utf-8")
    assert '| \\<b\\>\\|"cats" |' in card
    assert "\n# x" not in card
    assert "One seed" in card
    assert "None" not in card


def test_markdown_is_escaped() -> None:
    assert escape_markdown("[a](b) *c* `d` <e> f|g\n# h") == ("\\[a\\](b) \\*c\\* \\`d\\` \\<e\\> f\\|g\\\\n\\# h")


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MEASURE = """<!doctype html><title>measure</title>
<iframe src="index.html" width="%d" height="900" style="border: 0"></iframe>
<script>
onload = () => {
  const root = document.querySelector("iframe").contentDocument.documentElement;
  for (const part of root.querySelectorAll("details")) part.open = true;
  document.title = `${root.scrollWidth} of ${root.clientWidth}`;
  console.log("measured");
};
</script>"""


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 100 classes and 30 variants with long names."""
    folder = tmp_path_factory.mktemp("wide")
    classes = [f"class {i} of a long name that nobody can break" for i in range(100)]
    with pytest.MonkeyPatch.context() as patch:
        for split in helper.COUNTS:
            patch.setitem(helper.COUNTS, split, 200)
        names = ["baseline", *(f"variant_with_a_long_name_{i}" for i in range(29))]
        made = [make_evaluation("pets", name, 3, classes=classes) for name in names]
    found = verdict(made)
    numbers = Numbers(typed(*made), variant_styles(names), verdict=found)
    figures = []
    for chart in (
        *differences.charts(numbers),
        *confusion.charts(dataclasses.replace(numbers, evaluations=numbers.evaluations[:2])),
    ):
        png, _ = save_figure(chart.figure, folder / chart.name)
        figures.append(page.Figure(chart.section, chart.title, png, chart.alt, chart.caption, chart.table))
    summary = make_summary("pets", classes)
    write(folder, page.DatasetReport(typed(*made), found, summary, figures))
    return folder / "index.html"


def test_page_of_100_classes_and_30_variants_keeps_its_size(wide: Path) -> None:
    text = wide.read_text("utf-8")
    parsed = Parsed(text)
    assert len(text.encode()) <= 5_000_000
    assert "class 11 of a long name that nobody can break and 88 more" in parsed.text
    assert "class 99 of a long name" in parsed.text, "the table of the data lists all"
    assert "Most confused classes of baseline" in parsed.text
    contents = [a for a in parsed.all("a") if str(a["href"]).startswith("#dataset-1-")]
    assert len(contents) == len({a["href"] for a in contents})


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("which", ["full", "wide"])
def test_browser_shows_the_page_without_overflow_or_complaint(
    request: pytest.FixtureRequest, tmp_path: Path, which: str, width: int
) -> None:
    shutil.copy(request.getfixturevalue(which), tmp_path / "index.html")
    (tmp_path / "measure.html").write_text(MEASURE % width, encoding="utf-8")
    with served(tmp_path) as address:
        done = subprocess.run(
            [
                *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
                "--hide-scrollbars",
                *(f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width + 100},1000"),
                *("--enable-logging=stderr", "--virtual-time-budget=10000", "--dump-dom", f"{address}/measure.html"),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert len(console) == 1, console  # our own word: proof that complaints would show
    assert "measured" in console[0]
    assert f"<title>{width} of {width}</title>" in done.stdout


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve `folder` on this machine alone."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
