"""The files a stage's script needs, against what Python really imports."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from convnet.pipeline.code_digests import PACKAGE, describe, needed_files
from helpers.clones import Clone
from helpers.tiny_study import PROJECT

# Runs a script's imports, with those inside functions too, and prints the project's files among what was loaded.
LOADED = """
import ast, importlib, json, runpy, sys
from pathlib import Path

runpy.run_path(sys.argv[1], run_name="imported")
package = Path(sys.argv[2])
while True:
    before = len(sys.modules)
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if path and Path(path).is_relative_to(package):
            for node in ast.walk(ast.parse(Path(path).read_text())):
                if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("convnet"):
                    importlib.import_module(node.module)
    if len(sys.modules) == before:
        break
files = {m.__file__ for m in sys.modules.values() if getattr(m, "__file__", None)}
print(json.dumps(sorted(f for f in files if Path(f).is_relative_to(package) and Path(f).parent != package.parent)))
"""


@pytest.mark.parametrize("name", ["download", "split", "evaluate", "best", "compare", "report"])
def test_needed_files_are_what_python_loads(name: str) -> None:
    script = PROJECT / "stages" / f"{name}.py"
    done = subprocess.run([sys.executable, "-c", LOADED, script, PACKAGE], capture_output=True, text=True, check=True)
    loaded = {Path(path) for path in json.loads(done.stdout)} - set(PACKAGE.rglob("__init__.py"))
    assert {path for path in needed_files(script) if path.suffix == ".py"} - {script} == loaded


def test_imports_inside_functions_count() -> None:
    assert PACKAGE / "training" / "train.py" in needed_files(PROJECT / "stages" / "train.py")


def test_templates_count_for_what_loads_them() -> None:
    templates = set((PACKAGE / "report" / "templates").iterdir())
    assert templates <= set(needed_files(PROJECT / "stages" / "report.py"))
    assert not templates & set(needed_files(PROJECT / "stages" / "split.py"))


def test_changed_file_changes_the_lists_that_hold_it_and_no_other(clone: Clone) -> None:
    def lists() -> dict[str, str]:
        shutil.rmtree(clone.path / "data" / "source_code", ignore_errors=True)
        clone.run(sys.executable, "stages/source_code.py", "src/convnet", "stages", "data/source_code")
        return {path.stem: path.read_text() for path in (clone.path / "data" / "source_code").iterdir()}

    before = lists()
    assert set(before) == {path.stem for path in (PROJECT / "stages").glob("*.py")}
    with (clone.path / "src" / "convnet" / "report" / "drawing.py").open("a") as file:
        file.write("\n# changed\n")
    after = lists()
    assert {name for name in before if before[name] != after[name]} == {"look", "report"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=lambda path: path.parent.name)
def test_package_is_a_docstring_and_nothing_else(path: Path) -> None:
    # So a package costs no import, and its `__init__` needs no place in the lists.
    (statement,) = ast.parse(path.read_text("utf-8")).body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Constant)


def test_lists_name_every_file_once() -> None:
    names = [line.split("  ")[1] for line in describe(PROJECT / "stages" / "report.py").splitlines()]
    assert len(names) == len(set(names))
    assert "convnet/report/templates/report.html.j2" in names


def test_list_can_be_read() -> None:
    digest, name = describe(PROJECT / "stages" / "source_code.py").splitlines()[-1].split("  ")
    assert (len(digest), name) == (64, "stages/source_code.py")
