"""Names of classes and files as an attacker would choose them, through every stage and into everything a reader opens.

The folder is real, and so are the stages that read it; only the predictions are made up.
"""

import csv
import fcntl
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import termios
import threading
import unicodedata
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from convnet.comparison.verdict import verdict
from convnet.data.arrays import load_arrays
from convnet.download.http import UnavailableError, download
from convnet.engine.job_log import JobLog
from convnet.evaluation.schema import Evaluation
from convnet.report.build import Folders, report
from convnet.report.tables import write_tables
from convnet.system.csv_cells import FORMULA_STARTS
from convnet.system.errors import printable
from convnet.system.files import read_json, write_json
from convnet.system.locks import locked
from convnet.system.progress import progress, show_progress_every
from helpers.browser import drawn_page
from helpers.evaluations import make_evaluation
from helpers.tiny_dataset import encoded, picture
from helpers.tiny_study import PROJECT, environment, run_stage, write_params

CLASSES = [
    '<b>&"cats"',
    "<!--<script>",
    "<script>document.title='run'<",  # "/script>.png" follows as a file name
    "=cmd|' ' calc'!A0",
    "\x1b[31mred\x07",
    "$x^2$ {{ 7*7 }}",
    "{refresh_tag}<DVC_METRIC_DATA>",
]
FILES = [
    "=cmd|x.png",
    "\x1b[31m.png",
    "$x^2$.png",
    "<img src=x onerror=alert(1)>.png",
    "line\nbreak.png",
    "gnp\u202e.png",
    b"caf\xe9.png".decode("utf-8", "surrogateescape"),
    "@SUM(1).png",
    'a,b;"c".png',
    "</x.png".replace("/", "\u2215"),
]
REJECTED = "-2+3\x1b]0;title\x07.png"  # holds text, so it is told on the terminal and in the report


@dataclass(frozen=True)
class Hostile:
    """Everything that was written, and what the stages said."""

    folder: Path
    classes: list[str]
    members: list[str]
    said: str


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    folder = tmp_path_factory.mktemp("hostile")
    for number, name in enumerate(CLASSES):
        (folder / "pictures" / name).mkdir(parents=True)
        for index, file in enumerate(FILES):
            (folder / "pictures" / name / file).write_bytes(encoded(picture(100 * number + index)))
    (folder / "pictures" / CLASSES[0] / REJECTED).write_text("no image")
    write_params(folder)
    archives, table, summary = "data/archives/tiny", "data/splits/tiny.csv", "data/splits/tiny.summary.json"
    said = ""
    for command in (
        ("download", "--dataset", "tiny", archives),
        ("split", "--dataset", "tiny", archives, table, summary),
        ("prepare", "--dataset", "tiny", archives, table, "data/arrays/tiny"),
    ):
        done = run_stage(folder, *command)
        assert done.returncode == 0, done.stderr
        said += done.stdout + done.stderr
    classes = read_json(folder / summary)["classes"]
    members = load_arrays(folder / "data" / "arrays" / "tiny", "test").members
    _report(folder, classes, members)
    return Hostile(folder, classes, members, said)


def _report(folder: Path, classes: list[str], members: list[str]) -> None:
    """Write tables and report from made-up predictions on the real test images."""
    evaluations = []
    for variant in ("baseline", "augmented"):
        evaluation = make_evaluation("tiny", variant, 2, classes=classes)
        for run in evaluation["seeds"]:
            run["test_members"] = members
            run["test_groups"] = run["test_groups"][: len(members)]
            run["test_labels"] = run["test_labels"][: len(members)]
            run["test_predicted"] = run["test_predicted"][: len(members)]
            run["test_probabilities"] = run["test_probabilities"][: len(members)]
        write_json(folder / "data" / "evaluations" / "tiny" / "variants" / f"{variant}.json", evaluation)
        evaluations.append(Evaluation.model_validate(evaluation))
    tables = folder / "reports" / "tables"
    found = verdict(evaluations)
    write_tables(evaluations, tables)
    write_json(
        tables / "verdict.json",
        {"tiny": found.model_dump()},
    )
    write_json(folder / "explanations" / "tiny" / "figures.json", [])
    write_json(folder / "robustness" / "tiny.json", {"rows": []})
    write_json(folder / "sweeps" / "tiny.json", {"variants": {}})
    write_json(folder / "plans" / "run.json", {"against": {"baseline": [], "augmented": ["baseline"]}})
    write_json(folder / "plans" / "tried.json", {"tiny": {"baseline": [], "augmented": []}})
    write_json(folder / "plans" / "untried.json", {"folds": False, "variants": []})
    write_json(folder / "tuning" / "tiny.json", {"trials": 0, "variants": {}})
    write_json(folder / "backbones" / "tiny" / "backbone.json", {"needed": False})
    folders = Folders(
        folder / "plans",
        folder / "data" / "evaluations",
        tables,
        folder / "data" / "splits",
        folder / "data" / "arrays",
        folder / "explanations",
        folder / "robustness",
        folder / "sweeps",
        folder / "features",
        folder / "backbones",
        folder / "tuning",
    )
    report(folders, ["tiny"], ["baseline", "augmented"], folder / "reports")


class _Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_classes_and_files_all_reach_the_arrays(hostile: Hostile) -> None:
    counts = read_json(hostile.folder / "data" / "arrays" / "tiny" / "dataset.json")["counts"]
    assert sum(counts.values()) == len(CLASSES) * len(FILES)
    assert len(hostile.classes) == len(CLASSES)


def test_terminal_gets_no_control_characters(hostile: Hostile) -> None:
    assert "title" in hostile.said, "the rejected file is named"
    for line in hostile.said.split("\n"):
        assert line == printable(line)


HOSTILE = "cats\x1b[2J\x07\nnew line\u202e"
ESCAPED = r"cats\x1b[2J\x07\nnew line\u202e"


def _prints_log(folder: Path) -> None:
    log = JobLog(1, 0)
    log.line(f"[1/1] {HOSTILE}: 2 epochs")
    log.line_once(f"{HOSTILE} is damaged")


def _says_progress(_: Path) -> None:
    list(progress(range(3), total=3, label=f"verify {HOSTILE}"))


def _says_lock(folder: Path) -> None:
    """Wait for the lock that somebody else holds for a moment."""
    holder = (folder / "lock").open("w")
    fcntl.flock(holder, fcntl.LOCK_EX)
    threading.Timer(0.3, holder.close).start()
    with locked(folder / "lock", waiting=f"{HOSTILE} is held"):
        pass


def _says_download(folder: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), Unavailable) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/cats.zip"
        with pytest.raises(UnavailableError):
            download(
                url, folder / "part", label=HOSTILE, expected_bytes=None, retries=1, timeout=5, wait=lambda _: None
            )
        server.shutdown()


class Unavailable(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(503)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("say", [_prints_log, _says_progress, _says_lock, _says_download])
def test_whoever_prints_a_name_escapes_its_control_characters(
    say: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def say_all() -> None:
        show_progress_every(0.0)
        say(tmp_path)

    copy_context().run(say_all)
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(ESCAPED in line and line == printable(line) for line in lines)


def test_bar_on_a_terminal_escapes_the_control_characters_of_its_label() -> None:
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 120))
    program = f"from convnet.system.progress import progress; list(progress('abc', total=3, label={HOSTILE!r}))"
    subprocess.run([sys.executable, "-c", program], stderr=terminal, env=environment(), check=True)
    shown = os.read(controller, 10_000).decode()
    os.close(terminal)
    os.close(controller)
    assert ESCAPED in shown
    assert "\x1b[2J" not in shown
    assert "\x07" not in shown


def _texts(*paths: Path) -> list[str]:
    cells = []
    for path in paths:
        with path.open(newline="", encoding="utf-8") as file:
            cells += [cell for row in csv.reader(file) for cell in row]
    return [cell for cell in cells if not re.fullmatch(r"-?[\d.]+(e-?\d+)?", cell)]


def test_no_cell_of_any_table_begins_a_formula_or_holds_a_control_character(hostile: Hostile) -> None:
    # The manifest keeps a name as it is in the archive, where it must be found again; tables for readers escape more.
    manifest = _texts(hostile.folder / "data" / "splits" / "tiny.csv")
    tables = _texts(*(hostile.folder / "reports" / "tables").glob("*.csv"))
    for cell in (*manifest, *tables):
        assert not cell.lstrip(" \t\r\n").startswith(tuple(set(FORMULA_STARTS) - {"'"}))
        assert not any(unicodedata.category(character) == "Cc" for character in cell)
    assert not [cell for cell in tables if cell != printable(cell)]
    assert any("cmd" in cell for cell in manifest)
    assert any("cmd" in cell for cell in tables)


def test_page_shows_hostile_names_as_text_only(hostile: Hostile) -> None:
    page = _Elements((hostile.folder / "reports" / "index.html").read_text("utf-8"))
    assert not page.tags & {"script", "b", "iframe", "object"}
    assert not [name for name in page.attributes if name.startswith("on")]
    assert "\x1b" not in page.text
    assert "\u202e" not in page.text
    for name in ('<b>&"cats"', "<!--<script>", "$x^2$ {{ 7*7 }}", "onerror=alert(1)"):
        assert name in page.text
    assert "-2+3" in page.text, "the rejected file is listed"


def test_drawings_are_well_formed_and_hold_no_script(hostile: Hostile) -> None:
    paths = list((hostile.folder / "reports" / "figures").rglob("*.svg"))
    assert paths
    for path in paths:
        names = {element.tag.rpartition("}")[2] for element in ElementTree.parse(path).iter()}
        assert not names & {"script", "foreignObject", "b", "img"}
        assert "\x1b" not in path.read_text("utf-8")


def test_model_cards_show_hostile_names_as_text(hostile: Hostile) -> None:
    cards = list((hostile.folder / "reports" / "model_cards").glob("*.md"))
    assert len(cards) == 2
    for card in cards:
        text = card.read_text("utf-8")
        assert "\x1b" not in text
        assert not re.search(r"(?<!\\)<(b|script|!--)", text)
        assert r"\<b\>\&" in text


def test_metadata_is_valid_json(hostile: Hostile) -> None:
    for path in hostile.folder.rglob("*.json"):
        assert json.loads(path.read_text("utf-8")) is not None


def test_dvc_plots_page_draws_hostile_names_and_runs_none(hostile: Hostile, tmp_path: Path) -> None:
    dvc = Path(sys.executable).with_name("dvc")
    repository = tmp_path / "repository"
    (repository / "reports").mkdir(parents=True)
    shutil.copytree(hostile.folder / "reports" / "tables", repository / "reports" / "plots")
    plots = [
        plot for plot in yaml.safe_load((PROJECT / "dvc.yaml").read_text("utf-8"))["plots"] if isinstance(plot, dict)
    ]  # not the folders of images
    (repository / "dvc.yaml").write_text(yaml.safe_dump({"plots": plots}, sort_keys=False))

    def run(*command: str | Path) -> None:
        done = subprocess.run(command, cwd=repository, env=environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    run(dvc, "init", "--no-scm", "--quiet")
    shutil.copytree(PROJECT / ".dvc" / "plots", repository / ".dvc" / "plots")
    run(sys.executable, "-m", "convnet.pipeline.plots_page", repository / ".dvc" / "plots_page.html")
    run(dvc, "config", "plots.html_template", "plots_page.html")
    run(dvc, "plots", "show")
    drawn = drawn_page(repository / "dvc_plots" / "index.html", tmp_path)
    assert "<title>Plots</title>" in drawn, "no script of a name has run"
    assert len(re.findall(r'<svg[^>]+class="marks"', drawn)) == len(plots)
    assert "cannot be drawn" not in re.sub(r"<script.*?</script>", "", drawn, flags=re.DOTALL)
    for name in ("&lt;b&gt;&amp;", r"\x3c!--\x3cscript&gt;"):
        assert name in drawn
