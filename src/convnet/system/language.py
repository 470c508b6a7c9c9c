"""The language of what readers see. The command line, CSV and JSON are English.

The English text is the key of its translation, so English needs no catalogue.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

ENGLISH: Mapping[str, str] = MappingProxyType({})
_translations: ContextVar[Mapping[str, str]] = ContextVar("translations", default=ENGLISH)


def tr(text: str, **values: object) -> str:
    """Return an English text in the language in use, with `values` in its {fields}."""
    translated = _translations.get().get(text, text)
    return translated.format(**values) if values else translated


def mark(text: str) -> str:
    """Return a text as it is, which `tr` gets later: the test of the catalogues finds it here."""
    return text


@contextmanager
def translated(translations: Mapping[str, str]) -> Iterator[None]:
    """Use translations inside the `with` block."""
    token = _translations.set(translations)
    try:
        yield
    finally:
        _translations.reset(token)
