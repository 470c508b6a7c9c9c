"""What trains beside what is saved: the same weights, outputs and gradients.

They are the same bit by bit; behind batch normalisation up to rounding.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from numpy.typing import NDArray

from convnet.models.backbones import build_source_classifier
from convnet.models.cnn import Parts, build_cnn, build_head
from convnet.models.heads import choose_head
from convnet.models.trainee import make_trainee
from convnet.params.training import Network
from convnet.remedies.lean import REMEDY as LEAN
from convnet.remedies.spatial_dropout import REMEDY as SPATIAL_DROPOUT
from helpers.tiny_study import start_keras

start_keras()

SIDE, SEED = 42, 3
HEAD = choose_head(2, "sparse")
REMEDIES = {"plain": None, "lean": LEAN, "spatial_dropout": SPATIAL_DROPOUT}


@pytest.fixture(params=["float32", "mixed_bfloat16"])
def policy(request: pytest.FixtureRequest) -> Iterator[str]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


def cnn(remedy: str) -> keras.Model:
    keras.utils.set_random_seed(SEED)
    parts, found = Parts(), REMEDIES[remedy]
    if found:
        assert found.settings is not None
        assert found.network is not None
        parts = found.network(found.settings(), parts)
    return build_cnn((SIDE, SIDE), Network(filters=(8, 16, 32), dense=64), 0.5, HEAD, parts)


def source() -> keras.Model:
    keras.utils.set_random_seed(SEED)
    return build_source_classifier((SIDE, SIDE), (4, 8), 2)


def images() -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    rng = np.random.default_rng(SEED)
    return rng.integers(0, 256, (6, SIDE, SIDE, 3), np.uint8), np.array([[0, 1, 0, 1, 1, 0]], np.float32).T


def weights_after_training(model: keras.Model, shown: keras.Model) -> list[NDArray[Any]]:
    """Return the weights of `shown` after `model` trained four steps."""
    model.compile(optimizer="rmsprop", loss=HEAD.loss, jit_compile=False)
    for _ in range(4):
        model.train_on_batch(*images())
    return [np.asarray(keras.ops.convert_to_numpy(variable)) for variable in shown.variables]


@pytest.mark.parametrize("remedy", ["plain", "spatial_dropout"])
def test_training_gives_the_bits_of_the_saved_network(policy: str, remedy: str) -> None:
    assert keras.config.dtype_policy().name == policy
    usual = cnn(remedy)
    start = [variable.numpy().copy() for variable in usual.variables]
    expected = weights_after_training(usual, usual)
    saved = cnn(remedy)
    found = weights_after_training(make_trainee(saved), saved)
    assert not all(np.array_equal(before, after) for before, after in zip(start, found, strict=True))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("build", [lambda: cnn("lean"), source], ids=["lean", "backbone"])
def test_a_step_behind_batch_normalisation_is_the_same_up_to_rounding(
    policy: str, build: Callable[[], keras.Model]
) -> None:
    pixels, labels = images()
    of_classes = np.concatenate([1 - labels, labels], axis=1)
    changes = []
    for form in (lambda model: model, make_trainee):
        saved = build()
        before = [variable.numpy() for variable in saved.variables]
        trainee = form(saved)
        one_unit = saved.output_shape[-1] == 1
        trainee.compile(optimizer=keras.optimizers.SGD(0.1), loss=HEAD.loss, jit_compile=False)
        trainee.train_on_batch(pixels, labels if one_unit else of_classes)
        changes.append([variable.numpy() - start for variable, start in zip(saved.variables, before, strict=True)])
        moved = {variable.name for variable, change in zip(saved.variables, changes[-1], strict=True) if change.any()}
        assert moved >= {"kernel", "gamma", "beta", "moving_mean", "moving_variance"}
    allowed = 0.03 if policy == "mixed_bfloat16" else 1e-4  # bfloat16 has 8 bits
    for variable, usual, found in zip(saved.variables, *changes, strict=True):
        np.testing.assert_allclose(found, usual, rtol=0, atol=allowed * np.abs(usual).max(), err_msg=variable.path)


def test_frozen_batch_normalisation_keeps_its_statistics() -> None:
    results = []
    for form in (lambda model: model, make_trainee):
        saved = cnn("lean")
        for number in (1, 2, 3):
            saved.get_layer(f"norm{number}").trainable = False
        results.append(weights_after_training(form(saved), saved))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("remedy", REMEDIES)
def test_outputs_are_the_same(policy: str, remedy: str) -> None:
    assert keras.config.dtype_policy().name == policy
    saved = cnn(remedy)
    outputs, expected = (model.predict_on_batch(images()[0]) for model in (make_trainee(saved), saved))
    np.testing.assert_array_equal(outputs, expected)


def test_every_relu_comes_after_its_pooling() -> None:
    """Or the tests above would compare a network with itself."""
    trainee = make_trainee(cnn("plain"))
    rectified = keras.Model(trainee.input, [layer.output for layer in trainee.layers[2:-4]])
    for layer, maps in zip(trainee.layers[2:-4], rectified.predict_on_batch(images()[0]), strict=True):
        assert (maps.min() < 0) == layer.name.startswith("conv"), layer.name


def test_layers_have_their_names_and_order() -> None:
    saved = cnn("lean")
    trainee = make_trainee(saved)
    assert [layer.name for layer in trainee.layers] == [layer.name for layer in saved.layers]
    assert [id(variable) for variable in trainee.variables] == [id(variable) for variable in saved.variables]


def test_a_relu_whose_maps_have_another_use_stays() -> None:
    inputs = keras.Input((8, 8, 3))
    maps = layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    joined = layers.Concatenate()([layers.Flatten()(maps), layers.Flatten()(layers.MaxPooling2D(2)(maps))])
    trainee = make_trainee(keras.Model(inputs, joined))
    assert trainee.predict_on_batch(np.random.default_rng(0).normal(size=(2, 8, 8, 3))).min() == 0


def test_head_on_features(policy: str) -> None:
    """Features are float32, and a layer of bfloat16 casts them."""
    assert keras.config.dtype_policy().name == policy
    features = np.random.default_rng(0).random((8, 96)).astype(np.float32)
    labels = np.tile(np.float32([[0], [1]]), (4, 1))
    results = []
    for form in (lambda model: model, make_trainee):
        keras.utils.set_random_seed(0)
        head = build_head(96, 64, 0.2, HEAD)
        trainee = form(head)
        trainee.compile(optimizer="adam", loss=HEAD.loss, jit_compile=False)
        for _ in range(3):
            trainee.train_on_batch(features, labels)
        results.append([variable.numpy() for variable in head.variables])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
