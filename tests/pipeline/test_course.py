"""docs/course.md names lines of params.yaml and sections of the page that exist."""

import re
from pathlib import Path

import yaml

from convnet.report.lesson import SECTIONS, texts

PROJECT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|\n").split(" | ")]
    for line in (PROJECT / "docs" / "course.md").read_text("utf-8").splitlines()
    if line.startswith("| ") and not line.startswith(("| course", "| ---"))
]


def test_every_line_of_params_exists() -> None:
    settings = yaml.safe_load((PROJECT / "params.yaml").read_text("utf-8"))
    named = [key for row in ROWS for key in re.findall(r"`([\w.]+)`", row[2])]
    assert len(named) > 30
    for key in named:
        found = settings
        for part in key.split("."):
            assert part in found, key
            found = found[part]


def test_every_section_of_the_page_exists() -> None:
    titles = [texts()["sections"][key]["title"] for key in SECTIONS]
    lessons = {title.split(":")[0] for title in titles if title.startswith("Lesson")}
    named = {lesson for row in ROWS for lesson in re.findall(r"Lesson \d", row[1])}
    assert named == lessons
    for title in ("Data", "Mistakes", "What each variant is"):
        assert title in titles
        assert any(row[1].startswith(title) for row in ROWS)


def test_the_course_s_knobs_are_all_there() -> None:
    text = (PROJECT / "docs" / "course.md").read_text("utf-8")
    settings = yaml.safe_load((PROJECT / "params.yaml").read_text("utf-8"))
    assert len(settings["augmentation"]) == 8
    for knob in settings["augmentation"]:
        assert f"`augmentation.{knob}`" in text
