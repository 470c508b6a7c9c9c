from pathlib import Path

import numpy as np
import pytest

from convnet.data.splits import SPLITS
from convnet.jobs.predictions import Prediction, Predictions, load_predictions, save_predictions
from convnet.system.errors import UserError


def predictions(seed: int, classes: int = 3) -> Predictions:
    generator = np.random.default_rng([seed])
    by_split = {}
    for number, split in enumerate(SPLITS):
        images = 5 + number
        scores = generator.random((images, classes)).astype(np.float32)
        probabilities = scores / scores.sum(axis=1, keepdims=True)
        labels = generator.integers(classes, size=images)
        by_split[split] = Prediction(probabilities, labels, np.arange(images, dtype=np.int64))
    return by_split


def test_predictions_come_back_bit_for_bit(tmp_path: Path) -> None:
    by_seed = {seed: predictions(seed) for seed in (0, 12)}
    save_predictions(tmp_path / "predictions.npz", by_seed)
    found = load_predictions(tmp_path / "predictions.npz")
    assert sorted(found) == [0, 12]
    for seed, splits in by_seed.items():
        assert tuple(found[seed]) == SPLITS
        for split, prediction in splits.items():
            for field in ("probabilities", "labels", "index"):
                ours, theirs = getattr(found[seed][split], field), getattr(prediction, field)
                assert ours.dtype == theirs.dtype
                assert np.array_equal(ours, theirs)


def test_predicted_class_survives_where_rounding_makes_a_tie() -> None:
    probabilities = np.array([[0.49999997, 0.50000003], [0.75, 0.25]], dtype=np.float32)
    prediction = Prediction(probabilities, np.array([1, 0]), np.arange(2))
    assert np.round(probabilities, 6).argmax(axis=1).tolist() == [0, 0]
    assert prediction.predicted.tolist() == [1, 0]


def test_names_in_the_file_are_those_of_the_contract(tmp_path: Path) -> None:
    save_predictions(tmp_path / "predictions.npz", {7: predictions(7)})
    with np.load(tmp_path / "predictions.npz") as file:
        assert sorted(file.files) == sorted(
            f"seed-7/{split}/{field}" for split in SPLITS for field in ("probabilities", "labels", "index")
        )
        assert file["seed-7/test/probabilities"].dtype == np.float32


def test_equal_predictions_give_equal_bytes_whatever_the_order(tmp_path: Path) -> None:
    save_predictions(tmp_path / "a.npz", {0: predictions(0), 1: predictions(1)})
    save_predictions(tmp_path / "b.npz", {1: predictions(1), 0: predictions(0)})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.npz is missing or damaged"):
        load_predictions(tmp_path / "none.npz")


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, -1])
def test_cut_file_is_one_sentence(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "predictions.npz"
    save_predictions(path, {0: predictions(0)})
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept == 0.5 else int(kept)])
    with pytest.raises(UserError, match=r"predictions\.npz is missing or damaged"):
        load_predictions(path)


def test_flipped_bit_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "predictions.npz"
    save_predictions(path, {0: predictions(0)})
    content = bytearray(path.read_bytes())
    place = content.index(np.ascontiguousarray(predictions(0)["test"].probabilities).tobytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        load_predictions(path)
