"""Jobs: one variant, one dataset, one seed, and the store that keeps what they gave.

A job's key is the digest of everything that decides its result, so results of other parameters, data or code can
never be taken for it. In the store, `<key>/result/` is whole or absent when it is made, and its timing.json holds the
digests by which later damage shows.
"""

import hashlib
import importlib.metadata
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from convnet.data.division import FIXED, Division
from convnet.params.backbone import Backbone
from convnet.params.recipe import Recipe
from convnet.system.files import json_digest
from convnet.system.workspace import find_workspace


def find_store(project: Path) -> Path:
    """Return the folder of the store: CONVNET_JOBS, or `.jobs`; a copy of a project uses the store of the project."""
    workspace, given = find_workspace(project), os.environ.get("CONVNET_JOBS")
    if given:
        return workspace / Path(given).expanduser()
    return Path(".jobs") if workspace == project else workspace / ".jobs"


STORE = find_store(Path.cwd())
# The folders and modules whose code decides a job's result. Folders, so that a new module in one of them counts.
CODE = ("backend", "models", "remedies", "training", "data/division.py", "data/splits.py", "jobs/checkpoints.py")
CODE_OF_DERIVED = ("evaluation/calibration.py", "evaluation/metrics.py")
PACKAGE = Path(__file__).parents[1]
# What decides how a backbone is built from its weights; the rest of its entry is for reports.
BUILDS_A_BACKBONE = {"architecture", "alpha", "input_range", "channels"}
LIBRARIES = ("keras", "numpy", "tensorflow")


@dataclass(frozen=True)
class UsedBackbone:
    """A pretrained network that is cut at a layer.

    Attributes:
        name: in params.yaml.
        settings: its entry there.
        weights: its weight file.
        last_layer: the layer whose output is used.
    """

    name: str
    settings: Backbone
    weights: Path
    last_layer: str


@dataclass(frozen=True)
class Job:
    """One training run.

    Attributes:
        recipe: the resolved settings.
        seed: decides initial weights, shuffles, augmentation, dropout, and a split of its own.
        classes: class names in label order.
        arrays: folder of the packed arrays.
        data_digest: digest of the arrays, and of the backbone's weights where one is used.
        threads: processor threads, fixed because their number changes result bits.
        division: how the images are divided among the splits.
        share: share of the training images used, for the size sweep.
        features: folder of the backbone's features, for a recipe of kind `features`.
        backbone: the pretrained network, for transfer variants.
        start_model: fine-tuning only: the saved transfer model training goes on from.
        start_digest: the digest of its weights.
        members: of a derived variant, the finished jobs that the result is made from, in place of training.
        seconds_between_checkpoints: the least time between two checkpoints; 0 saves one after every epoch.
    """

    recipe: Recipe
    seed: int
    classes: tuple[str, ...]
    arrays: Path
    data_digest: str
    threads: int
    division: Division = FIXED
    share: float = 1.0
    features: Path | None = None
    backbone: UsedBackbone | None = None
    start_model: Path | None = None
    start_digest: str | None = None
    members: tuple["Job", ...] = ()
    seconds_between_checkpoints: float = 0.0  # no part of the key

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
            "division": asdict(self.division),
            "share": self.share,
            "start": self.start_digest,
            "backbone": self.backbone and self.backbone.settings.model_dump(include=BUILDS_A_BACKBONE, mode="json"),
            "code": code_digest(),
            "versions": library_versions(),
        }
        if self.members:
            content["members"] = [member.key for member in self.members]
            content["code_of_derived"] = source_digest(CODE_OF_DERIVED)
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
        """Whether the job has finished before; `damaged_file` checks the result."""
        return (self.result / "facts.json").is_file()


@cache
def code_digest() -> str:
    """Return the digest of the source that decides a result."""
    return source_digest(CODE)


def source_digest(names: Sequence[str]) -> str:
    """Return the digest of modules, and of all modules in folders, named from the package's folder.

    Raises:
        FileNotFoundError: a name has no source file.
    """
    digest = hashlib.sha256()
    for name in names:
        place = PACKAGE / name
        paths = sorted(place.rglob("*.py")) if place.is_dir() else [place]
        if not paths:
            raise FileNotFoundError(f"{place} holds no source file")
        for path in paths:
            digest.update(path.read_bytes())
    return digest.hexdigest()


@cache
def library_versions(*more: str) -> dict[str, str]:
    """Return the versions of the libraries that decide a result, and of `more`, without importing them."""
    found = {}
    for name in (*LIBRARIES, *more):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # another Keras backend may stand in for TensorFlow
    return found | {"backend": os.environ.get("KERAS_BACKEND", "tensorflow")}
