"""docs/course.md names lines of params.yaml and sections of the page that exist, and its Spanish version the same."""

import re
from pathlib import Path

import pytest
import yaml

from convnet.params.section import Language
from convnet.report.catalogue import catalogue
from convnet.report.lesson import SECTIONS

PROJECT = Path(__file__).parents[2]
PAGES: dict[Language, tuple[Path, str]] = {
    "en": (PROJECT / "docs" / "course.md", "Lesson"),
    "es": (PROJECT / "docs" / "course.es.md", "Lección"),
}
HEADS = ("| course", "| curso", "| ---")


def rows(language: Language) -> list[list[str]]:
    """Return the cells of all tables."""
    lines = PAGES[language][0].read_text("utf-8").splitlines()
    return [
        [cell.strip() for cell in line.strip("|\n").split(" | ")]
        for line in lines
        if line.startswith("| ") and not line.startswith(HEADS)
    ]


def code(text: str) -> list[str]:
    """Return what a reader types or finds in code, and the number of a lesson."""
    return sorted(re.findall(r"`[^`]+`|\d[\d,.x-]*", text))


ROWS = rows("en")


def test_every_line_of_params_exists() -> None:
    settings = yaml.safe_load((PROJECT / "params.yaml").read_text("utf-8"))
    named = [key for row in ROWS for key in re.findall(r"`([\w.]+)`", row[2])]
    assert len(named) > 30
    for key in named:
        found = settings
        for part in key.split("."):
            assert part in found, key
            found = found[part]


@pytest.mark.parametrize("language", PAGES)
def test_every_section_of_the_page_exists(language: Language) -> None:
    titles = {key: catalogue(language)["sections"][key]["title"] for key in SECTIONS}
    lesson = PAGES[language][1]
    lessons = {title.split(":")[0] for title in titles.values() if title.startswith(lesson)}
    assert {found for row in rows(language) for found in re.findall(rf"{lesson} \d", row[1])} == lessons
    assert len(lessons) == 7
    for key in ("data", "mistakes", "variants"):
        assert any(row[1].startswith(titles[key]) for row in rows(language))


def test_spanish_rows_are_the_english_ones() -> None:
    assert len(rows("es")) == len(ROWS) > 50
    for english, spanish in zip(ROWS, rows("es"), strict=True):
        assert [code(cell) for cell in english] == [code(cell) for cell in spanish]
    for (english, _), (spanish, _) in [(PAGES["en"], PAGES["es"])]:
        assert "(course.es.md)" in english.read_text("utf-8")
        assert "(course.md)" in spanish.read_text("utf-8")


def test_the_course_s_knobs_are_all_there() -> None:
    text = (PROJECT / "docs" / "course.md").read_text("utf-8")
    settings = yaml.safe_load((PROJECT / "params.yaml").read_text("utf-8"))
    assert len(settings["augmentation"]) == 8
    for knob in settings["augmentation"]:
        assert f"`augmentation.{knob}`" in text
