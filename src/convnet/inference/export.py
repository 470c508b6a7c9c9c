"""Export of a saved model to the formats of other programs, after a check that the probabilities are the same."""

import importlib.util
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from convnet.backend.device import configure_device
from convnet.data.decoding import load_image
from convnet.data.image_faults import BadImage
from convnet.inference.inputs import find_places, read_places
from convnet.inference.loading import fitted_temperature, load_model_checked, predict_probabilities
from convnet.inference.outputs import check_regular
from convnet.inference.preprocess_file import check_own, write_preprocess
from convnet.jobs.model_files import ModelFacts, check_model
from convnet.system.errors import UserError
from convnet.system.files import atomic_path, canonical_json, write_json

if TYPE_CHECKING:
    import keras


Target = Literal["onnx", "litert", "saved_model"]
MOST_DIFFERENCE = 1e-3  # of a probability; two computations in float32 differ by about 1e-6
MOST_IMAGES = 100  # compared
NOISE_IMAGES = 16
PACKAGES = {"onnx": ("onnx", "tf2onnx", "onnxruntime"), "litert": ("ai_edge_litert",), "saved_model": ()}
SUFFIXES = {"onnx": ".onnx", "litert": ".tflite", "saved_model": ""}
METADATA = "convnet"  # the key of the labels in the metadata of an ONNX file

Images = NDArray[np.uint8]
Probabilities = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Exported:
    """An exported model and the result of the check.

    Attributes:
        path: the file or folder.
        labels: the JSON beside it.
        images: how many were compared.
        real: whether the user gave them; coloured noise otherwise.
        difference: largest difference of a probability between the exported and the saved model. A saved model that
            computes in 16 bits is replaced by the same network in float32.
        rounding: largest difference of a probability between that network and the saved model; None in float32.
    """

    path: Path
    labels: Path
    images: int
    real: bool
    difference: float
    rounding: float | None


def export_model(model_path: Path, target: Target, output: Path | None = None, images: Sequence[Path] = ()) -> Exported:
    """Write a saved model as ONNX, LiteRT or TensorFlow SavedModel.

    Beside it are its labels, `<output>.labels.json`, and `preprocess.py`, which prepares images for it.

    The exported network takes float32 pixels 0..255 (batch, height, width, 3) and returns one probability per class,
    also for two classes. It computes in float32 throughout, without augmentation.

    Args:
        model_path: a `.keras` file.
        target: the format.
        output: a file that ends in .onnx or .tflite, or a new folder for a SavedModel; None: named after the dataset,
            in the current folder.
        images: files, folders or archives to compare on; coloured noise if there are none.

    Raises:
        UserError: the model is refused, a package is missing, the output does not fit, or the exported model gives
            other probabilities; then nothing is written.
    """
    checked = check_model(model_path)
    output = _default_output(target, checked.dataset) if output is None else output
    _check_output(target, output)
    _check_packages(target)
    configure_device(threads=checked.threads, precision="float32")
    model, facts = load_model_checked(model_path)
    network = with_class_probabilities(in_float32(model))
    pixels = _load_images(images, facts) if images else _noise(facts.image_size)
    expected, rounding = _expected(model, network, pixels)
    labels = facts.describe(_temperature(facts))
    with _new(output, target) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the converters, about outdated NumPy names
        run = {"onnx": _onnx, "litert": _litert, "saved_model": _saved_model}[target](network, temporary, labels)
        difference = float(np.abs(run(pixels) - expected).max())
        if not difference <= MOST_DIFFERENCE:  # NaN is refused too
            raise UserError(
                f"the exported model gives other probabilities than the saved one (up to {difference:.2g}, allowed "
                f"{MOST_DIFFERENCE:g}); nothing was written: try another format"
            )
    labels_path = output.with_name(f"{output.name}.labels.json")
    write_json(labels_path, labels)
    write_preprocess(output.parent)
    return Exported(output, labels_path, len(pixels), bool(images), difference, rounding)


def _expected(model: "keras.Model", network: "keras.Model", images: Images) -> tuple[Probabilities, float | None]:
    """Return the probabilities that the exported network must give, and the rounding of a model in 16 bits.

    A model in float32 is compared itself: a fault of the rebuilt network would be on both sides of its comparison.
    """
    saved = predict_probabilities(model, images)
    rebuilt = predict_probabilities(network, images)  # in any case: Keras exports only networks that were called
    if computes_in_float32(model):
        return saved, None
    return rebuilt, float(np.abs(saved - rebuilt).max())


def computes_in_float32(model: "keras.Model") -> bool:
    """Return whether no part of the network, however deep, computes in 16 bits."""
    configuration = model.get_config()
    return bool(_with_float32(configuration) == configuration)


def in_float32(model: "keras.Model") -> "keras.Model":
    """Return the same network computing in float32: other programs know no mixed precision."""
    import keras

    twin = keras.Model.from_config(_with_float32(model.get_config()))
    twin.set_weights(model.get_weights())
    return twin


def with_class_probabilities(model: "keras.Model") -> "keras.Model":
    """Return the network with one input, and one probability per class also for two classes."""
    import keras

    outputs = model.outputs[0]
    if outputs.shape[-1] == 1:  # a sigmoid: the probability of the second class
        outputs = keras.layers.Concatenate(name="probabilities", dtype="float32")([1.0 - outputs, outputs])
    # A list of one input, as in a loaded model, would make its callers pass a list.
    return keras.Model(model.inputs[0], outputs, name=model.name)


def _with_float32(configuration: Any) -> Any:
    if isinstance(configuration, dict):
        if configuration.get("class_name") == "DTypePolicy":
            return configuration | {"config": {"name": "float32"}}
        return {key: _with_float32(value) for key, value in configuration.items()}
    if isinstance(configuration, list | tuple):
        return type(configuration)(_with_float32(value) for value in configuration)
    return configuration


def _onnx(network: "keras.Model", path: Path, labels: dict[str, Any]) -> Callable[[Images], Probabilities]:
    import onnx
    import onnxruntime

    network.export(path, format="onnx", verbose=False)
    content = onnx.load(path)
    onnx.helper.set_model_props(content, {METADATA: canonical_json(labels)})
    onnx.save(content, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: np.asarray(session.run(None, {name: images.astype(np.float32)})[0])


def _litert(network: "keras.Model", path: Path, labels: dict[str, Any]) -> Callable[[Images], Probabilities]:
    from ai_edge_litert.interpreter import Interpreter

    network.export(path, format="litert", verbose=False)
    # A LiteRT file has no place for labels; they are in the JSON beside it.
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run(images: Images) -> Probabilities:
        found = []
        for image in images.astype(np.float32):  # one at a time, as a telephone does
            interpreter.set_tensor(source, image[np.newaxis])
            interpreter.invoke()
            found.append(interpreter.get_tensor(result)[0])
        return np.stack(found)

    return run


def _saved_model(network: "keras.Model", path: Path, labels: dict[str, Any]) -> Callable[[Images], Probabilities]:
    import keras

    network.export(path, format="tf_saved_model", verbose=False)
    extra = path / "assets.extra"  # where TensorFlow leaves files of others alone
    extra.mkdir(exist_ok=True)
    write_json(extra / "labels.json", labels)
    loaded = keras.layers.TFSMLayer(path, call_endpoint="serve", dtype="float32")
    return lambda images: np.asarray(loaded(images.astype(np.float32)))


def _default_output(target: Target, dataset: str) -> Path:
    if not re.fullmatch(r"[\w-]+", dataset):  # anybody may have written job.json, so a path in it is refused
        raise UserError(f"the model's job.json names the dataset {dataset!r}, which is not a file name; give --output")
    return Path(f"{dataset}{SUFFIXES[target] or '_saved_model'}")


def _check_output(target: Target, output: Path) -> None:
    suffix = SUFFIXES[target]
    if suffix and output.suffix != suffix:
        raise UserError(f"--output {output} must end in {suffix}, by which other programs know the format")
    if output.is_dir() and (suffix or any(output.iterdir())):
        raise UserError(f"--output {output} is a folder that holds something: name a new one, or remove it")
    check_regular(output)
    check_own(output.parent)
    if not suffix and output.exists() and not output.is_dir():
        raise UserError(f"--output {output} is a file, but a SavedModel is a folder: name a new one")


def _check_packages(target: Target) -> None:
    missing = [name for name in PACKAGES[target] if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"--to {target} needs {', '.join(missing)}: pip install 'convnet[export]'")


@contextmanager
def _new(output: Path, target: Target) -> Iterator[Path]:
    """Yield a temporary path, which becomes `output` if nothing fails."""
    if target != "saved_model":
        with atomic_path(output) as temporary:
            yield temporary
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}.", suffix=".partial"))
    try:
        yield temporary
        temporary.chmod(0o755)
        temporary.replace(output)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _load_images(paths: Sequence[Path], facts: ModelFacts) -> Images:
    images: list[Images] = []
    for place, content in read_places(find_places(paths)):
        if isinstance(content, bytes):
            with suppress(BadImage):  # predict reports bad files
                images.append(load_image(content, place.member or place.path, facts.image_size, facts.images))
        if len(images) == MOST_IMAGES:
            break
    if not images:
        raise UserError(f"{paths[0]} holds no usable image to compare on")
    return np.stack(images)


def _noise(image_size: tuple[int, int]) -> Images:
    """Return images of coloured patches, the same in every run; on flat images unlike networks hardly differ."""
    height, width = image_size
    patches = np.random.default_rng([0]).integers(0, 256, (NOISE_IMAGES, 8, 8, 3), dtype=np.uint8)
    rows, columns = np.arange(height) * 8 // height, np.arange(width) * 8 // width
    return patches[:, rows][:, :, columns]


def _temperature(facts: ModelFacts) -> float | None:
    return fitted_temperature(facts) if facts.predictions.is_file() else None
