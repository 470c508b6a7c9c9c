"""Which source files each stage's script needs, so that a change of the code runs again just what it concerns.

`dvc.yaml` could list every file of every stage instead, and did: dvc.lock, which DVC reads and writes around each
stage, was then seven times as long, and every import had to be written down by hand.
"""

import ast
from pathlib import Path

from convnet.system.files import file_digest

PACKAGE = Path(__file__).parents[1]


def needed_files(script: Path) -> list[Path]:
    """Return the files of this project that `script` needs, itself included, directly or not; modules in order of name.

    Imports are read from syntax trees, without importing. A folder that is not a package, lies beside the importing
    module and is named by a string there, such as `templates`, counts with all its files.
    """
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        if path.suffix == ".py":
            waiting += _named_in(ast.parse(path.read_text("utf-8")), path.parent)
    return sorted(found)


def describe(script: Path) -> str:
    """Return a line per needed file: its SHA-256 and its path below `src` or beside `stages`."""
    return "".join(f"{file_digest(path)}  {_shown(path)}\n" for path in needed_files(script))


def _named_in(tree: ast.Module, folder: Path) -> list[Path]:
    files: list[Path] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                files += _module(name)
        elif isinstance(node, ast.Import):
            files += [file for alias in node.names for file in _module(alias.name)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            beside = folder / node.value
            if beside.is_dir() and not (beside / "__init__.py").exists():
                files += [file for file in beside.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    return files


def _module(name: str) -> list[Path]:
    """Return the file of a module; a package brings nothing, since its `__init__` is a docstring and nothing else."""
    first, *parts = name.split(".")
    path = PACKAGE.joinpath(*parts).with_suffix(".py")
    return [path] if first == PACKAGE.name and parts and path.is_file() else []


def _shown(path: Path) -> str:
    root = PACKAGE.parent if path.is_relative_to(PACKAGE) else path.parents[1]
    return path.relative_to(root).as_posix()
