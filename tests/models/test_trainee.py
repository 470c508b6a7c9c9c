"""What trains beside what is saved: the same weights, outputs and gradients, bit by bit."""

from collections.abc import Iterator
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


@pytest.mark.parametrize("remedy", REMEDIES)
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


def test_backbone_inside_a_network_trains_to_the_same_bits(policy: str) -> None:
    assert keras.config.dtype_policy().name == policy
    pixels, labels = images()
    results = []
    for form in (lambda model: model, make_trainee):
        saved = source()
        trainee = form(saved)
        trainee.compile(optimizer="adam", loss="sparse_categorical_crossentropy", jit_compile=False)
        for _ in range(4):
            trainee.train_on_batch(pixels, labels)
        results.append([variable.numpy() for variable in saved.variables])
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
