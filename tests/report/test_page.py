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
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convnet.comparison.statistics import wilson_interval
from convnet.comparison.verdict import verdict as judge
from convnet.evaluation.schema import Evaluation
from convnet.report import charts, page, tables
from convnet.report.backbone_text import backbone_sentence
from convnet.report.model_card import escape_markdown, write_model_card
from convnet.report.style import save_figure
from convnet.system.errors import UserError
from helpers.evaluations import CLASSES, VARIANTS, make_backbone, make_evaluation, make_evaluations, make_summary


def verdict(evaluations: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the verdict on evaluations as JSON has it."""
    return judge([Evaluation.model_validate(evaluation) for evaluation in evaluations]).model_dump()


HOSTILE = '<b>&"cats"'
MINUS = "\u2212"
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
TRIVIAL = {"name": "most frequent class", "splits": {"test": {"accuracy": 0.5, "balanced_accuracy": 0.5}}}


class Parsed(HTMLParser):
    """The page's elements with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def dataset_report(folder: Path, dataset: str, variants: int, seeds: int, **changes: Any) -> page.DatasetReport:
    """A report on one dataset, with two real charts."""
    names = changes.pop("classes", CLASSES.get(dataset))
    kind = changes.pop("pictures_are", "rendered")
    evaluations = [make_evaluation(dataset, name, seeds, classes=names, kind=kind) for name in VARIANTS[:variants]]
    pictures = []
    for chart in charts.dataset_charts(evaluations, VARIANTS)[:2]:
        png, _ = save_figure(chart.figure, folder / f"{chart.name}")
        pictures.append(page.Picture(chart.section, chart.title, png, chart.alt, chart.caption, chart.table))
    parts: dict[str, Any] = {
        "verdict": verdict(evaluations) | {"trivial": [TRIVIAL]},
        "summary": make_summary(dataset, names, kind=kind),
        "pictures": pictures,
        "backbone": backbone_sentence(HERE, "block4_pool", 56.4),
        "layers": LAYERS,
    }
    return page.DatasetReport(evaluations, **(parts | changes))


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


def test_every_picture_has_words_and_numbers(full: Path) -> None:
    parsed = Parsed(full.read_text("utf-8"))
    pictures = parsed.all("img")
    assert len(pictures) == 4
    for picture in pictures:
        assert len(str(picture["alt"])) > 40
        assert int(str(picture["width"])) > 0
    assert parsed.text.count("The numbers of this figure") == 4


def test_page_opens_with_two_sentences_and_says_rendered(full: Path) -> None:
    parsed = Parsed(full.read_text("utf-8"))
    assert "On pets (rendered images)" in parsed.text[:400]
    assert parsed.text.count("the numbers say nothing about photographs") == 2
    for row in verdict(make_evaluations(1, 5, 3))["comparisons"]:
        assert row["sentence"] in parsed.text


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
    report = dataset_report(tmp_path, "pets", 1, 1, summary=None, pictures=(), backbone="", layers=())
    report.verdict["trivial"].clear()
    parsed = Parsed(write(tmp_path, report))
    headings = [tag for tag, _ in parsed.elements if tag == "h3"]
    assert len(headings) == 2  # the verdict and the cost
    assert not parsed.all("figure")
    assert not parsed.all("nav")
    assert "p (Holm)" not in parsed.text
    assert "95 % interval over test images" in parsed.text
    assert "is the only variant" in parsed.text


def test_pictures_of_one_section_share_a_heading(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "black.png")
    sections = ("Mistakes", "Cost", "Mistakes")
    pictures = [page.Picture(section, "black", tmp_path / "black.png", "a black image") for section in sections]
    report = dataset_report(tmp_path, "pets", 1, 1, pictures=pictures)
    assert [(name, len(group)) for name, group in report.sections] == [("Mistakes", 2), ("Cost", 1)]
    assert Parsed(write(tmp_path, report)).text.count("Mistakes") == 1


def test_only_the_cut_layer_is_marked(full: Path) -> None:
    assert len([row for row in Parsed(full.read_text("utf-8")).all("tr") if row.get("class") == "cut"]) == 2


def test_layers_behind_the_cut_are_called_not_used(full: Path) -> None:
    parsed = Parsed(full.read_text("utf-8"))
    times = "\u00d7"
    assert parsed.text.count(f"block4_pool (cut here) Conv2D 4 {times} 4 {times} 32 0 frozen ") == 2
    assert parsed.text.count(f"behind Conv2D 4 {times} 4 {times} 9 297 not used ") == 2


def test_page_says_what_the_backbone_had_seen(full: Path) -> None:
    parsed = Parsed(full.read_text("utf-8"))
    expected = (
        "Backbone The backbone compact, cut at block4_pool, had seen before: rendered images of other classes; it "
        "was trained here in 56 seconds on 1,800 rendered images of 2 classes (bears, fish), and is right on 83.8 % "
        "of 600 rendered images of these classes that it had not seen. All 3 layers"
    )
    assert parsed.text.count(expected) == 2
    assert "trains the layers" not in parsed.text, "no variant is fine-tuned"


def test_page_says_which_layers_fine_tuning_trains(tmp_path: Path) -> None:
    expected = "fine_tune trains the layers from block4_conv up to the cut, batch normalisation excepted."
    assert expected in Parsed(write(tmp_path, dataset_report(tmp_path, "pets", 6, 1, pictures=()))).text


def test_backbone_is_told_without_its_layers(tmp_path: Path) -> None:
    parsed = Parsed(write(tmp_path, dataset_report(tmp_path, "pets", 4, 1, layers=(), pictures=())))
    assert "Backbone The backbone compact, cut at block4_pool, had seen before: " in parsed.text
    assert "the double line is the cut" not in parsed.text


@pytest.mark.parametrize(
    ("origin", "changes", "expected"),
    [
        ("official", {}, "as published at https://example.org/weights.h5."),
        (
            "redirected",
            {"note": "not the official file"},
            "from the folder that CONVNET_DATA names, in place of https://example.org/weights.h5 (not the official "
            "file).",
        ),
        ("local", {}, "from this machine, in place of https://example.org/weights.h5."),
        ("local", {"address": "weights.h5"}, "from this machine."),
    ],
)
def test_fetched_backbone_says_where_it_came_from(origin: str, changes: dict[str, Any], expected: str) -> None:
    assert backbone_sentence(make_backbone(origin, **changes), "mixed7") == (
        "The backbone inception_v3, cut at mixed7, had seen before: 1.28 million photographs; its weights are the file "
        f"weights.h5, {expected}"
    )


@pytest.mark.parametrize("name", [HOSTILE, "</p><script>alert(1)</script>", "a\x00\u202eb", "{{ 7 * 7 }}"])
def test_what_a_backbone_had_seen_is_text(tmp_path: Path, name: str) -> None:
    backbone = make_backbone("trained here", seen=name, source_classes=[name, "fish"])
    told = backbone_sentence(backbone, "block4_pool")
    parsed = Parsed(write(tmp_path, dataset_report(tmp_path, "pets", 4, 1, backbone=told, pictures=())))
    assert parsed.text.count(name.replace("\x00", "\\x00").replace("\u202e", "\\u202e")) == 2
    assert not {tag for tag, _ in parsed.elements} & {"b", "script"}
    evaluation = make_evaluation("pets", "transfer", 1)
    write_model_card(evaluation, verdict([evaluation]), backbone, tmp_path / "card.md")
    assert (tmp_path / "card.md").read_text("utf-8").count(escape_markdown(name)) == 2


def test_photographs_are_not_called_rendered(tmp_path: Path) -> None:
    fetched = backbone_sentence(FETCHED, "mixed7")
    report = dataset_report(tmp_path, "pets", 2, 2, pictures_are="photographs", backbone=fetched)
    assert "rendered" not in Parsed(write(tmp_path, report)).text


def test_long_list_of_rejected_files_is_cut_and_says_so(tmp_path: Path) -> None:
    summary = make_summary("pets")
    summary["rejected"] = [{"archive": "a.zip", "member": f"cat/{i}.jpg", "reason": "x"} for i in range(1234)]
    parsed = Parsed(write(tmp_path, dataset_report(tmp_path, "pets", 1, 1, summary=summary)))
    assert "The first 50 of 1,234; all are in data/splits/pets.csv." in parsed.text
    assert "cat/49.jpg" in parsed.text
    assert "cat/50.jpg" not in parsed.text


def test_page_of_many_noisy_pictures_stays_under_5_mb(tmp_path: Path) -> None:
    pictures = []
    for i in range(20):
        path = noise(tmp_path / f"{i}.png", i)
        pictures.append(page.Picture("Noise", f"noise {i}", path, "an image of nothing but noise"))
    text = write(tmp_path, dataset_report(tmp_path, "pets", 1, 1, pictures=pictures))
    assert len(text.encode()) <= 5_000_000
    assert len(Parsed(text).all("img")) == 20


def noise(path: Path, seed: int) -> Path:
    """Write an image of noise, the worst that can be compressed."""
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (600, 1000, 3), dtype=np.uint8)).save(path)
    return path


def large_report(folder: Path, dataset: str) -> page.DatasetReport:
    """Six variants, three seeds, 400 epochs: every chart's table, one chart's image for all, and galleries."""
    evaluations = [make_evaluation(dataset, name, 3, epochs=400) for name in VARIANTS]
    made = charts.dataset_charts(evaluations, VARIANTS)
    png, _ = save_figure(made[0].figure, folder / dataset)
    pictures = [page.Picture(chart.section, chart.title, png, chart.alt, chart.caption, chart.table) for chart in made]
    galleries = [noise(folder / f"{dataset}-{i}.png", i) for i in range(4)]
    pictures += [page.Picture("Noise", f"noise {path.stem}", path, "nothing but noise") for path in galleries]
    return page.DatasetReport(evaluations, verdict(evaluations), make_summary(dataset), pictures, layers=LAYERS)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> list[page.DatasetReport]:
    folder = tmp_path_factory.mktemp("large")
    return [large_report(folder, name) for name in ("pets", "shapes", "hands")]


def test_page_with_long_tables_and_many_pictures_stays_under_5_mb(
    large: list[page.DatasetReport], tmp_path: Path
) -> None:
    text = write(tmp_path, *large)
    parsed = Parsed(text)
    pictures = [str(picture["src"]) for picture in parsed.all("img")]
    assert len(text.encode()) - sum(map(len, pictures)) > 700_000, "the tables are long"
    assert 4_000_000 < len(text.encode()) <= 5_000_000, "the budget is used and kept"
    assert len(pictures) == 3 * (7 + 4)
    assert "Left out" not in parsed.text
    assert parsed.text.count("The first 1,000 of 2,400 rows; all are in the folder reports/tables.") == 3 * 2


def test_galleries_without_room_are_named_and_charts_stay(
    large: list[page.DatasetReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "PAGE_BUDGET", 500_000)
    text = write(tmp_path, large[0])
    parsed = Parsed(text)
    assert len(text.encode()) <= 500_000
    assert 7 <= len(parsed.all("img")) < 7 + 4
    assert parsed.text.count("Left out to keep this page small: ") == 7 + 4 - len(parsed.all("img"))
    assert str(large[0].pictures[-1].path) in parsed.text
    monkeypatch.setattr(page, "PAGE_BUDGET", 100_000)
    with pytest.raises(UserError, match=r"MB of the report page, which may have 0\.1; name fewer datasets"):
        write(tmp_path, large[0])


def test_wilson_intervals_are_shown_beside_the_verdict(full: Path) -> None:
    parsed = Parsed(full.read_text("utf-8"))
    for row in verdict(make_evaluations(1, 5, 3))["variants"]:
        low, high = (f"{100 * end:.1f} %" for end in row["wilson"])
        assert f"{row['variant']} {100 * row['accuracy']['mean']:.1f} % {low} to {high} " in parsed.text


def test_overfitting_is_told_per_variant(full: Path) -> None:
    parsed = Parsed(full.read_text("utf-8"))
    table = tables.overfitting_table(make_evaluations(1, 5, 3))
    variant, epochs, best, rise, *gaps = next(row for row in table.rows if row[0] == "dropout")
    shown = " ".join(f"{100 * float(gap or 0):+.1f}" for gap in gaps)
    assert f"{variant} {epochs:g} {best:.1f} {rise:+.3f} {shown} ".replace("-", MINUS) in parsed.text
    assert parsed.text.count("rise of validation loss after it, nats") == 2


def test_cost_of_fine_tuning_is_the_same_in_table_and_chart(tmp_path: Path) -> None:
    evaluations = [make_evaluation("pets", name, 2) for name in ("baseline", "transfer", "fine_tune")]
    evaluations[2]["recipe"]["start"] = "transfer"
    cost = next(chart for chart in charts.dataset_charts(evaluations, VARIANTS) if chart.name == "cost")
    assert cost.table is not None
    parsed = Parsed(write(tmp_path, page.DatasetReport(evaluations, verdict(evaluations))))
    for variant, seconds, _ in cost.table.rows:
        assert f"{variant} {seconds:,.1f} " in parsed.text
    assert "fine-tuning includes the training it starts from" in parsed.text


def test_transparent_picture_stands_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (40, 30), (255, 0, 0, 0)).save(tmp_path / "clear.png", dpi=(192, 192))
    embedded = page.embed_image(tmp_path / "clear.png", 1600)
    assert (embedded.width, embedded.height) == (20, 15)
    assert embedded.uri.startswith("data:image/png;base64,")


def test_model_card_holds_numbers_recipe_and_limits(tmp_path: Path) -> None:
    evaluations = make_evaluations(1, 4, 3)
    write_model_card(evaluations[3], verdict(evaluations), HERE, tmp_path / "card.md")
    card = (tmp_path / "card.md").read_text("utf-8")
    accuracy = tables.mean(tables.split_values(evaluations[3], "test", "accuracy"))
    assert f"| accuracy | {100 * accuracy:.1f} % |" in card
    for expected in (
        "rendered images",
        "| learning\\_rate | 0.0001 |",
        "80 test images",
        "backbone compact",
    ):
        assert expected in card, expected
    low, high = (f"{100 * end:.1f} %" for end in wilson_interval(accuracy, 80))
    assert f"The sample of test images leaves the accuracy open between {low} and {high} (Wilson, 95 %)." in card
    write_model_card(evaluations[3], verdict(evaluations), HERE, tmp_path / "again.md")
    assert (tmp_path / "again.md").read_text("utf-8") == card


@pytest.mark.parametrize("variant", ["transfer", "transfer_dropout", "fine_tune"])
def test_model_card_says_what_the_backbone_had_seen(tmp_path: Path, variant: str) -> None:
    evaluation = make_evaluation("pets", variant, 2)
    write_model_card(evaluation, verdict([evaluation]), HERE, tmp_path / "card.md")
    paragraphs = (tmp_path / "card.md").read_text("utf-8").split("\n\n")
    assert escape_markdown(backbone_sentence(HERE, "block4_pool")) in paragraphs
    assert not [text for text in paragraphs if re.search(r"\bseconds?\b", text)], "equal results give equal cards"
    write_model_card(evaluation, verdict([evaluation]), FETCHED, tmp_path / "card.md")
    card = (tmp_path / "card.md").read_text("utf-8")
    assert r"weights.h5, as published at https:\//example.org/weights.h5." in card, "an address is no link"


def test_model_card_of_an_own_network_tells_of_no_backbone(tmp_path: Path) -> None:
    evaluation = make_evaluation("pets", "baseline", 2)
    for name, backbone in (("unused", HERE), ("none", {"needed": False})):
        write_model_card(evaluation, verdict([evaluation]), backbone, tmp_path / f"{name}.md")
        assert "had seen before" not in (tmp_path / f"{name}.md").read_text("utf-8")


@pytest.mark.parametrize("kind", ["features", "fine_tune", "pixels"])
def test_model_card_of_a_backbone_names_its_head_and_no_filters(tmp_path: Path, kind: str) -> None:
    evaluation = make_evaluation("pets", "transfer", 2)
    # The filters are a placeholder there: the network is a backbone with a head.
    evaluation["recipe"] |= {"kind": kind, "backbone": "compact", "network": {"filters": [1], "dense": 256}}
    write_model_card(evaluation, verdict([evaluation]), HERE, tmp_path / "card.md")
    card = (tmp_path / "card.md").read_text("utf-8")
    assert "network" not in card
    assert "filters" not in card
    assert "| dense | 256 |" in card


def test_model_card_of_an_own_network_names_its_filters(tmp_path: Path) -> None:
    evaluation = make_evaluation("pets", "baseline", 2)
    evaluation["recipe"] |= {"kind": "pixels", "backbone": None, "network": {"filters": [16, 32], "dense": 512}}
    write_model_card(evaluation, verdict([evaluation]), HERE, tmp_path / "card.md")
    assert "| network.filters | 16, 32 |" in (tmp_path / "card.md").read_text("utf-8")


def test_model_card_escapes_names_and_knows_one_seed(tmp_path: Path) -> None:
    evaluation = make_evaluation("pets", "baseline", 1, classes=['<b>|"cats"', "dog\n# x"])
    write_model_card(evaluation, verdict([evaluation]), HERE, tmp_path / "card.md")
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


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
@pytest.mark.parametrize("width", [400, 1400])
def test_browser_shows_the_page_without_overflow_or_complaint(full: Path, tmp_path: Path, width: int) -> None:
    shutil.copy(full, tmp_path / "index.html")
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
