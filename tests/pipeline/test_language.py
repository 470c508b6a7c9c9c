"""Plain language: no banned word in comments, strings, documents, settings and templates."""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Grammar words that a learner of English does not know, and words with a fixed replacement in this project.
WORDS = re.compile(
    r"\b(told|tells?|lies|stands|anew|mend(?:s|ed)?|bears?|shall|is\s+no|can\s+be\s+had|be\s+had|is\s+had|whatever|"
    r"how-manieth|pictures?)\b",
    re.IGNORECASE,
)
# "for" and "else" as conjunctions. A preposition follows no comma together with one of these subjects.
CONJUNCTIONS = re.compile(r"(,\s+for\s+(?:it|they|this|that|he)\b|[;,]\s+else\b)", re.IGNORECASE)
SAYS = re.compile(
    r"\b(?:programs?|commands?|stages?|functions?|reports?|pages?|messages?|tables?|models?|networks?|convnet|"
    r"keras|dvc|docs/\S+) says?\b",
    re.IGNORECASE,
)
CHECKPOINT = re.compile(r"\b(?:saved|atomic|epoch|job|training) state\b", re.IGNORECASE)
RULES = (WORDS, CONJUNCTIONS, SAYS, CHECKPOINT)
# A conditional expression or a template's `else` is code: there, only words count.
CODE = (WORDS, SAYS, CHECKPOINT)
FILES = sorted(
    path
    for pattern in ("src/**/*.py", "stages/*.py", "docs/**/*.md", "src/**/templates/*")
    for path in ROOT.glob(pattern)
    if path.is_file()
) + [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "params.yaml", "dvc.yaml")]
STRINGS = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}

# Before Python 3.12 an f-string is one token: the expressions in it are code.
FORMATTED, FIELD = re.compile(r"(?i)r?fr?['\"]"), re.compile(r"\{[^{}]*\}")


def find_banned(path: Path, text: str) -> Iterator[str]:
    """Yield `file:line: word` for each banned word of a file."""
    name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    for line, prose, rules in _prose(path, text):
        for rule in rules:
            for match in rule.finditer(prose):
                yield f"{name}:{line + prose[: match.start()].count(chr(10))}: {' '.join(match.group(0).split())}"


def _prose(path: Path, text: str) -> Iterator[tuple[int, str, tuple[re.Pattern[str], ...]]]:
    """Yield parts of a file that people read: first line, text, and the rules that hold there."""
    if path.suffix == ".py":
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in STRINGS:
                text = FIELD.sub(" ", token.string) if FORMATTED.match(token.string) else token.string
                yield token.start[0], text, RULES
    elif path.parent.name == "templates":
        yield 1, text, CODE
    else:
        yield 1, text, RULES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_banned_word(path: Path) -> None:
    found = list(find_banned(path, path.read_text("utf-8")))
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.py", "told = 1  # a picture\n", ["1: picture"]),
        ("a.py", 'def lies():\n    """One.\n\n    Two stands.\n    """\n', ["4: stands"]),
        ("a.py", "x = f'{told} lies' if told else ''\n", ["1: lies"]),
        ("a.py", "# stop, for it is late\n# stop, else it breaks\n", ["1: , for it", "2: , else"]),
        ("a.py", "# rates, for example 1; for training\n", []),
        ("a.md", "There is\nno image; the page says so. Optimizer state stays.", ["1: is no", "2: page says"]),
        ("a.md", "Untold mending, bearings and an image", []),
    ],
)
def test_words_are_found_by_line_and_only_in_prose(tmp_path: Path, name: str, text: str, words: list[str]) -> None:
    assert list(find_banned(tmp_path / name, text)) == [f"{tmp_path / name}:{word}" for word in words]
