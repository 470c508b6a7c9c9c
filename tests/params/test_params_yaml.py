"""params.yaml stays as DVC writes it, so that `dvc exp run -S` changes one line."""

import difflib
import shutil
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from convnet.params.load import load_params

PARAMS = Path(__file__).parents[2] / "params.yaml"


def changed_lines(folder: Path, *overrides: str) -> list[str]:
    """Return the lines that `dvc exp run -S` removes and adds, by the function that it calls."""
    path = folder / "params.yaml"
    shutil.copy(PARAMS, path)
    apply_overrides(str(path), list(overrides))
    before, after = PARAMS.read_text("utf-8").splitlines(), path.read_text("utf-8").splitlines()
    load_params(path)
    return [line for line in difflib.ndiff(before, after) if line[:2] in ("- ", "+ ")]


def test_unchanged_value_changes_nothing(tmp_path: Path) -> None:
    assert changed_lines(tmp_path, "run.split=fixed") == []


@pytest.mark.parametrize(
    ("override", "lines"),
    [
        ("training.epochs=41", ["-   epochs: 40 # augmented networks still improve at 20",
                                "+   epochs: 41 # augmented networks still improve at 20"]),
        ("run.seeds=[0,1]", ["-   - 2"]),
        ("run.datasets=[cats_vs_dogs]", ["+   - cats_vs_dogs", "-   - pets", "-   - hands"]),
        ("split.strict=true", ["-   strict: false # true: a rejected file stops the run",
                               "+   strict: true  # true: a rejected file stops the run"]),
        ("engine.address=10.0.0.5:6379",
         ["-   address: # ray: 10.0.0.5:6379; blank starts a Ray on this machine for the time of the run",
          "+   address: 10.0.0.5:6379 # ray: 10.0.0.5:6379; blank starts a Ray on this machine for the time of the run"]),  # noqa: E501
        ("variants.dropout.dropout=0.3", ["-   dropout: {dropout: 0.5}", "+   dropout: {dropout: 0.3}"]),
        ("+variants.dropout.epochs=5", ["-   dropout: {dropout: 0.5}", "+   dropout: {dropout: 0.5, epochs: 5}"]),
        ("backbones.inception_v3.last_layer=mixed5", ["-     last_layer: mixed7", "+     last_layer: mixed5"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_one_change_is_one_line(tmp_path: Path, override: str, lines: list[str]) -> None:
    assert changed_lines(tmp_path, override) == lines


def test_whole_new_variant_is_its_lines(tmp_path: Path) -> None:
    changed = changed_lines(tmp_path, "+variants.cosine={learning_rate_schedule: cosine, dropout: 0.3}")
    assert changed == ["+   cosine:", "+     learning_rate_schedule: cosine", "+     dropout: 0.3"]
