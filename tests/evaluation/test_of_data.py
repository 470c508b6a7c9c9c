from pathlib import Path

import numpy as np
import pytest

from convnet.data.arrays import load_arrays
from convnet.data.splits import SPLITS
from convnet.evaluation import of_data, trivial_models
from convnet.evaluation.trivial_models import trivial_rows
from convnet.jobs import store
from convnet.system.files import read_json
from helpers.tiny_study import write_arrays


def test_trivial_numbers_are_stored_and_the_divisions_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "STORE", tmp_path / "jobs")
    arrays = tmp_path / "arrays"
    write_arrays(arrays)
    train, validation, test = ((part.images, part.labels) for part in (load_arrays(arrays, name) for name in SPLITS))
    classes = read_json(arrays / "dataset.json")["classes"]
    expected = [row.model_dump() for row in trivial_rows(train, validation, test, classes)]
    assert of_data.trivial_numbers(arrays) == expected
    counts = np.cumsum([0, *(len(part[1]) for part in (train, validation, test))])
    divided = {name: np.arange(counts[i], counts[i + 1]) for i, name in enumerate(SPLITS)}
    by_seed = of_data.trivial_numbers(arrays, [divided, divided])
    assert by_seed[0]["test_predictions"] == 2 * expected[0]["test_predictions"]
    monkeypatch.setattr(trivial_models, "trivial_rows", None)
    monkeypatch.setattr(trivial_models, "trivial_rows_by_seed", None)
    assert of_data.trivial_numbers(arrays) == expected  # from the store
    with pytest.raises(TypeError):
        of_data.trivial_numbers(arrays, [divided])
