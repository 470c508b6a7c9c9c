"""`dvc plots show` with the page of this project, in a real DVC repository and a real browser."""

import configparser
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

from convnet.pipeline.plots_page import build_page
from helpers.browser import drawn_page

PROJECT = Path(__file__).parents[2]

TEMPLATE = {
    "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
    "data": {"values": "<DVC_METRIC_DATA>"},
    "mark": "line",
    "encoding": {
        "x": {"field": "epoch", "type": "quantitative"},
        "y": {"field": "accuracy", "type": "quantitative"},
        "color": {"field": "variant"},
        "row": {"field": "dataset"},
    },
}
HISTORY = """dataset,variant,epoch,accuracy
shapes,baseline,1,0.5
shapes,baseline,2,0.75
shapes,dropout,1,0.625
shapes,dropout,2,0.875
"""


class LoadedAddresses(HTMLParser):
    """Collects what a browser would fetch to show a page, except images beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in {"script", "img", "iframe", "source"} and values.get("src"):
            self.addresses.append(values["src"] or "")
        if tag == "link":
            self.addresses.append(values.get("href") or "")


def plots_show(folder: Path, page_template: str | None) -> Path:
    """Make a DVC repository with one plot and return the page that `dvc plots show` writes."""
    dvc = Path(sys.executable).with_name("dvc")

    def run(*command: str | Path) -> None:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)

    run(dvc, "init", "--no-scm", "--quiet")
    if page_template:
        run(sys.executable, "-m", "convnet.pipeline.plots_page", folder / ".dvc" / page_template)
        run(dvc, "config", "plots.html_template", page_template)
    (folder / ".dvc" / "plots").mkdir()
    (folder / ".dvc" / "plots" / "history.json").write_text(json.dumps(TEMPLATE))
    (folder / "history.csv").write_text(HISTORY)
    (folder / "dvc.yaml").write_text("plots:\n- history.csv:\n    template: history\n    x: epoch\n    y: accuracy\n")
    run(dvc, "plots", "show")
    return folder / "dvc_plots" / "index.html"


def test_page_loads_nothing_from_a_network(tmp_path: Path) -> None:
    text = plots_show(tmp_path, "plots_page.html").read_text("utf-8")
    parser = LoadedAddresses()
    parser.feed(text)
    assert parser.addresses == []
    assert not re.search(r"@import|url\(\s*['\"]?https?:", text)
    assert "default-src 'none'" in text


def test_plot_is_drawn_without_a_network(tmp_path: Path) -> None:
    drawn = drawn_page(plots_show(tmp_path, "plots_page.html"), tmp_path)
    assert re.search(r"<svg[^>]+class=\"marks\"", drawn)
    assert "mark-line" in drawn
    for word in ("baseline", "dropout", "shapes"):
        assert f">{word}</text>" in drawn


def test_dvcs_own_page_shows_nothing_without_a_network(tmp_path: Path) -> None:
    assert "<svg" not in drawn_page(plots_show(tmp_path, None), tmp_path)


def test_plot_that_cannot_be_drawn_says_why(tmp_path: Path) -> None:
    page = plots_show(tmp_path, "plots_page.html")
    page.write_text(page.read_text("utf-8").replace('"mark": "line"', '"mark": "spiral"'), "utf-8")
    assert "This plot cannot be drawn: " in re.sub(
        r"<script.*?</script>", "", drawn_page(page, tmp_path), flags=re.DOTALL
    )


def test_page_is_the_same_every_time_and_has_each_placeholder_once() -> None:
    page = build_page()
    assert page == build_page()
    assert page.count("{plot_divs}") == page.count("{refresh_tag}") == 1
    assert page.count("</script>") == 1


def test_settings_name_the_page_that_make_writes() -> None:
    # In the local settings: without make, `dvc plots show` takes DVC's own page.
    settings = configparser.ConfigParser()
    settings.read(PROJECT / ".dvc" / "config")
    assert "html_template" not in settings["plots"]
    makefile = (PROJECT / "Makefile").read_text("utf-8")
    assert "PLOTS_PAGE := .dvc/plots_page.html\n" in makefile
    assert "dvc config --local plots.html_template $(notdir $@)\n" in makefile
