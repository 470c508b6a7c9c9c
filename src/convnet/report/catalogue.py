"""One catalogue per language: the fixed texts of the page, its glossary, and translations of all other texts."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from convnet.params.section import Language
from convnet.system.language import ENGLISH, translated

CATALOGUES = Path(__file__).parent / "languages"
_language: ContextVar[Language] = ContextVar("language", default="en")


def language() -> Language:
    """Return the language in use."""
    return _language.get()


@cache
def catalogue(name: Language) -> dict[str, Any]:
    """Return a catalogue: sections, glossary, and for other languages than English the translations."""
    loaded: dict[str, Any] = yaml.load((CATALOGUES / f"{name}.yaml").read_text("utf-8"), yaml.CSafeLoader)
    return loaded


@contextmanager
def in_language(name: Language) -> Iterator[None]:
    """Write in a language inside the `with` block."""
    token = _language.set(name)
    try:
        with translated(catalogue(name).get("translations", ENGLISH)):
            yield
    finally:
        _language.reset(token)
