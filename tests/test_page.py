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
from evaluations import CLASSES, VARIANTS, make_evaluation, make_evaluations, make_summary
from PIL import Image

from convnet import charts, page, tables
from convnet.figures import save_figure
from convnet.model_card import escape_markdown, write_model_card
from convnet.verdict import verdict

HOSTILE = '<b>&"cats"'
PARAMS = "run:\n  seeds: [0, 1]  # <script>alert(1)</script>\n"
BACKBONE = [
    {"name": "conv_1", "type": "Conv2D", "output_shape": [32, 32, 8], "parameters": 224, "frozen": True},
    {"name": "mixed7", "type": "Concatenate", "output_shape": [4, 4, 32], "parameters": 0, "frozen": True, "cut": True},
]
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
    evaluations = [make_evaluation(dataset, name, seeds, classes=names, pictures=kind) for name in VARIANTS[:variants]]
    pictures = []
    for chart in charts.dataset_charts(evaluations, VARIANTS)[:2]:
        png, _ = save_figure(chart.figure, folder / f"{chart.name}")
        pictures.append(page.Picture(chart.section, chart.title, png, chart.alt, chart.caption, chart.table))
    parts: dict[str, Any] = {
        "verdict": verdict(evaluations) | {"trivial": [TRIVIAL]},
        "summary": make_summary(dataset, names, pictures=kind),
        "pictures": pictures,
        "backbone": BACKBONE,
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
    assert "On pets (rendered pictures)" in parsed.text[:400]
    assert parsed.text.count("the numbers say nothing about photographs") == 2
    for row in verdict(make_evaluations(1, 5, 3))["comparisons"]:
        assert row["sentence"] in parsed.text


def test_page_holds_the_evidence(full: Path) -> None:
    parsed = Parsed(full.read_text("utf-8"))
    for expected in (
        *("baseline", "generalisation gap, points", "p (Holm)", "most frequent class", "to be beaten"),
        *("cat/=666.jpg", "holds no bytes", "GIF content under .png", "2 exact and 1 near pairs"),
        *("mixed7 (cut here)", "4 × 4 × 32", "keras", "3.15.0", "test processor", "seeds: [0, 1]"),  # noqa: RUF001
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
    report = dataset_report(tmp_path, "pets", 1, 1, summary=None, pictures=(), backbone=())
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
    pictures = [page.Picture(section, "black", tmp_path / "black.png", "a black picture") for section in sections]
    report = dataset_report(tmp_path, "pets", 1, 1, pictures=pictures)
    assert [(name, len(group)) for name, group in report.sections] == [("Mistakes", 2), ("Cost", 1)]
    assert Parsed(write(tmp_path, report)).text.count("Mistakes") == 1


def test_only_the_cut_layer_is_marked(full: Path) -> None:
    assert len([row for row in Parsed(full.read_text("utf-8")).all("tr") if row.get("class") == "cut"]) == 2


def test_photographs_are_not_called_rendered(tmp_path: Path) -> None:
    report = dataset_report(tmp_path, "pets", 2, 2, pictures_are="photographs")
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
    for i in range(20):  # noise is the worst that can be compressed
        noise = np.random.default_rng(i).integers(0, 255, (600, 1000, 3), dtype=np.uint8)
        path = tmp_path / f"{i}.png"
        Image.fromarray(noise).save(path)
        pictures.append(page.Picture("Noise", f"noise {i}", path, "a picture of nothing but noise"))
    text = write(tmp_path, dataset_report(tmp_path, "pets", 1, 1, pictures=pictures))
    assert len(text) < 5_000_000
    assert len(Parsed(text).all("img")) == 20


def test_transparent_picture_stands_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (40, 30), (255, 0, 0, 0)).save(tmp_path / "clear.png", dpi=(192, 192))
    embedded = page.embed_image(tmp_path / "clear.png", 1600)
    assert (embedded.width, embedded.height) == (20, 15)
    assert embedded.uri.startswith("data:image/png;base64,")


def test_model_card_holds_numbers_recipe_and_limits(tmp_path: Path) -> None:
    evaluations = make_evaluations(1, 4, 3)
    write_model_card(evaluations[3], verdict(evaluations), tmp_path / "card.md")
    card = (tmp_path / "card.md").read_text("utf-8")
    accuracy = tables.mean(tables.split_values(evaluations[3], "test", "accuracy"))
    assert f"| accuracy | {100 * accuracy:.1f} % |" in card
    for expected in (
        "rendered pictures",
        "| learning\\_rate | 0.0001 |",
        "80 test images",
        "Wilson",
        "backbone compact",
    ):
        assert expected in card, expected
    write_model_card(evaluations[3], verdict(evaluations), tmp_path / "again.md")
    assert (tmp_path / "again.md").read_text("utf-8") == card


def test_model_card_escapes_names_and_knows_one_seed(tmp_path: Path) -> None:
    evaluation = make_evaluation("pets", "baseline", 1, classes=['<b>|"cats"', "dog\n# x"])
    write_model_card(evaluation, verdict([evaluation]), tmp_path / "card.md")
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
