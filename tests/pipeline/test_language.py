"""Plain language: no banned word in comments, strings, documents, settings and templates."""

import io
import itertools
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Grammar words that a learner of English does not know, and words with a fixed replacement in this project.
# "said" is allowed: labels in Grad-CAM figures have no room for "predicted".
WORDS = re.compile(
    r"\b(told|tell(?:s|ing)?|say(?:s|ing)?|lies?|lying|stands|anew|mend(?:s|ed)?|bears?|shall|"
    r"(?:is|are|was|were)\s+no|can\s+be\s+had|(?:be|is|are)\s+had|whatever|how-manieth|pictures?)\b",
    re.IGNORECASE,
)
# "for" and "else" as conjunctions. A preposition follows no comma together with one of these subjects.
CONJUNCTIONS = re.compile(r"(,\s+for\s+(?:it|they|this|that|he)\b|[;,]\s+else\b)", re.IGNORECASE)
CHECKPOINT = re.compile(r"\b(?:saved|atomic|epoch|job|training)\s+state\b", re.IGNORECASE)
RULES = (WORDS, CONJUNCTIONS, CHECKPOINT)
# A conditional expression or a template's `else` is code: there, only words count.
CODE = (WORDS, CHECKPOINT)
FILES = sorted(
    path
    for pattern in ("src/**/*.py", "stages/*.py", "docs/**/*.md", "src/**/templates/*")
    for path in ROOT.glob(pattern)
    if path.is_file()
) + [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "params.yaml", "dvc.yaml")]
COMMENTS = {tokenize.COMMENT}
STRINGS = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
# Since Python 3.12 the quotes of an f-string are tokens. Before, an f-string is one token: the fields in it are code.
QUOTES = {getattr(tokenize, name) for name in ("FSTRING_START", "FSTRING_END") if hasattr(tokenize, name)}
FORMATTED, FIELD = re.compile(r"(?i)r?fr?['\"]"), re.compile(r"\{[^{}]*\}")
# What begins or ends a comment or a string, and escapes in it: a phrase may go on behind them.
EDGES = re.compile(r"(?i)^#+|^[bfru]{0,2}(?:\"{3}|'{3}|['\"])|(?:\"{3}|'{3}|['\"])$|\\[nrt]")
NAME = re.compile(r"(['\"])\w+\1")  # a string of one word is a key or a name, not prose
BARRIER = "\0"  # in place of code: no phrase goes on behind it


def find_banned(path: Path, text: str) -> Iterator[str]:
    """Yield `file:line: word` for each banned word of a file."""
    name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    for prose, rules in _prose(path, text):
        for rule in rules:
            for match in rule.finditer(prose):
                yield f"{name}:{1 + prose[: match.start()].count(chr(10))}: {' '.join(match.group(0).split())}"


def _prose(path: Path, text: str) -> Iterator[tuple[str, tuple[re.Pattern[str], ...]]]:
    """Yield texts as long as the file with only what people read in them, each with the rules that hold there."""
    if path.suffix == ".py":
        yield _only(COMMENTS, text), RULES
        yield _only(STRINGS, text), RULES
    elif path.suffix == ".yaml":
        yield re.sub(r"(?m)^(\s*)#", r"\1 ", text), RULES
    else:
        yield text, CODE if path.parent.name == "templates" else RULES


def _only(kinds: set[int], text: str) -> str:
    """Replace all but tokens of these kinds by barriers, and their quotes and signs by blanks; line ends stay."""
    lines = io.StringIO(text).readlines()
    starts = [0, *itertools.accumulate(map(len, lines))]
    kept = list(re.sub(r"\S", BARRIER, text))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in kinds | QUOTES or NAME.fullmatch(token.string):
            continue
        start, end = (starts[row - 1] + column for row, column in (token.start, token.end))
        prose = text[start:end]
        if token.type in QUOTES:
            prose = _blank(re.compile(r"\S"), prose, " ")
        elif FORMATTED.match(prose):
            prose = _blank(FIELD, prose, BARRIER)
        kept[start:end] = _blank(EDGES, prose, " ")
    return "".join(kept)


def _blank(pattern: re.Pattern[str], text: str, filler: str) -> str:
    return pattern.sub(lambda match: re.sub(r"[^\n]", filler, match.group(0)), text)


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
        ("a.md", "There is\nno image; the page says so. Optimizer state stays.", ["1: is no", "2: says"]),
        ("a.py", "x = 1  # there is\n# no end\n", ["1: is no"]),
        ("a.py", "x = 1  # as it is\ny = 2  # no end\n", []),
        ("a.py", "x = ('there is '\n     f'no {x}')\nx = ['it is', 'no']\n", ["1: is no"]),
        ("a.py", "x = f'is {x} no'\n", []),
        ("a.py", "x = 'first\\nlies'\n", ["1: lies"]),
        ("a.yaml", "a: 1  # what it is\n# there is\n# no b\nis: no\n", ["2: is no"]),
        ("a.md", "Untold mending, bearings and an image", []),
    ],
)
def test_words_are_found_by_line_and_only_in_prose(tmp_path: Path, name: str, text: str, words: list[str]) -> None:
    assert list(find_banned(tmp_path / name, text)) == [f"{tmp_path / name}:{word}" for word in words]
