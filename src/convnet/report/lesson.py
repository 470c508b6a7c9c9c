"""The sections of a dataset on the page, in the order of the course, and their texts from one catalogue."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup, escape

from convnet.system.errors import printable

TEMPLATES = Path(__file__).parent / "templates"
# The course's order, between the verdict and the data. Charts name the section that they belong to.
SECTIONS = (
    *("verdict", "variants"),
    *("see", "epochs", "small", "augmentation", "transfer", "dropout", "classes"),
    *("mistakes", "cost", "data"),
)
ANSWER = "answer"  # of the charts on the first screen


@dataclass(frozen=True)
class Term:
    """An entry of the glossary."""

    name: str
    also: tuple[str, ...]  # other forms of the word, which link here too
    text: str

    @property
    def anchor(self) -> str:
        """The id of the entry on the page."""
        return "term-" + re.sub(r"\W+", "-", self.name.lower())


@cache
def texts() -> dict[str, Any]:
    """Return the catalogue: section -> title and text, and the glossary."""
    loaded: dict[str, Any] = yaml.safe_load((TEMPLATES / "english.yaml").read_text("utf-8"))
    return loaded


@cache
def glossary() -> tuple[Term, ...]:
    """Return the glossary by the alphabet."""
    entries = texts()["glossary"].items()
    terms = (Term(name, tuple(entry.get("also", ())), entry["text"]) for name, entry in entries)
    return tuple(sorted(terms, key=lambda term: term.name.lower()))


@cache
def _anchors() -> dict[str, str]:
    return {form.lower(): term.anchor for term in glossary() for form in (term.name, *term.also)}


@cache
def _pattern() -> re.Pattern[str]:
    longest_first: Sequence[str] = sorted(_anchors(), key=len, reverse=True)
    terms = "|".join(map(re.escape, longest_first))
    return re.compile(rf"\x60(?P<code>[^\x60]+)\x60|(?<![\w-])(?P<term>{terms})(?![\w-])", re.IGNORECASE)


def linked(text: str) -> Markup:
    """Return our own text as HTML: `code`, and the first use of every term links to the glossary."""
    used: set[str] = set()

    def link(match: re.Match[str]) -> str:
        if code := match.group("code"):
            return f"<code>{escape(code)}</code>"
        word = match.group("term")
        anchor = _anchors()[word.lower()]
        if anchor in used:
            return str(escape(word))
        used.add(anchor)
        return f'<a class="term" href="#{anchor}">{escape(word)}</a>'

    parts, end = [], 0
    shown = printable(text)
    for match in _pattern().finditer(shown):
        parts += [str(escape(shown[end : match.start()])), link(match)]
        end = match.end()
    return Markup("".join([*parts, str(escape(shown[end:]))]))
