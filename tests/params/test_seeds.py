"""seeds.yaml: more seeds for some variants, and what it refuses."""

from pathlib import Path

import pytest
import yaml

from convnet.params.load import load_params
from convnet.params.seeds import raised, write_numbers
from convnet.system.errors import UserError
from helpers import tiny_study as tiny


def load(folder: Path, text: str | None) -> tuple[int, ...]:
    """Return the seeds of the baseline of tiny, whose run has seed 0."""
    tiny.write_params(folder, {"run.seeds": [4, 2]})
    if text is not None:
        (folder / "seeds.yaml").write_text(text, "utf-8")
    return load_params(folder / "params.yaml").seeds_of("tiny", "baseline")


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        (None, (4, 2)),
        ("# nothing\n{}\n", (4, 2)),
        ("", (4, 2)),
        ("tiny: {transfer: 3}\n", (4, 2)),
        ("tiny: {baseline: 1}\n", (4, 2)),
        ("tiny: {baseline: 5}\n", (4, 2, 5, 6, 7)),
    ],
)
def test_number_adds_seeds_behind_those_of_the_run(tmp_path: Path, text: str | None, seeds: tuple[int, ...]) -> None:
    assert load(tmp_path, text) == seeds


def test_folds_are_as_many_as_seeds_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "seeds.yaml").write_text("tiny: {baseline: 9}\n", "utf-8")
    tiny.write_params(tmp_path, {"run.seeds": [4, 2, 3], "run.split": "folds"})
    assert load_params(tmp_path / "params.yaml").seeds_of("tiny", "baseline") == (4, 2, 3)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("tiny: {baseline: 0}\n", r"seeds.yaml: tiny.baseline is 0; write dataset: variant: number, 1 or more"),
        ("tiny: {baseline: '5'}\n", "tiny.baseline is '5'"),
        ("tiny: 5\n", "tiny is 5"),
        ("- 5\n", r"the file is \[5\]"),
        ("tiny: {baseline: 5\n", "not valid YAML"),
        ("tini: {baseline: 5}\n", "names 'tini', which is not defined; did you mean 'tiny'?"),
        ("tiny: {baselin: 5}\n", "tiny names 'baselin', which is not defined; did you mean 'baseline'?"),
        ("tiny: {fine_tune: 5}\n", "fine_tune of tiny has 5 seeds, but it starts from transfer, which has 2"),
    ],
)
def test_wrong_file_is_refused_in_one_sentence(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(UserError, match=fault.replace("?", r"\?")) as caught:
        load(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_written_numbers_are_read_again_and_never_fall(tmp_path: Path) -> None:
    numbers = raised({"tiny": {"baseline": 5}}, {("tiny", "baseline"): 3, ("tiny", "dropout"): 3})
    assert numbers == {"tiny": {"baseline": 5, "dropout": 3}}
    write_numbers(numbers, tmp_path / "seeds.yaml")
    assert yaml.safe_load((tmp_path / "seeds.yaml").read_text("utf-8")) == numbers
    tiny.write_params(tmp_path)
    assert load_params(tmp_path / "params.yaml").numbers == numbers
    write_numbers({}, tmp_path / "seeds.yaml")
    committed = (tiny.PROJECT / "seeds.yaml").read_text("utf-8")
    assert (tmp_path / "seeds.yaml").read_text("utf-8").splitlines()[0] == committed.splitlines()[0]
