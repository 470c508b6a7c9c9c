"""A KerasHub preset as a backbone whose output is one pooled vector, as a map of one pixel."""

import tempfile
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
from keras import layers

from convnet.params.presets import EXTRA, POOLED, PRESET
from convnet.system.errors import UserError

# Networks with a class token, which their own image classifiers read. Others give the mean over their tokens.
CLASS_TOKEN = ("ViTBackbone", "DeiTBackbone", "DINOV2Backbone", "DINOV3Backbone")


def import_hub() -> ModuleType:
    """Return KerasHub.

    Raises:
        UserError: the extra is not installed.
    """
    try:
        import keras_hub
    except ImportError as error:
        raise UserError(EXTRA) from error
    module: ModuleType = keras_hub
    return module


def find_files(preset: str, names: tuple[str, ...]) -> dict[str, Path]:
    """Return files of a preset by name; KerasHub downloads what it does not have.

    Raises:
        UserError: the preset is unknown, or its publisher does not answer.
    """
    import_hub()
    from keras_hub.src.utils.preset_utils import get_file

    try:
        return {name: Path(get_file(preset.removeprefix(PRESET), name)) for name in names}
    except Exception as error:  # of the client that KerasHub downloads with
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"KerasHub cannot get the preset {preset} ({reason})") from error


def describe_preset(archive: Path) -> dict[str, Any]:
    """Return `input_range` and `native_size` of a packed preset, from its image converter."""
    with tempfile.TemporaryDirectory() as folder:
        preset, converter = _read(archive, Path(folder))
        scale, offset = (1.0 if converter.scale is None else converter.scale), converter.offset or 0.0
        low = keras.ops.convert_to_numpy(keras.ops.zeros(3)) + offset
        high = low + 255.0 * keras.ops.convert_to_numpy(keras.ops.ones(3)) * scale
        return {"input_range": [_level(low), _level(high)], "native_size": _side(preset, converter)}


def build_preset(archive: Path, image_size: tuple[int, int]) -> keras.Model:
    """Return the network: scaled images (batch, height, width, 3) -> pooled features (batch, 1, 1, channels).

    A network with positions sees its own size only, so images are resized to that.
    """
    inputs = keras.Input((*image_size, 3))
    with tempfile.TemporaryDirectory() as folder:
        preset, converter = _read(archive, Path(folder))
        side = _side(preset, converter)
        if hasattr(preset, "position_embedding_shape") and _shape(preset) != (side, side):
            size = {"image_shape": (side, side, 3)}  # DINO interpolates its positions
            preset = import_hub().models.Backbone.from_preset(folder, **size)
    expected = _shape(preset)
    x = inputs
    if expected not in ((None, None), image_size):
        x = layers.Resizing(*expected, antialias=True, name="own_size")(x)
    return keras.Model(inputs, layers.Reshape((1, 1, -1), name=POOLED)(_pool(preset, x)), name="preset")


def _read(archive: Path, folder: Path) -> tuple[Any, Any]:
    """Return the network of a packed preset and its image converter."""
    hub = import_hub()
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    return hub.models.Backbone.from_preset(str(folder)), hub.layers.ImageConverter.from_preset(str(folder))


def _pool(preset: Any, images: Any) -> Any:
    """Return one vector per image: by the network's own pooling, its class token, or the mean over places."""
    if hasattr(preset, "get_vision_embeddings"):  # CLIP and SigLIP
        output = preset.get_vision_embeddings(images)
    else:
        output = preset({"images": images} if isinstance(preset.input, dict) else images)
    if len(output.shape) == 4:
        return layers.GlobalAveragePooling2D()(output)
    if len(output.shape) == 3:
        has_token = type(preset).__name__ in CLASS_TOKEN and getattr(preset, "use_class_token", True)
        first = layers.Cropping1D((0, output.shape[1] - 1))
        return first(output) if has_token else layers.GlobalAveragePooling1D()(output)
    return output


def _shape(preset: Any) -> tuple[int | None, int | None]:
    """Return the height and width that a network takes; None for any."""
    height, width, _ = getattr(preset, "vision_encoder", preset).image_shape
    return height, width


def _side(preset: Any, converter: Any) -> int | None:
    """Return the side of the images that the preset was made for."""
    size: tuple[int | None, int | None] = converter.image_size or _shape(preset)
    return size[0]


def _level(values: Any) -> float | list[float]:
    """Return a level of the channels, as one number if they share it."""
    numbers = [float(value) for value in values]
    return numbers[0] if len(set(numbers)) == 1 else numbers
