"""Jobs: one variant, one dataset, one seed, and the store that keeps what they gave.

A job's key is the digest of everything that decides its result, so results of other parameters, data or code can
never be taken for it. The store lies under `.jobs/`: `<key>/result/` is whole or absent when it is made, and its
timing.json holds the digests by which later damage shows.
"""

import hashlib
import importlib.metadata
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from convnet.errors import UserError
from convnet.params import Backbone, Recipe
from convnet.storage import file_digest, json_digest, read_json, write_json

STORE = Path(".jobs")
# The modules whose code decides a job's result. A test holds this list against the imports of convnet.training.
CODE = (
    "augmentation", "data", "device", "executions", "heads", "models", "optimizers", "splits", "states", "training",
)  # fmt: skip
# What decides how a backbone is built from its weights; the rest of its entry is for reports.
BUILDS_A_BACKBONE = {"architecture", "alpha", "input_range"}
LIBRARIES = ("keras", "numpy", "tensorflow")
# Where a result keeps its digests: the one file of it that differs from run to run anyway, and travels with the rest.
SEALED, SEAL = "timing.json", "sha256"


@dataclass(frozen=True)
class UsedBackbone:
    """The pretrained network of a job.

    Attributes:
        name: in params.yaml.
        settings: its entry there.
        weights: its weight file.
        last_layer: where it is cut.
        pooling: how its feature maps become one row of numbers: `flatten` or `average`.
    """

    name: str
    settings: Backbone
    weights: Path
    last_layer: str
    pooling: str


@dataclass(frozen=True)
class Job:
    """One training run.

    Attributes:
        recipe: the resolved settings.
        seed: decides initial weights, shuffles, augmentation, dropout, and the split when `resplit`.
        classes: class names in label order.
        arrays: folder of the packed arrays.
        data_digest: digest of the arrays, and of the backbone's weights where one is used.
        threads: processor threads, fixed because their number changes result bits.
        resplit: draw the split anew from the pooled images for this seed.
        share: share of the training images used, for the size sweep.
        features: folder of the backbone's features, for a recipe of kind `features`.
        backbone: the pretrained network, for transfer variants.
        start_model: fine-tuning only: the saved transfer model training goes on from.
        start_digest: the digest of its weights.
    """

    recipe: Recipe
    seed: int
    classes: tuple[str, ...]
    arrays: Path
    data_digest: str
    threads: int
    resplit: bool = False
    share: float = 1.0
    features: Path | None = None
    backbone: UsedBackbone | None = None
    start_model: Path | None = None
    start_digest: str | None = None

    @property
    def key(self) -> str:
        """The digest of everything that decides the result; names and folders do not."""
        recipe = self.recipe.model_dump(exclude={"dataset", "variant", "start", "backbone"})
        content: dict[str, Any] = {
            "recipe": recipe,
            "seed": self.seed,
            "classes": self.classes,
            "data": self.data_digest,
            "threads": self.threads,
            "resplit": self.resplit,
            "share": self.share,
            "start": self.start_digest,
            "backbone": self.backbone and self.backbone.settings.model_dump(include=BUILDS_A_BACKBONE, mode="json"),
            "code": code_digest(),
            "versions": library_versions(),
        }
        return json_digest(content)

    @property
    def label(self) -> str:
        """What the job is called in progress lines."""
        share = "" if self.share == 1.0 else f" {self.share:.1%} of training"
        return f"{self.recipe.dataset}/{self.recipe.variant} seed {self.seed}{share}"

    @property
    def folder(self) -> Path:
        """Where the store keeps this job."""
        return STORE / self.key

    @property
    def result(self) -> Path:
        """The finished result, if it exists."""
        return self.folder / "result"

    @property
    def done(self) -> bool:
        """Whether the job has finished before; `damaged_file` tells whether its result is still as it was."""
        return (self.result / "facts.json").is_file()


@cache
def code_digest() -> str:
    """Return the digest of the source of the modules that decide a result."""
    digest = hashlib.sha256()
    for name in CODE:
        digest.update((Path(__file__).parent / f"{name}.py").read_bytes())
    return digest.hexdigest()


@cache
def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that decide a result, without importing them."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # another Keras backend may stand in for TensorFlow
    return found | {"backend": os.environ.get("KERAS_BACKEND", "tensorflow")}


@contextmanager
def result_folder(job: Job) -> Iterator[Path]:
    """Yield a folder to fill; on success it becomes the job's result in one rename."""
    for left_over in job.folder.glob("result-*.partial"):  # of a process that was killed
        shutil.rmtree(left_over, ignore_errors=True)
    temporary = job.folder / f"result-{os.getpid()}.partial"
    temporary.mkdir(parents=True)
    try:
        yield temporary
        _seal(temporary)
        shutil.rmtree(job.result, ignore_errors=True)
        temporary.replace(job.result)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _seal(folder: Path) -> None:
    """Write the SHA-256 of every file of a result into one of them; its own is that of all else it holds."""
    content = read_json(folder / SEALED)
    content[SEAL] = {path.name: file_digest(path) for path in folder.iterdir() if path.name != SEALED}
    content[SEAL][SEALED] = json_digest(content)
    write_json(folder / SEALED, content)


def damaged_file(job: Job) -> Path | None:
    """Return a file of a finished job's result that is missing or not as it was written, or None.

    Raises:
        UserError: a file cannot be read, which may pass: it need not be damaged.
    """
    path = job.result / SEALED
    try:
        content = read_json(path)
        digests: dict[str, str] = content[SEAL]
        if digests.pop(SEALED) != json_digest(content):  # in this order: its own digest is no part of what it is of
            return path
        for name in sorted(digests):
            path = job.result / name
            if file_digest(path) != digests[name]:
                return path
    # No JSON, or not what `_seal` wrote.
    except (UserError, AttributeError, KeyError, TypeError, ValueError, FileNotFoundError):
        return path
    except OSError as error:
        advice = f"run the same command again, or delete {job.result} to train anew"
        raise UserError(f"{path} cannot be read ({error.strerror}): {advice}") from error
    return None


def facts(job: Job) -> dict[str, Any]:
    """Return the deterministic facts of a finished job."""
    return dict(read_json(job.result / "facts.json"))


def timing(job: Job) -> dict[str, Any]:
    """Return the seconds and the machine of a finished job."""
    content = dict(read_json(job.result / SEALED))
    content.pop(SEAL, None)
    return content
