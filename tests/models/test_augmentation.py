"""The random affine layer: against scipy, against the course's order of moves, and in what it draws."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from scipy import ndimage

from convnet.models.augmentation import (
    RandomAffine,
    compose_matrices,
    resample,
    reset_seed_generators,
    sample_matrices,
    sample_parameters,
)
from convnet.params.training import Augmentation

OFF = Augmentation(
    rotation=0.0,
    width_shift=0.0,
    height_shift=0.0,
    shear=0.0,
    zoom=0.0,
    horizontal_flip=False,
    vertical_flip=False,
    fill="nearest",
)
COURSE: dict[str, Any] = {
    "rotation": 40.0,
    "width_shift": 0.2,
    "height_shift": 0.2,
    "shear": 0.2,
    "zoom": 0.2,
    "horizontal_flip": True,
}
COURSE_KNOBS = OFF.model_copy(update=COURSE)
SCIPY_MODES = {"nearest": "nearest", "constant": "grid-constant", "reflect": "reflect", "wrap": "grid-wrap"}
UNMOVED = {
    "rotation": 0.0,
    "width_shift": 0.0,
    "height_shift": 0.0,
    "shear": 0.0,
    "zoom_x": 1.0,
    "zoom_y": 1.0,
    "horizontal_flip": 1.0,
    "vertical_flip": 1.0,
}
MOVES = {
    "rotation": {"rotation": np.radians(33.0)},
    "width_shift": {"width_shift": -0.17},
    "height_shift": {"height_shift": 0.21},
    "shear": {"shear": 0.19},
    "zoom_x": {"zoom_x": 0.83},
    "zoom_y": {"zoom_y": 1.18},
    "horizontal_flip": {"horizontal_flip": -1.0},
    "vertical_flip": {"vertical_flip": -1.0},
    "all": {
        "rotation": np.radians(-28.0),
        "width_shift": 0.11,
        "height_shift": -0.14,
        "shear": -0.2,
        "zoom_x": 1.17,
        "zoom_y": 0.81,
        "horizontal_flip": -1.0,
        "vertical_flip": -1.0,
    },
    "far": {"width_shift": 2.4, "height_shift": -3.3, "rotation": 1.0},
}


def pictures(*shape: int) -> np.ndarray:
    """Noise: the hardest case for an interpolation."""
    return np.random.default_rng(7).integers(0, 256, shape).astype("float32")


def move(**changed: float) -> dict[str, Any]:
    return {name: ops.convert_to_tensor([value], "float32") for name, value in (UNMOVED | changed).items()}


def course_matrix(moved: dict[str, float], height: int, width: int) -> np.ndarray:
    """Compose 3x3 matrices one by one in float64, as ImageDataGenerator does; output (x, y) to source (x, y)."""
    p = UNMOVED | moved
    c, s = np.cos(p["rotation"]), np.sin(p["rotation"])
    rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    shift = np.array([[1, 0, p["width_shift"] * width], [0, 1, p["height_shift"] * height], [0, 0, 1]])
    shear = np.array([[1, p["shear"], 0], [0, 1, 0], [0, 0, 1]])
    zoom = np.diag([p["zoom_x"], p["zoom_y"], 1])
    flip = np.diag([p["horizontal_flip"], p["vertical_flip"], 1])
    to_centre = np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1]])
    return np.linalg.inv(to_centre) @ rotation @ shift @ shear @ zoom @ flip @ to_centre


def scipy_resample(image: np.ndarray, matrix: np.ndarray, fill: str) -> np.ndarray:
    """The oracle, in float64; scipy counts (row, column), the matrix (x, y)."""
    linear, offset = matrix[:2, :2][::-1, ::-1], matrix[:2, 2][::-1]
    channels = [
        ndimage.affine_transform(image[..., c].astype("float64"), linear, offset, order=1, mode=SCIPY_MODES[fill])
        for c in range(image.shape[-1])
    ]
    return np.stack(channels, axis=-1)


@pytest.mark.parametrize("fill", SCIPY_MODES)
@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize(("height", "width"), [(31, 31), (20, 47)])
def test_each_move_and_all_together_match_scipy(name: str, fill: str, height: int, width: int) -> None:
    image = pictures(1, height, width, 3)
    matrices = compose_matrices(move(**MOVES[name]), height, width)
    moved = ops.convert_to_numpy(resample(image, matrices, fill))
    expected = scipy_resample(image[0], course_matrix(MOVES[name], height, width), fill)
    # Of 255 grey levels; places are float32, so noise is off by about 1e-5 pixels times 255.
    np.testing.assert_allclose(moved[0], expected, atol=0.02)


def test_every_image_of_a_batch_is_moved_by_its_own_matrix() -> None:
    images = pictures(5, 24, 17, 3)
    matrices = sample_matrices(COURSE_KNOBS, 5, 24, 17, seed=3)
    moved = ops.convert_to_numpy(resample(images, matrices))
    for i, matrix in enumerate(ops.convert_to_numpy(matrices)):
        np.testing.assert_allclose(moved[i], scipy_resample(images[i], matrix, "nearest"), atol=0.02)


def test_the_layer_gives_what_its_matrices_say() -> None:
    images = pictures(4, 19, 26, 3)
    layer = RandomAffine(**COURSE, vertical_flip=True, fill="reflect", seed=11)
    matrices = sample_matrices(layer.knobs, 4, 19, 26, keras.random.SeedGenerator(11))
    moved = ops.convert_to_numpy(layer(images, training=True))
    for i, matrix in enumerate(ops.convert_to_numpy(matrices)):
        np.testing.assert_allclose(moved[i], scipy_resample(images[i], matrix, "reflect"), atol=0.02)


@pytest.mark.parametrize("fill", SCIPY_MODES)
def test_all_knobs_off_is_exactly_the_identity_while_training(fill: str) -> None:
    images = pictures(2, 21, 34, 3) / np.float32(255)
    assert np.array_equal(ops.convert_to_numpy(RandomAffine(fill=fill)(images, training=True)), images)


def test_flips_are_exact() -> None:
    images = pictures(1, 9, 14, 3)
    flipped = resample(images, compose_matrices(move(horizontal_flip=-1.0), 9, 14))
    assert np.array_equal(ops.convert_to_numpy(flipped), images[:, :, ::-1])
    flipped = resample(images, compose_matrices(move(vertical_flip=-1.0), 9, 14))
    assert np.array_equal(ops.convert_to_numpy(flipped), images[:, ::-1])


@pytest.mark.parametrize("arguments", [{}, {"training": False}])
def test_inference_passes_images_on_bit_for_bit(arguments: dict[str, bool]) -> None:
    images = np.random.default_rng(0).normal(size=(3, 8, 9, 3)).astype("float32")
    assert np.array_equal(ops.convert_to_numpy(RandomAffine(**COURSE)(images, **arguments)), images)


def test_parameters_keep_their_ranges_and_means() -> None:
    knobs = COURSE_KNOBS.model_copy(update={"vertical_flip": True})
    count = 20_000
    drawn = {k: ops.convert_to_numpy(v) for k, v in sample_parameters(knobs, count, seed=5).items()}
    half_width = {
        "rotation": np.radians(40),
        "width_shift": 0.2,
        "height_shift": 0.2,
        "shear": 0.2,
        "zoom_x": 0.2,
        "zoom_y": 0.2,
    }
    for name, reach in half_width.items():
        values = drawn[name] - UNMOVED[name]
        assert np.abs(values).max() <= reach + 1e-6, name
        assert np.abs(values).max() > 0.99 * reach, name
        assert abs(values.mean()) < 5 * reach / np.sqrt(3 * count), name  # 5 standard errors of a uniform mean
        assert values.std() == pytest.approx(reach / np.sqrt(3), rel=0.03), name
    for name in ("horizontal_flip", "vertical_flip"):
        assert set(np.unique(drawn[name])) == {-1.0, 1.0}
        assert abs(drawn[name].mean()) < 5 / np.sqrt(count)
    correlation = np.corrcoef(np.stack(list(drawn.values())))
    assert np.abs(correlation - np.eye(len(drawn))).max() < 5 / np.sqrt(count), "the knobs must be drawn independently"


def test_a_knob_left_off_draws_no_move() -> None:
    drawn = sample_parameters(OFF.model_copy(update={"rotation": 40.0}), 50, seed=5)
    for name in UNMOVED.keys() - {"rotation"}:
        assert np.array_equal(ops.convert_to_numpy(drawn[name]), np.full(50, UNMOVED[name], "float32"))


def test_two_images_and_two_calls_are_moved_differently() -> None:
    images = np.repeat(pictures(1, 20, 20, 3), 2, axis=0)
    layer = RandomAffine(**COURSE, seed=1)
    first = ops.convert_to_numpy(layer(images, training=True))
    second = ops.convert_to_numpy(layer(images, training=True))
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first, second)


def test_equal_seeds_draw_equally() -> None:
    images = pictures(3, 12, 12, 3)
    one, other = (ops.convert_to_numpy(RandomAffine(**COURSE, seed=9)(images, training=True)) for _ in range(2))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_resamples_in_float32_then_rounds_once(policy: str) -> None:
    images = pictures(2, 30, 22, 3)
    exact = RandomAffine(**COURSE, seed=4)(images, training=True)
    layer = RandomAffine(**COURSE, seed=4, dtype=policy)
    mixed = layer(images, training=True)
    assert keras.backend.standardize_dtype(mixed.dtype) == layer.compute_dtype
    rounded = ops.cast(ops.cast(exact, layer.compute_dtype), "float32")
    assert np.array_equal(ops.convert_to_numpy(ops.cast(mixed, "float32")), ops.convert_to_numpy(rounded))
    passed = ops.convert_to_numpy(ops.cast(layer(images), "float32"))
    assert np.array_equal(passed, images), "0..255 is exact in bfloat16 and float16"


def test_uint8_images_give_what_the_same_float_images_give() -> None:
    images = pictures(2, 16, 16, 3)
    from_float = RandomAffine(**COURSE, seed=4)(images, training=True)
    from_bytes = RandomAffine(**COURSE, seed=4)(images.astype("uint8"), training=True)
    assert np.array_equal(ops.convert_to_numpy(from_float), ops.convert_to_numpy(from_bytes))


def test_config_rebuilds_the_layer() -> None:
    layer = RandomAffine(**COURSE, vertical_flip=True, fill="wrap", seed=6, name="augment")
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert isinstance(again, RandomAffine)
    assert again.name == "augment"
    assert again.knobs == layer.knobs
    images = pictures(2, 10, 10, 3)
    assert np.array_equal(
        ops.convert_to_numpy(again(images, training=True)), ops.convert_to_numpy(layer(images, training=True))
    )


def small_model() -> keras.Model:
    inner = keras.Sequential([keras.Input((6, 6, 3)), keras.layers.Flatten(), keras.layers.Dropout(0.5)], name="inner")
    layers = [keras.Input((6, 6, 3)), RandomAffine(**COURSE), inner, keras.layers.Dense(4), keras.layers.Dropout(0.4)]
    return keras.Sequential([*layers, keras.layers.Dense(1)])


def test_saved_model_loads_and_predicts_the_same(tmp_path: Path) -> None:
    model = small_model()
    images = pictures(3, 6, 6, 3)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert np.array_equal(model.predict(images, verbose=0), again.predict(images, verbose=0))


def train_outputs(model: keras.Model, calls: int = 2) -> list[np.ndarray]:
    images = pictures(5, 6, 6, 3)
    return [ops.convert_to_numpy(model(images, training=True)) for _ in range(calls)]


def test_reset_finds_augmentation_and_nested_dropout_once_each() -> None:
    assert reset_seed_generators(small_model(), seed=0, epoch=0) == 3


def test_reset_makes_equal_draws_for_equal_seed_and_epoch() -> None:
    model = small_model()
    reset_seed_generators(model, seed=3, epoch=2)
    first = train_outputs(model)
    train_outputs(model, calls=3)  # whatever ran in between
    reset_seed_generators(model, seed=3, epoch=2)
    again = train_outputs(model)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], first[1]), "two steps of one epoch must differ"


@pytest.mark.parametrize(("seed", "epoch"), [(3, 3), (4, 2), (2, 3)])
def test_reset_makes_other_draws_for_another_seed_or_epoch(seed: int, epoch: int) -> None:
    model = small_model()
    reset_seed_generators(model, seed=3, epoch=2)
    first = train_outputs(model, calls=1)
    reset_seed_generators(model, seed=seed, epoch=epoch)
    assert not np.array_equal(first[0], train_outputs(model, calls=1)[0])


def test_reset_repeats_dropout_masks() -> None:
    dropout = keras.layers.Dropout(0.5)
    model = keras.Sequential([keras.Input((200,)), dropout])
    ones = np.ones((2, 200), "float32")
    masks = []
    for epoch in (0, 1, 0):
        reset_seed_generators(model, seed=1, epoch=epoch)
        masks.append(ops.convert_to_numpy(model(ones, training=True)))
    assert np.array_equal(masks[0], masks[2])
    assert not np.array_equal(masks[0], masks[1])


def test_reset_gives_every_state_of_a_model_its_own_stream() -> None:
    model = small_model()
    reset_seed_generators(model, seed=0, epoch=0)
    states = [tuple(ops.convert_to_numpy(v.value)) for v in model.variables if v.name == "seed_generator_state"]
    assert len(set(states)) == 3


class ResetEachEpoch(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        reset_seed_generators(self.model, 0, epoch)


def test_fit_in_one_go_equals_fit_taken_up_again_after_an_epoch() -> None:
    def fit(*spans: tuple[int, int]) -> list[np.ndarray]:
        keras.utils.set_random_seed(0)
        model = small_model()
        model.compile(keras.optimizers.SGD(1e-7), "mse")
        images = pictures(7, 6, 6, 3)  # 7 = one whole batch of 4 and one of 3
        for start, stop in spans:
            model.fit(
                images, np.arange(7.0), batch_size=4, shuffle=False, verbose=0,
                initial_epoch=start, epochs=stop, callbacks=[ResetEachEpoch()],
            )  # fmt: skip
            model(images, training=True)  # a stray draw that the reset must undo
        return [ops.convert_to_numpy(weight.value) for weight in model.trainable_variables]

    for whole, halves, one in zip(fit((0, 2)), fit((0, 1), (1, 2)), fit((0, 1)), strict=True):
        assert np.isfinite(whole).all()
        assert np.array_equal(whole, halves)
        assert not np.array_equal(whole, one), "the second epoch trains"


@pytest.mark.parametrize(
    ("knobs", "named"),
    [
        ({"rotation": -1.0}, "rotation"),
        ({"rotation": float("nan")}, "rotation"),
        ({"zoom": 1.0}, "zoom"),
        ({"width_shift": 20}, "width_shift"),
        ({"shear": "0.2"}, "shear"),
        ({"horizontal_flip": 1}, "horizontal_flip"),
        ({"fill": "mirror"}, "fill"),
    ],
)
def test_a_knob_out_of_range_is_named(knobs: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        RandomAffine(**knobs)


def test_the_config_names_every_knob_and_all_are_off_by_default() -> None:
    config = RandomAffine().get_config()
    assert {name: config[name] for name in OFF.model_dump()} == OFF.model_dump()


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("KERAS_BACKEND") == "jax", reason="this is the run with jax")
def test_jax_backend_passes_these_tests_too() -> None:
    pytest.importorskip("jax")
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-W", "ignore:__array__:DeprecationWarning", __file__],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
