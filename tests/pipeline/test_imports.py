"""Commands that train nothing must not pay for loading TensorFlow."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

# These build or train models; everything else, and whatever is added, must be light.
HEAVY_PACKAGES = {"analysis", "backend", "features", "models", "training"}
HEAVY_STAGES = {"features", "look"}

LIGHT_MODULES = sorted(
    ".".join(path.relative_to(PROJECT / "src").with_suffix("").parts).removesuffix(".__init__")
    for path in (PROJECT / "src" / "convnet").rglob("*.py")
    if not HEAVY_PACKAGES & set(path.relative_to(PROJECT).parts)
)
STAGES = sorted((PROJECT / "stages").glob("*.py"))
LIGHT_STAGES = [path for path in STAGES if path.stem not in HEAVY_STAGES]

# Run in a new interpreter: imports one after the other and prints which heavy libraries each was the first to load.
PROBE = """
import runpy, sys
for name in sys.argv[1:]:
    before = set(sys.modules)
    # Any name but __main__, so that a stage is imported and not started.
    runpy.run_path(name, run_name="stage") if name.endswith(".py") else __import__(name)
    print(name, *sorted({"keras", "tensorflow"} & (set(sys.modules) - before)), sep="\\t")
"""


def first_loaders(names: list[str], folder: Path = PROJECT) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *names], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {name: libraries for name, *libraries in (line.split("\t") for line in done.stdout.splitlines())}


@pytest.fixture(scope="module")
def loaded() -> dict[str, list[str]]:
    return first_loaders([*LIGHT_MODULES, *map(str, LIGHT_STAGES)])


@pytest.mark.parametrize("module", LIGHT_MODULES)
def test_module_does_not_load_keras(module: str, loaded: dict[str, list[str]]) -> None:
    assert loaded[module] == []


@pytest.mark.parametrize("stage", LIGHT_STAGES, ids=lambda path: path.stem)
def test_stage_does_not_load_keras(stage: Path, loaded: dict[str, list[str]]) -> None:
    assert loaded[str(stage)] == []


def test_indirect_import_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "keras.py").touch()
    (tmp_path / "between.py").write_text("import keras")
    (tmp_path / "upper.py").write_text("import between")
    assert first_loaders(["json", "upper"], tmp_path) == {"json": [], "upper": ["keras"]}


@pytest.mark.parametrize("stage", STAGES, ids=lambda path: path.stem)
def test_stage_imports_no_stage(stage: Path) -> None:
    names = {path.stem for path in STAGES}
    tree = ast.parse(stage.read_text("utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name.split(".")[0] for name in imported} & (names | {"stages"})
