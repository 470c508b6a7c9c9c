"""What a source file imports from this project, read from its syntax tree."""

import ast
from pathlib import Path

PROJECT = Path(__file__).parents[1]
PACKAGE = PROJECT / "src" / "convnet"


def imported_files(source: Path) -> set[str]:
    """Return the project's files that `source` needs, itself included, directly or not, relative to the project."""
    found: set[Path] = set()
    waiting = [source]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        waiting += [file for name in _imported_names(path) for file in _files(name)]
    return {str(path.relative_to(PROJECT)) for path in found}


def _imported_names(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name.split(".")[0] == "convnet"}


def _files(name: str) -> list[Path]:
    """Return the files of a module; a package brings its `__init__`, the package `convnet` itself nothing."""
    parts = name.split(".")[1:]
    if not parts:
        return []
    module = PACKAGE.joinpath(*parts)
    return [path for path in (module.with_suffix(".py"), module / "__init__.py") if path.is_file()]
