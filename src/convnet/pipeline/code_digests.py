"""The source files that each stage's script needs, so that a change of the code runs only the stages it concerns.

Packages count for nothing: every `__init__` is a docstring and nothing else, and a test holds that.
"""

import ast
from pathlib import Path

from convnet.system.files import file_digest

PACKAGE = Path(__file__).parents[1]


def needed_files(script: Path) -> list[Path]:
    """Return the files of this project that `script` needs, directly or not, itself included, sorted.

    Imports are read from syntax trees, without importing. A folder beside the importing module that is not a package,
    such as `templates`, counts with all its files where a string in the module names it. A package that a module
    imports by itself, as in `from convnet import remedies`, counts with all its modules.
    """
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            if path.suffix == ".py":
                waiting += _named_in(ast.parse(path.read_text("utf-8")), path.parent)
    return sorted(found)


def describe(script: Path) -> str:
    """Return a line per needed file: its SHA-256 and its path below `src`, or below the folder of `stages`."""
    lines = []
    for path in needed_files(script):
        root = PACKAGE.parent if path.is_relative_to(PACKAGE) else path.parents[1]
        lines.append(f"{file_digest(path)}  {path.relative_to(root).as_posix()}\n")
    return "".join(lines)


def _named_in(tree: ast.Module, folder: Path) -> list[Path]:
    files: list[Path] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            files += [file for name in (node.module, *names) for file in _module(name)]
            files += [file for name in names for file in _package(name)]
        elif isinstance(node, ast.Import):
            files += [file for alias in node.names for file in _module(alias.name)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            beside = folder / node.value
            if beside.is_dir() and not (beside / "__init__.py").exists():
                files += [file for file in beside.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    return files


def _package(name: str) -> list[Path]:
    """Return the modules of a package of this project; none for a module."""
    first, *parts = name.split(".")
    folder = PACKAGE.joinpath(*parts)
    whole = first == PACKAGE.name and parts and (folder / "__init__.py").is_file()
    return sorted(folder.rglob("*.py")) if whole else []


def _module(name: str) -> list[Path]:
    """Return the file of a module of this project; none for a package."""
    first, *parts = name.split(".")
    path = PACKAGE.joinpath(*parts).with_suffix(".py")
    return [path] if first == PACKAGE.name and parts and path.is_file() else []
