"""Which saved model is meant, what is known of it, and whether it may be loaded: a file is not believed unchecked.

A saved model can carry code: a Lambda layer, or a function by name. A model is loaded only if job.json beside it gives
the SHA-256 of the file, and if it holds no Lambda and only parts of Keras or of this package.
"""

import importlib.util
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from convnet.data.file_types import HDF5, HEAD_BYTES, describe_content
from convnet.params.data import Images
from convnet.params.presets import EXTRA, is_preset
from convnet.system.errors import UserError
from convnet.system.files import file_digest, read_json

JOB = "job.json"
BEST = "model.keras"  # what the folder of a chosen model holds instead of seed-<n>.keras
MOST_CONFIGURATION = 64 * 2**20  # bytes; InceptionV3 needs 0.3 MB
# Parts of ConvNeXt and MobileNetV3 that are not public layers.
INNER_PARTS = {
    ("keras.src.applications.convnext", "LayerScale"),
    ("keras.src.ops.numpy", "Add"),
    ("keras.src.ops.numpy", "Multiply"),
}
# Not keras.config, keras.utils or keras.saving: their functions change settings, download files or load code.
MODULES = {"keras", "keras.layers", "keras.initializers", "keras.regularizers", "keras.src.models.functional"}
# Networks of KerasHub; their parts for texts and files read what a configuration names.
HUB_NETWORKS, HUB_TEXT = "keras_hub.src.models.", re.compile("tokenizer|preprocessor|converter", re.IGNORECASE)

USUAL = Images(maximum_pixels=50_000_000, minimum_side=8)
BACKGROUNDS = {
    "white": "laid over white",
    "black": "laid over black",
    "mean": "laid over the mean colour of the visible parts",
}
RESIZES = {
    "stretch": "stretched to the image size without cropping",
    "pad": "fitted inside the image size, the rest in the mean colour of the border",
    "crop": "the largest part in the middle that has the proportions of the image size",
}
RESIZE = (
    "halved by averaging 2x2 pixels as long as neither side falls below the result, then Pillow's bilinear filter with "
    "antialiasing"
)


@dataclass(frozen=True)
class ModelFacts:
    """The facts of one saved model in job.json.

    Attributes:
        path: the `.keras` file.
        dataset: what it was trained on.
        variant: how.
        seed: which of the variant's runs.
        classes: class names in the order of the probabilities.
        image_size: (height, width) in pixels.
        threads: processor threads it was trained with; as many give the same bits again.
        kind: "rendered" or "photographs"; None in an older job.json.
        sha256: of the file.
        images: how the pixels of its images were prepared: grey_range, background, resize.
    """

    path: Path
    dataset: str
    variant: str
    seed: int
    classes: tuple[str, ...]
    image_size: tuple[int, int]
    threads: int
    kind: str | None
    sha256: str
    images: Images = USUAL

    @property
    def predictions(self) -> Path:
        """The predictions that were saved with the model."""
        return self.path.parent / "predictions.npz"

    def describe(self, temperature: float | None) -> dict[str, Any]:
        """Return the labels and the preprocessing of the model, ready for JSON.

        Args:
            temperature: fitted on validation images; None where it is not known.
        """
        height, width = self.image_size
        return {
            "dataset": self.dataset,
            "variant": self.variant,
            "seed": self.seed,
            "learnt_from": self.kind,
            "model_sha256": self.sha256,
            "classes": list(self.classes),
            "input": {
                "image_size": [height, width],
                "shape": ["batch", height, width, 3],
                "colour_order": "RGB",
                "range": [0, 255],
                "scaling": "none: it is inside the model",
                "orientation": "upright: EXIF rotation applied",
                "transparency": BACKGROUNDS[self.images.background],
                "prepare": self.images.model_dump(mode="json", include={"background", "grey_range", "resize"}),
                "resize": f"{RESIZES[self.images.resize]}: {RESIZE}",
            },
            "temperature": temperature,
            "temperature_use": "optional: softmax(ln(probabilities) / temperature)",
        }


def find_model(path: Path, seed: int | None = None) -> Path:
    """Return the `.keras` file that `path` means: itself, or the one of `seed` in a variant's folder.

    Args:
        path: a `.keras` file, or a folder that holds job.json.
        seed: which model of a folder; None takes the first.

    Raises:
        UserError: the model is missing, or a seed is given beside a file.
    """
    if not path.is_dir():
        if seed is not None:
            raise UserError(f"--seed chooses among the models of a folder, but {path} is a file: leave one of them")
        if not path.exists():
            raise UserError(f"the model {path} is missing: give a .keras file, or the folder of a variant")
        return path
    runs = [run["seed"] for run in _read_job(path)["seeds"]]
    if seed is not None and seed not in runs:
        raise UserError(f"{path} holds no model of seed {seed}; its seeds are {', '.join(map(str, sorted(runs)))}")
    chosen = runs[0] if seed is None else seed
    found = [file for file in (path / f"seed-{chosen}.keras", path / BEST) if file.is_file()]
    if not found:
        raise UserError(f"{path} holds no seed-{chosen}.keras, which its {JOB} names: run `dvc repro` to make it")
    return found[0]


def check_model(path: Path) -> ModelFacts:
    """Return what is known of a saved model, after making sure that it may be loaded; nothing in it is executed.

    Raises:
        UserError: it is not a `.keras` file, job.json is missing or describes another file, or it has a part that this
            program never builds.
    """
    _refuse_other_formats(path)
    job = _read_job(path.parent)
    digest = file_digest(path)
    run = next((run for run in job["seeds"] if run["model_sha256"] == digest), None)
    if run is None:
        raise UserError(
            f"{path} is refused: it is none of the files that the {JOB} beside it describes (another SHA-256), so it "
            "was cut off or changed; run `dvc repro` to make it again"
        )
    if foreign := _foreign_part(path):
        raise UserError(f"{path} is refused: it holds {foreign}, which no model made here does; nothing was loaded")
    if is_preset(job["recipe"].get("backbone", "")) and importlib.util.find_spec("keras_hub") is None:
        raise UserError(f"{path} holds {job['recipe']['backbone']}: {EXTRA}")
    height, width = job["recipe"]["image_size"]
    return ModelFacts(
        path=path,
        dataset=job["dataset"],
        variant=job["variant"],
        seed=run["seed"],
        classes=tuple(job["classes"]),
        image_size=(height, width),
        threads=job["threads"],
        kind=job.get("kind"),
        sha256=digest,
        images=_prepared(job.get("images", {}), path.parent / JOB),
    )


def _prepared(images: Any, path: Path) -> Images:
    """Return how images were prepared in training; an older job.json has no entry."""
    try:
        return Images.model_validate(USUAL.model_dump() | images)
    except (ValidationError, TypeError) as error:
        raise UserError(f"{path} gives no valid preparation of images; run `dvc repro` to make it again") from error


def _refuse_other_formats(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise UserError(
            f"the model {path} cannot be read ({error.strerror}); make sure that it is there and readable, or run "
            "`dvc repro` to make it"
        ) from error
    if path.suffix.lower() in (".h5", ".hdf5") or head.startswith(HDF5):
        raise UserError(f"{path} is refused: HDF5 models can run code when loaded; give the .keras file made here")
    if path.suffix != ".keras":
        raise UserError(f"{path} is refused: only .keras files made here are loaded")
    if describe_content(head) != "a ZIP archive":
        content = describe_content(head) or "of an unknown kind"
        raise UserError(f"{path} is refused: it is {content} and no Keras model; run `dvc repro` to make it again")


def _read_job(folder: Path) -> Any:
    """Return job.json, its shape checked as far as it is used here."""
    path = folder / JOB
    if not path.is_file():
        raise UserError(
            f"{folder} is refused: it lacks {JOB}, which describes its models; copy a model with its whole "
            "folder, or train it here with `dvc repro`"
        )
    job = read_json(path)
    try:
        height, width = job["recipe"]["image_size"]
        whole = (
            isinstance(height, int) and isinstance(width, int) and isinstance(job["threads"], int)
            and all(isinstance(name, str) for name in (job["dataset"], job["variant"], *job["classes"]))
            and all(isinstance(run["seed"], int) and isinstance(run["model_sha256"], str) for run in job["seeds"])
            and len(job["classes"]) >= 2 and len(job["seeds"]) >= 1
        )  # fmt: skip
    except (KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise UserError(f"{path} does not describe trained models as this program writes it; run `dvc repro`")
    return job


def _foreign_part(path: Path) -> str | None:
    """Return what in the model's configuration is not known, or None."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("config.json").file_size > MOST_CONFIGURATION:
                return "a configuration of unlikely length"
            configuration = json.loads(archive.read("config.json"))
        foreign = next((part for part in _parts(configuration) if not _allowed(part)), None)
    except (zipfile.BadZipFile, AttributeError, KeyError, ValueError, OSError, RuntimeError, TypeError):
        # RuntimeError: nested too deep
        return "a damaged configuration"
    return f"{foreign['class_name']!r} of {foreign.get('module')!r}" if foreign else None


def _allowed(part: Mapping[str, Any]) -> bool:
    """Whether a part is known (`MODULES`, `INNER_PARTS`) or registered by this package, and carries no code."""
    module, name = part.get("module"), part["class_name"]
    if "lambda" in name.lower() or name == "function":
        return False
    if str(module).startswith(HUB_NETWORKS):
        return HUB_TEXT.search(name) is None
    if str(part.get("registered_name")).startswith("convnet>"):
        return str(module).startswith("convnet.models.")
    return module in MODULES or (module, name) in {*INNER_PARTS, (None, "__keras_tensor__")}


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every part of a Keras configuration that is made by its class name."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        for item in value.values():
            yield from _parts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _parts(item)
