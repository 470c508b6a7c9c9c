"""Which source files each stage's script needs, so that a change of the code runs again just what it concerns.

`dvc.yaml` could list every file of every stage instead, and did: dvc.lock, which DVC reads and writes around each
stage, was then seven times as long, and every import had to be written down by hand.
"""

import ast
from pathlib import Path

from convnet.storage import file_digest

PACKAGE = Path(__file__).parent


def needed_files(script: Path) -> list[Path]:
    """Return the files of this project that `script` needs, itself included, directly or not; modules in order of name.

    What is imported is read from syntax trees, without importing it. A folder of the package that is no module and is
    named by a string, such as `templates`, counts with all its files.
    """
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        if path.suffix == ".py":
            waiting += _named_in(ast.parse(path.read_text("utf-8")))
    return sorted(found)


def describe(script: Path) -> str:
    """Return a line per needed file: its SHA-256, its folder and its name."""
    return "".join(f"{file_digest(path)}  {path.parent.name}/{path.name}\n" for path in needed_files(script))


def _named_in(tree: ast.Module) -> list[Path]:
    files: list[Path] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                files += _module(name)
        elif isinstance(node, ast.Import):
            files += [file for alias in node.names for file in _module(alias.name)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            folder = PACKAGE / node.value
            if folder.is_dir() and not (folder / "__init__.py").exists():
                files += [file for file in folder.rglob("*") if file.is_file()]
    return files


def _module(name: str) -> list[Path]:
    """Return the files of a module; a package brings its `__init__`, the package `convnet` itself nothing."""
    first, *parts = name.split(".")
    if first != PACKAGE.name or not parts:
        return []
    module = PACKAGE.joinpath(*parts)
    return [path for path in (module.with_suffix(".py"), module / "__init__.py") if path.is_file()]
