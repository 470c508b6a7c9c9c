"""The sections of a dataset on the page, in the order of the course, and their texts from the catalogue."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from markupsafe import Markup, escape

from convnet.params.section import Language
from convnet.report.catalogue import catalogue, language
from convnet.system.errors import printable

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


def texts() -> dict[str, Any]:
    """Return the catalogue: section -> title and text, and the glossary."""
    return catalogue(language())


def glossary() -> tuple[Term, ...]:
    """Return the glossary by the alphabet."""
    entries = texts()["glossary"].items()
    terms = (Term(name, tuple(entry.get("also", ())), entry["text"]) for name, entry in entries)
    return tuple(sorted(terms, key=lambda term: _plain(term.name)))


def _plain(word: str) -> str:
    """Return a word as dictionaries sort it, without accents."""
    return "".join(c for c in unicodedata.normalize("NFD", word.lower()) if not unicodedata.combining(c))


@cache
def _anchors(_language: Language) -> dict[str, str]:
    return {form.lower(): term.anchor for term in glossary() for form in (term.name, *term.also)}


@cache
def _pattern(of_language: Language) -> re.Pattern[str]:
    longest_first: Sequence[str] = sorted(_anchors(of_language), key=len, reverse=True)
    terms = "|".join(map(re.escape, longest_first))
    return re.compile(rf"\x60(?P<code>[^\x60]+)\x60|(?<![\w-])(?P<term>{terms})(?![\w-])", re.IGNORECASE)


def linked(text: str) -> Markup:
    """Return our own text as HTML: `code`, and the first use of every term links to the glossary."""
    used: set[str] = set()
    anchors = _anchors(language())

    def link(match: re.Match[str]) -> str:
        if code := match.group("code"):
            return f"<code>{escape(code)}</code>"
        word = match.group("term")
        anchor = anchors[word.lower()]
        if anchor in used:
            return str(escape(word))
        used.add(anchor)
        return f'<a class="term" href="#{anchor}">{escape(word)}</a>'

    parts, end = [], 0
    shown = printable(text)
    for match in _pattern(language()).finditer(shown):
        parts += [str(escape(shown[end : match.start()])), link(match)]
        end = match.end()
    return Markup("".join([*parts, str(escape(shown[end:]))]))
