"""The networks of keras.applications, built by Keras' own code from a weight file that was checked."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.utils import file_utils

Fetch = Callable[..., str]


def build_application(
    architecture: str, alpha: float | None, weights: Path, image_size: tuple[int, int], channels: str
) -> keras.Model:
    """Return a network without its top, with the weights of a file, for images (batch, height, width, 3) in RGB order.

    Raises:
        ValueError: the file holds other layers.
    """
    model = as_published(architecture, alpha, image_size, lambda *_, **__: str(weights))
    if channels == "bgr":
        reverse_channels(model)
    return model


def as_published(architecture: str, alpha: float | None, image_size: tuple[int, int], fetch: Fetch) -> keras.Model:
    """Return what Keras builds for `weights="imagenet"`; `fetch` takes the place of its download.

    Some networks have another layer for these weights than for none or for a file. Layers get the names that they have
    in a new process, whichever networks were built before.
    """
    with _fetching(fetch):
        return _build(architecture, alpha, image_size, "imagenet")


def with_random_weights(architecture: str, alpha: float | None, image_size: tuple[int, int]) -> keras.Model:
    """Return a network without its top and without a file, with the names of layers that `as_published` gives."""
    return _build(architecture, alpha, image_size, None)


def _build(architecture: str, alpha: float | None, image_size: tuple[int, int], weights: str | None) -> keras.Model:
    width = {} if alpha is None else {"alpha": alpha}
    build = getattr(keras.applications, architecture)
    with _first_names(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # weights published for 224 pixels serve other sizes too
        model: keras.Model = build(include_top=False, weights=weights, input_shape=(*image_size, 3), **width)
    return model


def reverse_channels(model: keras.Model) -> None:
    """Let a network that was trained on BGR images take RGB: reverse the input channels of its first kernel.

    Raises:
        ValueError: the network begins with a layer that is not a convolution of three channels.
    """
    first = next(layer for layer in model.layers if layer.weights)
    kernel, *others = first.get_weights()
    if not isinstance(first, keras.layers.Conv2D) or kernel.shape[2] != 3:
        raise ValueError(f"{first.name} is not a convolution of three channels")
    first.set_weights([np.ascontiguousarray(kernel[:, :, ::-1, :]), *others])


@contextmanager
def _fetching(fetch: Fetch) -> Iterator[None]:
    """Let every network of Keras get its weight file from `fetch`."""
    before = file_utils.get_file
    file_utils.get_file = fetch
    try:
        yield
    finally:
        file_utils.get_file = before


@contextmanager
def _first_names() -> Iterator[None]:
    """Number the layers without a name of their own from the start, and go on with the former numbers after it."""
    before: Any = global_state.get_global_attribute("object_name_uids")
    global_state.set_global_attribute("object_name_uids", None)
    try:
        yield
    finally:
        global_state.set_global_attribute("object_name_uids", before)
