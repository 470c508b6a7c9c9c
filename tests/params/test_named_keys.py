"""Messages name keys of params.yaml only if the schema has them, because nobody can follow other advice."""

import ast
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from convnet.params.schema import Params
from convnet.params.training import Variant

ROOT = Path(__file__).parents[2]
FILES = [*sorted(ROOT.glob("src/convnet/**/*.py")), *sorted(ROOT.glob("stages/*.py"))]
FIELD = "{}"  # in place of what an f-string computes
SECTIONS = "|".join(Params.model_fields)
QUOTED = re.compile(r"`([^`:]*)(?:: [^`]*)?`")  # a key, a key with a value, or a command
KEY = re.compile(r"[a-z][a-z0-9_]*(?:\.(?:[a-z0-9_]+|\{\}))*")
# A word or a slash before it belongs to a module or a path, and so does a suffix of a file behind it.
DOTTED = re.compile(rf"(?<![\w./}}])(?:{SECTIONS})(?:\.(?:[a-z_]+|\{{\}}))+(?![\w/(])")
SUFFIXES = {"csv", "html", "json", "keras", "lock", "npy", "npz", "onnx", "png", "py", "tflite", "yaml", "zip"}
COMMANDS = ("convnet ", "dvc ", "git ", "make ", "pip ", "python ", "ulimit ")


def messages(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of every string that is not a docstring; f-strings are joined."""
    tree = ast.parse(source)
    skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    skipped |= {id(part) for node in joined for part in ast.walk(node) if part is not node}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(str(p.value) if isinstance(p, ast.Constant) else FIELD for p in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the sections that an annotation allows, in mappings and lists too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif typing.get_origin(annotation) or isinstance(annotation, types.UnionType):
        for part in typing.get_args(annotation):
            yield from models(part)


def keys_of(section: type[BaseModel]) -> set[str]:
    """Return the keys of a section and of all below."""
    below = [model for field in section.model_fields.values() for model in models(field.annotation)]
    return set(section.model_fields).union(*map(keys_of, below))


KEYS = keys_of(Params)


def in_schema(key: str) -> bool:
    """Return whether a dotted key exists; a field of an f-string and a name of an entry match anything."""
    first, *rest = key.split(".")
    if first not in Params.model_fields or not rest:
        return first in KEYS and not rest
    sections = list(models(Params.model_fields[first].annotation))
    if typing.get_origin(Params.model_fields[first].annotation) is dict:
        rest = rest[1:]  # the name of an entry
    for name in rest:
        fields = [section.model_fields[name] for section in sections if name in section.model_fields]
        if name == FIELD or Variant in sections or (fields and fields[0].annotation == dict[str, Any]):
            return True  # a variant and a dataset's overrides take keys of other sections
        if not fields:
            return False
        sections = list(models(fields[0].annotation))
    return True


def wrong_names(text: str) -> list[str]:
    """Return the names in a message that are neither keys of params.yaml nor commands."""
    quoted = [name for name in QUOTED.findall(text) if not name.startswith(COMMANDS) and name != FIELD]
    dotted = [name for name in DOTTED.findall(QUOTED.sub(" ", text)) if name.rpartition(".")[2] not in SUFFIXES]
    return [name for name in quoted + dotted if not (KEY.fullmatch(name) and in_schema(name))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_messages_name_keys_of_the_schema(path: Path) -> None:
    found = [(line, name) for line, text in messages(path.read_text("utf-8")) for name in wrong_names(text)]
    assert not found


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("set `bytes` and `split: train` in params.yaml, then run `dvc repro`", []),
        ("set `size` in params.yaml", ["size"]),
        ("engine.parallel_jobs is 0, and engine.jobs is 1", ["engine.jobs"]),
        ("datasets.{}.source.folder, backbones.{}.weights.md5, fine_tune.{}", []),
        ("datasets.{}.source.folders or datasets.{}.fine_tune.start", ["datasets.{}.source.folders"]),
        ("variants.{}.learning_rate; data/split.csv and explain.json are files", []),
    ],
)
def test_wrong_names_are_found(text: str, wrong: list[str]) -> None:
    assert wrong_names(text) == wrong
