"""Every file and module that a text of the project names exists, so that nothing searches for a place of the past."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from convnet.pipeline.code_digests import PACKAGE
from helpers.tiny_study import PROJECT

DOCUMENTS = [PROJECT / "Makefile", PROJECT / "pyproject.toml", *PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")]
CODE = [path for folder in ("src", "stages", "tests", "bench") for path in PROJECT.glob(f"{folder}/**/*.py")]
PATHS = re.compile(r"(?<![\w/.-])(?:src/convnet|stages|tests|bench|docs)/[\w/.-]*\w")
MODULES = re.compile(r"(?<![\w/.-])convnet(?:\.[a-z_0-9]+)+(?!\w)")
IN_PACKAGE = re.compile(r"convnet/[a-z_0-9/]+\.py")


def lines_of(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        yield f"{path.relative_to(PROJECT)}:{number}", line


def is_module(name: str) -> bool:
    """Whether a dotted name is a module of the package, or a name in one."""
    place, words = PACKAGE, name.split(".")[1:]
    for word in words:
        if (place / f"{word}.py").is_file():
            return True
        place /= word
        if not place.is_dir():
            return False
    return True


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_documents_name_only_files_and_modules_that_exist(document: Path) -> None:
    missing = []
    for place, line in lines_of(document):
        paths = [name for name in PATHS.findall(line) if "*" not in name and not (PROJECT / name).exists()]
        modules = [name for name in MODULES.findall(line) if not is_module(name)]
        missing += [(place, name) for name in paths + modules]
    assert missing == []


def test_code_searches_for_no_module_that_is_gone() -> None:
    missing = [
        (place, name)
        for path in [*CODE, PROJECT / "Makefile"]
        if path != Path(__file__)
        for place, line in lines_of(path)
        for name in IN_PACKAGE.findall(line)
        if not (PACKAGE.parent / name).is_file()
    ]
    assert missing == []


def test_a_removed_module_would_be_found() -> None:
    assert not is_module("convnet.device")
    assert is_module("convnet.backend.device.configure_device")
    assert PATHS.findall("see `docs/none.md`, src/convnet/device.py and pytest tests/x.py::test") == [
        *("docs/none.md", "src/convnet/device.py", "tests/x.py"),
    ]
    assert importlib.util.find_spec("convnet.backend.device") is not None
