"""Augmentation: every image is moved by one random affine resampling, in a layer or on a batch.

The knobs and their order of composition are those of the course's `ImageDataGenerator`; unlike there, the images are
moved on the training device, a batch at a time, and `shear` is a proportion (there it is read as degrees).
"""

import math
import zlib
from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from convnet.backend.xla import fuse
from convnet.params.training import Augmentation

# The columns of one draw, each uniform in [-1, 1) before it is scaled by its knob.
DRAWS = ("rotation", "width_shift", "height_shift", "shear", "zoom_x", "zoom_y", "horizontal_flip", "vertical_flip")


def sample_parameters(knobs: Augmentation, batch: Any, seed: Any) -> dict[str, Any]:
    """Draw the parameters of one move per image.

    Args:
        knobs: the ranges to draw from.
        batch: number of images, an int or a scalar tensor.
        seed: an int or a `keras.random.SeedGenerator`, which moves on by one.

    Returns:
        Each name of `DRAWS` -> float32 (batch,): rotation in radians, shifts in shares of a side, shear a proportion,
        zooms scale factors around 1, flips -1.0 (mirrored) or 1.0.
    """
    draws = keras.random.uniform((batch, len(DRAWS)), minval=-1.0, maxval=1.0, dtype="float32", seed=seed)
    return scale_draws(knobs, draws)


def scale_draws(knobs: Augmentation, draws: Any) -> dict[str, Any]:
    """Return the parameters of one move per image from draws in [-1, 1), float32 (batch, len(DRAWS))."""
    column = {name: draws[:, i] for i, name in enumerate(DRAWS)}
    return {
        "rotation": column["rotation"] * math.radians(knobs.rotation),
        "width_shift": column["width_shift"] * knobs.width_shift,
        "height_shift": column["height_shift"] * knobs.height_shift,
        "shear": column["shear"] * knobs.shear,
        "zoom_x": 1.0 + column["zoom_x"] * knobs.zoom,
        "zoom_y": 1.0 + column["zoom_y"] * knobs.zoom,
        "horizontal_flip": _sign(column["horizontal_flip"] * knobs.horizontal_flip),
        "vertical_flip": _sign(column["vertical_flip"] * knobs.vertical_flip),
    }


def _sign(draw: Any) -> Any:
    """Return -1.0 where a draw is negative and 1.0 elsewhere: also where its knob is off, which makes it zero."""
    return ops.where(draw < 0, ops.full_like(draw, -1.0), ops.ones_like(draw))


def compose_matrices(parameters: dict[str, Any], height: int, width: int) -> Any:
    """Compose the moves into one matrix per image that gives the place each output pixel is read from.

    As in `ImageDataGenerator`, about the centre of the image and with x to the right, y down, in pixels:
    `source = rotation @ shift @ shear @ zoom @ flip @ output`.

    Args:
        parameters: as `sample_parameters` returns.
        height: of the images, in pixels.
        width: likewise.

    Returns:
        float32 (batch, 2, 3): `source (x, y) = matrix[:, :2] @ (x, y) + matrix[:, 2]`.
    """
    cosine, sine = ops.cos(parameters["rotation"]), ops.sin(parameters["rotation"])
    scale_x = parameters["zoom_x"] * parameters["horizontal_flip"]
    scale_y = parameters["zoom_y"] * parameters["vertical_flip"]
    shift_x, shift_y = parameters["width_shift"] * width, parameters["height_shift"] * height
    # rotation @ shear @ diag(scale_x, scale_y), where shear = [[1, s], [0, 1]]
    xx, xy = cosine * scale_x, (cosine * parameters["shear"] - sine) * scale_y
    yx, yy = sine * scale_x, (sine * parameters["shear"] + cosine) * scale_y
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    x = cosine * shift_x - sine * shift_y + centre_x - xx * centre_x - xy * centre_y
    y = sine * shift_x + cosine * shift_y + centre_y - yx * centre_x - yy * centre_y
    return ops.stack([ops.stack([xx, xy, x], axis=-1), ops.stack([yx, yy, y], axis=-1)], axis=-2)


def sample_matrices(knobs: Augmentation, batch: Any, height: int, width: int, seed: Any) -> Any:
    """Draw one move per image, as `sample_parameters` and `compose_matrices` do: float32 (batch, 2, 3)."""
    return compose_matrices(sample_parameters(knobs, batch, seed), height, width)


def resample(images: Any, matrices: Any, fill: str = "nearest") -> Any:
    """Read every output pixel from its place in the source image, bilinearly.

    Equal to `scipy.ndimage.affine_transform(order=1)` with mode "nearest", "grid-constant", "reflect" or "grid-wrap",
    on every backend. `keras.ops.image.affine_transform` is not used: on TensorFlow its "wrap" has another period than
    on JAX, and these gathers, fused by XLA, take a quarter of its time on a CPU (2 threads, 20 images of 150x150).

    Args:
        images: (batch, height, width, channels), any real dtype, sides of 2 pixels or more.
        matrices: float32 (batch, 2, 3), see `compose_matrices`.
        fill: the pixels beyond the edge: "nearest" aaa|abcd|ddd, "constant" 000|abcd|000, "reflect" cba|abcd|dcb or
            "wrap" bcd|abcd|abc.

    Returns:
        float32, shaped as `images`.
    """
    images = ops.cast(images, "float32")
    height, width, channels = images.shape[1:]
    m = ops.reshape(matrices, (-1, 2, 3, 1, 1))
    column = ops.reshape(ops.arange(width, dtype="float32"), (1, 1, width))
    row = ops.reshape(ops.arange(height, dtype="float32"), (1, height, 1))
    x = m[:, 0, 0] * column + m[:, 0, 1] * row + m[:, 0, 2]  # (batch, height, width)
    y = m[:, 1, 0] * column + m[:, 1, 1] * row + m[:, 1, 2]

    # Bring every place inside the image, which for "constant" and "wrap" first gets a border to blend into.
    if fill == "reflect":
        x, y = _reflect(x, width), _reflect(y, height)
    elif fill == "wrap":
        x, y = ops.mod(x, width), ops.mod(y, height)
        images = ops.concatenate([images, images[:, :1]], axis=1)
        images = ops.concatenate([images, images[:, :, :1]], axis=2)
    elif fill == "constant":
        x, y = x + 1, y + 1
        images = ops.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = images.shape[1:3]
    x, y = ops.clip(x, 0, width - 1), ops.clip(y, 0, height - 1)

    left, top = ops.clip(ops.floor(x), 0, width - 2), ops.clip(ops.floor(y), 0, height - 2)
    right_share, bottom_share = ops.expand_dims(x - left, -1), ops.expand_dims(y - top, -1)
    first_pixel = ops.reshape(ops.arange(ops.shape(images)[0], dtype="int32") * (height * width), (-1, 1, 1))
    corner = first_pixel + ops.cast(top, "int32") * width + ops.cast(left, "int32")
    pixels = ops.reshape(images, (-1, channels))
    upper = _blend(ops.take(pixels, corner, axis=0), ops.take(pixels, corner + 1, axis=0), right_share)
    lower = _blend(ops.take(pixels, corner + width, axis=0), ops.take(pixels, corner + width + 1, axis=0), right_share)
    return _blend(upper, lower, bottom_share)


def _reflect(place: Any, length: int) -> Any:
    """Fold the places beyond the outer edges (-0.5 and length - 0.5) back into the image."""
    return length - 0.5 - ops.abs(ops.mod(place + 0.5, 2 * length) - length)


def _blend(first: Any, second: Any, share_of_second: Any) -> Any:
    return first * (1 - share_of_second) + second * share_of_second  # exact at 0 and at 1


@keras.saving.register_keras_serializable(package="convnet")
class RandomAffine(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """Move every image by its own random affine resampling while training; pass it on unchanged otherwise.

    Call arguments:
        images: (batch, height, width, channels), uint8 or any float dtype, in any range.
        training: draw and move (True) or pass on (False).

    Returns:
        The same shape in the layer's compute dtype. The resampling itself is float32 under every precision policy;
        integers up to 256 pass exactly through bfloat16 and float16.

    Args:
        rotation: degrees; the angle is uniform in [-rotation, rotation]; 0..180.
        width_shift: share of the width, +-; 0..1.
        height_shift: share of the height, +-; 0..1.
        shear: proportion, +-: x' = x + shear * y; 0..1.
        zoom: the scale is uniform in [1 - zoom, 1 + zoom], drawn for x and for y apart as in the course; 0 to below 1.
        horizontal_flip: mirror left and right half of the time.
        vertical_flip: mirror top and bottom half of the time.
        fill: the pixels beyond the edge, see `resample`.
        seed: start of the layer's own `keras.random.SeedGenerator`; None: drawn at random.
        **kwargs: `name` and the like, for `keras.layers.Layer`.

    Raises:
        ValueError: a knob is out of its range, or of the wrong type.
    """

    def __init__(
        self,
        rotation: float = 0.0,
        width_shift: float = 0.0,
        height_shift: float = 0.0,
        shear: float = 0.0,
        zoom: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        fill: Literal["nearest", "constant", "reflect", "wrap"] = "nearest",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        # Autocast would round a float32 image to bfloat16 before it is resampled.
        super().__init__(autocast=False, **kwargs)
        self.knobs = Augmentation(
            rotation=rotation,
            width_shift=width_shift,
            height_shift=height_shift,
            shear=shear,
            zoom=zoom,
            horizontal_flip=horizontal_flip,
            vertical_flip=vertical_flip,
            fill=fill,
        )
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self._move = fuse(self._resample)

    def _resample(self, images: Any, matrices: Any) -> Any:
        return ops.cast(resample(images, matrices, self.knobs.fill), self.compute_dtype)

    def call(self, images: Any, training: bool = False) -> Any:
        """See the class."""
        if not training:
            return ops.cast(images, self.compute_dtype)
        height, width = images.shape[1:3]
        return self._move(images, sample_matrices(self.knobs, ops.shape(images)[0], height, width, self.seed_generator))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return `input_shape`: (batch, height, width, channels)."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        config: dict[str, Any] = super().get_config()
        return config | self.knobs.model_dump() | {"seed": self.seed}


def reset_seed_generators(model: keras.layers.Layer, seed: int, epoch: int, by_name: Sequence[str] = ()) -> int:
    """Put every random state of a model (augmentation, dropout, nested models) at the start of an epoch.

    What an epoch draws is then a function of (seed, epoch) and not of what ran before: epochs differ from each other,
    and a run that was killed goes on with the draws it would have made.

    Args:
        model: a built model or layer; its structure fixes the order of the states.
        seed: of the run, 0 or more.
        epoch: 0 or more.
        by_name: layers whose names begin so draw by (seed, epoch, name). They do not count in the order of the others,
            which therefore draw the same with and without them.

    Returns:
        How many states were set.
    """
    # Keras lists these states among the variables of a model, each once, in the order of its structure.
    states = [variable for variable in model.variables if variable.name == "seed_generator_state"]
    names = {
        id(layer.seed_generator.state): layer.name
        for layer in model._flatten_layers()
        if layer.name.startswith(tuple(by_name)) and hasattr(layer, "seed_generator")
    }
    position = 0
    for state in states:
        if id(state) in names:
            place = zlib.crc32(names[id(state)].encode())
        else:
            place, position = position, position + 1
        key = int(np.random.SeedSequence([seed, epoch, place]).generate_state(1)[0])
        state.assign(np.array([key & 0x7FFFFFFF, 0], dtype=state.dtype))  # 31 bits: the state is signed on TensorFlow
    return len(states)
