from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_sample_weight

from convnet.models.cnn import build_head
from convnet.models.heads import choose_head, encode_labels
from convnet.params.load import load_params
from convnet.system.errors import UserError
from convnet.training.batches import (
    Batches,
    Rows,
    all_rows,
    class_weights,
    epoch_order,
    epoch_views,
    load_features,
    measure,
    predict,
    prediction_batch,
)
from convnet.training.epoch import EpochTrainer
from convnet.training.optimizers import compile_model
from helpers import tiny_study as tiny

tiny.start_keras()


def parts() -> tuple[NDArray[Any], ...]:
    generator = np.random.default_rng(0)
    return tuple(generator.integers(0, 256, (count, 2, 3)).astype(np.uint8) for count in (5, 1, 4))


@pytest.mark.parametrize("count", [1, 3])
def test_rows_are_those_of_the_joined_arrays(count: int) -> None:
    joined = np.concatenate(parts()[:count])
    index = np.random.default_rng(1).permutation(len(joined))
    rows = Rows(parts()[:count], index)
    wanted = np.array([0, len(index) - 1, 0, 2])
    assert len(rows) == len(joined)
    assert np.array_equal(rows[wanted], joined[index[wanted]])
    assert rows[wanted].dtype == np.uint8


def test_all_rows_come_in_order() -> None:
    rows = all_rows(*parts())
    assert np.array_equal(rows[np.arange(10)], np.concatenate(parts()))


def test_rows_are_read_from_disk_only_when_asked_for(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.arange(12).reshape(6, 2))
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    taken = all_rows(mapped)[np.array([4, 1])]
    assert not isinstance(taken, np.memmap)
    assert taken.tolist() == [[8, 9], [2, 3]]


def test_two_epochs_have_different_orders_of_the_same_images() -> None:
    orders = [epoch_order(50, seed=3, epoch=epoch) for epoch in (1, 2, 3)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3


def test_order_depends_on_seed_and_epoch_alone() -> None:
    assert np.array_equal(epoch_order(50, 3, 1), epoch_order(50, 3, 1))
    assert not np.array_equal(epoch_order(50, 3, 1), epoch_order(50, 4, 1))
    assert not np.array_equal(epoch_order(50, 1, 3), epoch_order(50, 3, 1))


def test_views_change_with_the_epoch_and_all_occur() -> None:
    first, second = epoch_views(200, 4, 0, 1), epoch_views(200, 4, 0, 2)
    assert set(first) == set(second) == {0, 1, 2, 3}
    assert not np.array_equal(first, second)
    assert np.array_equal(first, epoch_views(200, 4, 0, 1))


@pytest.mark.parametrize(("images", "sizes"), [(10, [4, 4, 2]), (8, [4, 4]), (3, [3]), (1, [1])])
def test_batches_hold_every_image_once(images: int, sizes: list[int]) -> None:
    order = epoch_order(images, 0, 1)
    values = np.arange(images, dtype=np.int64)[:, np.newaxis]
    batches = Batches(all_rows(values), order, 4, values.astype(np.float32), 2.0 * values[:, 0].astype(np.float32))
    found = [batches[number] for number in range(len(batches))]
    assert [len(rows) for rows, _, _ in found] == sizes
    assert [int(row[0]) for rows, _, _ in found for row in rows] == order.tolist()
    for rows, targets, weights in found:
        assert np.array_equal(rows, targets)
        assert np.array_equal(2 * rows[:, 0], weights)


def test_batches_without_targets_are_for_prediction() -> None:
    (batch,) = Batches(all_rows(np.ones((3, 2))), np.arange(3), 2)[0]
    assert batch.shape == (2, 2)


def test_predictions_come_in_row_order_whatever_the_batch() -> None:
    model = build_head(3, 4, 0.5, choose_head(3, "sparse"))
    rows = np.random.default_rng(0).normal(size=(211, 3)).astype(np.float32)
    whole = model.predict_on_batch(rows)
    predicted = predict(model, all_rows(rows))
    assert predicted.dtype == np.float32
    assert predicted == pytest.approx(whole, abs=1e-6)


def test_means_over_batches_of_unequal_size_are_those_of_sklearn() -> None:
    head = choose_head(3, "sparse")
    model = build_head(4, 5, 0.0, head)
    fit = load_params(tiny.PROJECT / "params.yaml").training
    compile_model(model, fit.model_copy(update={"optimizer": "sgd", "learning_rate": 1e-30}), head)
    rows = np.random.default_rng(0).normal(size=(211, 4)).astype(np.float32) * 3  # predicted as 100, 100 and 11
    labels = np.arange(211, dtype=np.int64) % 3
    targets = encode_labels(labels, head)
    batches = Batches(all_rows(rows), epoch_order(211, 0, 1), 80, targets)
    probabilities = model.predict_on_batch(rows).astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    steps: list[None] = []
    trainer = EpochTrainer(model)
    for _ in range(2):  # the second time, nothing of the first is left
        for means in (measure(model, all_rows(rows), targets), trainer.epoch(batches, lambda: steps.append(None))):
            assert means["loss"] == pytest.approx(log_loss(labels, probabilities), rel=1e-5)
            assert means["accuracy"] == pytest.approx(np.mean(probabilities.argmax(axis=1) == labels))
    assert len(steps) == 2 * 3


@pytest.mark.parametrize(
    ("shape", "rows"),
    [((3,), 100), ((150, 150, 3), 100), ((224, 224, 3), 100), ((300, 300, 3), 55), ((2000, 2000, 3), 1),
     ((5000, 5000, 3), 1)],
)  # fmt: skip
def test_fewer_large_images_are_predicted_at_once(shape: tuple[int, ...], rows: int) -> None:
    assert prediction_batch(shape) == rows


@pytest.mark.parametrize("labels", [[0, 0, 0, 1], [2, 0, 2, 2, 1], [0, 0], [2, 2, 0]])
def test_class_weights_are_those_of_sklearn(labels: list[int]) -> None:
    ours = class_weights(np.array(labels))
    assert ours.dtype == np.float32
    assert ours == pytest.approx(compute_sample_weight("balanced", labels), rel=1e-6)


def test_flattened_features_stay_on_disk(tmp_path: Path) -> None:
    maps = np.random.default_rng(0).normal(size=(6, 2, 3, 4)).astype(np.float16)
    np.save(tmp_path / "train.npy", maps)
    features = load_features(tmp_path, "train", "flatten")
    assert isinstance(features, np.memmap)
    assert np.array_equal(features, maps.reshape(6, 24))


def test_averaged_features_are_means_over_height_and_width(tmp_path: Path) -> None:
    maps = np.random.default_rng(0).normal(size=(300, 3, 5, 4)).astype(np.float16)
    np.save(tmp_path / "train.npy", maps)
    features = load_features(tmp_path, "train", "average")
    assert features.dtype == np.float32
    assert features == pytest.approx(maps.astype(np.float64).mean(axis=(1, 2)), abs=1e-5)


@pytest.mark.parametrize("content", [None, b"", b"\x93NUMPY", b"no array"])
def test_missing_or_damaged_features_are_one_sentence(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "train.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"train\.npy is missing or damaged"):
        load_features(tmp_path, "train", "flatten")


def test_cut_features_are_one_sentence(tmp_path: Path) -> None:
    np.save(tmp_path / "train.npy", np.ones((6, 2, 2, 4), np.float16))
    content = (tmp_path / "train.npy").read_bytes()
    (tmp_path / "train.npy").write_bytes(content[:-10])
    with pytest.raises(UserError, match="damaged"):
        load_features(tmp_path, "train", "flatten")


def test_epoch_means_are_those_of_keras_evaluate() -> None:
    """The last, smaller batch must weigh less."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(0)
    rows, targets = rng.random((110, 3)).astype(np.float32), rng.integers(2, size=(110, 1)).astype(np.float32)
    expected = model.evaluate(rows, targets, batch_size=110, verbose=0, return_dict=True)
    measured = measure(model, all_rows(rows), targets)
    assert measured == pytest.approx(expected, rel=1e-5)
    model.optimizer.learning_rate = 0.0  # weights stay, so the epoch's means are those of the weights
    steps: list[int] = []
    batches = Batches(all_rows(rows), np.arange(110), 40, targets)
    trained = EpochTrainer(model).epoch(batches, lambda: steps.append(1))
    assert trained == pytest.approx(expected, rel=1e-5)
    assert len(steps) == 3
