import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from convnet.backend.steps import _JaxSteps
from convnet.models.augmentation import reset_seed_generators
from convnet.models.cnn import build_cnn
from convnet.models.heads import choose_head, encode_labels
from convnet.models.transfer import with_augmentation
from convnet.params.load import load_params
from convnet.params.training import Augmentation, Network
from convnet.training import epoch as executions
from convnet.training.batches import Batches, all_rows, epoch_order
from convnet.training.epoch import EpochTrainer
from convnet.training.optimizers import compile_model
from helpers import tiny_study as tiny

tiny.start_keras()

FIT = load_params(tiny.PROJECT / "params.yaml").training
IMAGES, BATCH = 107, 10
MOVES = Augmentation(
    rotation=40.0, width_shift=0.2, height_shift=0.2, shear=0.2, zoom=0.2, horizontal_flip=True, vertical_flip=False,
    fill="nearest",
)  # fmt: skip


def compiled(classes: int = 3, *, augmented: bool = False, optimizer: str = "rmsprop") -> keras.Model:
    """A small CNN with dropout, always the same."""
    keras.utils.set_random_seed(0)
    head = choose_head(classes, "sparse")
    model = build_cnn((20, 24), Network(filters=(4, 8), dense=16), 0.3, head)
    if augmented:
        model = with_augmentation(model, MOVES, 0)
    compile_model(model, FIT.model_copy(update={"optimizer": optimizer}), head)
    model.optimizer.build(model.trainable_variables)
    return model


def material(classes: int = 3, *, weighted: bool = False, epoch: int = 1) -> Batches:
    rng = np.random.default_rng(0)
    pictures = rng.integers(256, size=(IMAGES, 20, 24, 3), dtype=np.uint8)
    targets = encode_labels(rng.integers(classes, size=IMAGES), choose_head(classes, "sparse"))
    weights = rng.random(IMAGES).astype(np.float32) if weighted else None
    return Batches(all_rows(pictures), epoch_order(IMAGES, 0, epoch), BATCH, targets, weights)


def step_by_step(model: keras.Model, batches: Batches) -> dict[str, float]:
    """The oracle: Keras, a batch at a time."""
    told = [(len(batch[0]), model.train_on_batch(*batch, return_dict=True)) for batch in map(batches.__getitem__,
            range(len(batches)))]  # fmt: skip
    return {
        name: sum(float(logs[name]) * images for images, logs in told) / sum(images for images, _ in told)
        for name in ("accuracy", "loss")
    }


def run(model: keras.Model, epoch: Callable[[Batches], dict[str, float]], **knobs: Any) -> tuple[list[Any], Any]:
    logs = []
    for number in (1, 2):
        reset_seed_generators(model, 0, number)
        logs.append(epoch(material(epoch=number, **knobs)))
    return logs, [keras.ops.convert_to_numpy(variable) for variable in [*model.variables, *model.optimizer.variables]]


def same_bits(some: list[NDArray[Any]], others: list[NDArray[Any]]) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(some, others, strict=True))


@pytest.mark.parametrize(
    ("built", "knobs"),
    [
        ({}, {}),
        ({"augmented": True}, {}),
        ({"classes": 2}, {"classes": 2}),
        ({"optimizer": "adam"}, {"weighted": True}),
    ],
    ids=["dropout", "augmented", "two classes", "adam and weights"],
)
def test_several_steps_at_once_give_the_bits_of_keras_own_steps(
    monkeypatch: pytest.MonkeyPatch, built: dict[str, Any], knobs: dict[str, Any]
) -> None:
    oracle = compiled(**built)
    expected, weights = run(oracle, lambda batches: step_by_step(oracle, batches), **knobs)
    assert not same_bits(weights, run(compiled(**built), lambda _: {}, **knobs)[1])  # it did learn
    for seconds in (0.0, 1e-3, 1e9):  # single steps, some, as many as may be
        monkeypatch.setattr(executions, "SECONDS_AT_ONCE", seconds)
        trainer, ticks = EpochTrainer(ours := compiled(**built)), itertools.count()
        logs, found = run(ours, partial(trainer.epoch, tick=ticks.__next__), **knobs)
        if "augmented" in built and seconds == 0.0:
            # XLA compiles the moves for batches of any size here, which rounds them otherwise.
            assert [pytest.approx(of_epoch, rel=1e-4) for of_epoch in logs] == expected
            expected, weights = logs, found
        assert logs == expected
        assert same_bits(found, weights)
        assert next(ticks) == 2 * 11


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="about JAX")
@pytest.mark.parametrize("built", [{}, {"augmented": True}], ids=["dropout", "augmented"])
def test_loop_in_a_compiled_function_gives_what_keras_own_steps_give(
    monkeypatch: pytest.MonkeyPatch, built: dict[str, Any]
) -> None:
    """On a CPU it is not used, since it is slow there; XLA rounds otherwise inside a loop."""
    oracle = compiled(**built, optimizer="sgd")
    expected, weights = run(oracle, lambda batches: step_by_step(oracle, batches))
    many: list[Any] = []
    for seconds in (0.0, 1e9):
        monkeypatch.setattr(executions, "SECONDS_AT_ONCE", seconds)
        trainer = EpochTrainer(ours := compiled(**built, optimizer="sgd"), _JaxSteps(ours))
        logs, found = run(ours, partial(trainer.epoch, tick=int))
        assert [pytest.approx(of_epoch, rel=1e-4) for of_epoch in logs] == expected
        assert all(one == pytest.approx(other, abs=1e-4) for one, other in zip(found, weights, strict=True))
        many.append(found)
    assert same_bits(*many)


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() == "jax", reason="this is the run with jax")
def test_jax_backend_passes_these_tests_too() -> None:
    pytest.importorskip("jax")
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    run_again = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(run_again, env=environment, cwd=tiny.PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def steps_of_calls(monkeypatch: pytest.MonkeyPatch, trainer: EpochTrainer) -> list[int]:
    """Run an epoch and return how many steps each call had."""
    batches, seen = material(), []
    stack = batches.stack
    monkeypatch.setattr(batches, "stack", lambda first, count: (seen.append(count), stack(first, count))[1])
    trainer.epoch(batches, lambda: None)
    return seen


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="on a CPU, JAX takes single steps")
def test_calls_grow_to_the_time_and_the_memory_they_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executions, "SECONDS_AT_ONCE", 1e9)
    counts: list[list[int]] = []
    whole = 20 * 24 * 3 * BATCH  # bytes of a batch
    for most_bytes in (100 * whole, 3 * whole, whole - 1):
        monkeypatch.setattr(executions, "MOST_BYTES", most_bytes)
        counts.append(steps_of_calls(monkeypatch, EpochTrainer(compiled())))
    # The eleventh batch has 7 images and goes alone.
    assert counts == [[1, 2, 4, 3, 1], [1, 2, 3, 3, 1, 1], [1] * 11]


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="on a CPU, JAX takes single steps")
def test_after_the_smaller_batch_an_epoch_goes_on_with_as_many_steps_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executions, "SECONDS_AT_ONCE", 1e9)
    trainer = EpochTrainer(compiled())
    trainer.epoch(material(), lambda: None)
    assert steps_of_calls(monkeypatch, trainer) == [10, 1]


def test_set_smaller_than_a_batch_is_one_step() -> None:
    pictures = np.zeros((3, 20, 24, 3), np.uint8)
    targets = encode_labels(np.arange(3), choose_head(3, "sparse"))
    ticks: list[None] = []
    batches = Batches(all_rows(pictures), np.arange(3, dtype=np.int64), 10, targets)
    logs = EpochTrainer(compiled()).epoch(batches, lambda: ticks.append(None))
    assert np.isfinite(logs["loss"])
    assert len(ticks) == 1
