"""params.yaml: what a user may change, checked before any work, and resolved into one recipe per variant."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from convnet.errors import UserError
from convnet.heads import Labels

Pictures = Literal["rendered", "photographs"]
SplitName = Literal["train", "validation", "test"]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[int, Field(ge=1)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
ImageSize = Annotated[tuple[Positive, Positive], Field(strict=False)]
Names = Annotated[tuple[str, ...], Field(strict=False)]
Counts = Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)]


class Section(BaseModel):
    """A part of params.yaml: unknown keys, wrong types, NaN and infinity are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Run(Section):
    """What is run: the matrix of datasets, variants and seeds."""

    datasets: Annotated[Names, Field(min_length=1)]
    pixel_variants: Names
    feature_variants: Names
    fine_tune_variants: Names
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False, min_length=1)]
    resplit: bool

    @field_validator("datasets", "pixel_variants", "feature_variants", "fine_tune_variants", "seeds")
    @classmethod
    def _unique(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(values)) < len(values):
            raise ValueError("names an entry twice")
        return values

    @property
    def variants(self) -> tuple[str, ...]:
        """All variants of the run, pixel variants first."""
        return self.pixel_variants + self.feature_variants + self.fine_tune_variants


class Images(Section):
    """Which files are taken as images."""

    maximum_pixels: Positive
    minimum_side: Positive


class Split(Section):
    """How images are divided; official divisions are kept where a source has them."""

    validation: Annotated[float, Field(gt=0.0, lt=1.0)]
    test: Annotated[float, Field(gt=0.0, lt=1.0)]
    test_from_validation: Annotated[float, Field(gt=0.0, lt=1.0)]
    seed: Annotated[int, Field(ge=0)]
    near_duplicate_distance: Annotated[int, Field(ge=0, le=16)]
    repair_leaks: bool
    strict: bool

    @model_validator(mode="after")
    def _leaves_training(self) -> "Split":
        if self.validation + self.test >= 1.0:
            raise ValueError("validation and test together leave no training images: make their sum less than 1")
        return self


class Augmentation(Section):
    """The eight knobs of the course; each draw lies within +- the number."""

    rotation: Annotated[float, Field(ge=0.0, le=180.0)]  # degrees
    width_shift: Annotated[float, Field(ge=0.0, le=1.0)]  # share of the width
    height_shift: Annotated[float, Field(ge=0.0, le=1.0)]  # share of the height
    shear: Annotated[float, Field(ge=0.0, le=1.0)]  # proportion: x moves by shear * y
    zoom: Share  # scale between 1 - zoom and 1 + zoom
    horizontal_flip: bool
    vertical_flip: bool
    fill: Literal["nearest", "constant", "reflect", "wrap"]


class Network(Section):
    """The course's CNN: 3x3 convolutions, each followed by 2x2 max-pooling, then one dense layer."""

    filters: Counts
    dense: Positive


class Fit(Section):
    """How a model is trained."""

    optimizer: Literal["rmsprop", "adam", "sgd"]
    learning_rate: Annotated[float, Field(gt=0.0, le=10.0)]
    learning_rate_schedule: Literal["constant", "cosine"]
    batch_size: Positive
    epochs: Annotated[int, Field(ge=1, le=10_000)]
    labels: Labels
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]
    early_stopping: Annotated[int, Field(ge=1)] | None  # epochs without a better validation loss; restores the best
    class_weights: bool


class Transfer(Fit):
    """A head on a frozen backbone's features."""

    pooling: Literal["flatten", "average"]
    dense: Positive
    augmented_views: Positive  # augmented copies of each training image whose features are cached
    fresh_views: bool  # true: new draws every epoch, end to end on pixels (slow)


class FineTune(Fit):
    """Training goes on from a transfer variant, with the upper part of the backbone unfrozen."""

    start: str
    trainable_from: str | None  # null: the backbone's own


class Weights(Section):
    """A backbone's weight file; it is loaded only if one of the hashes here names it."""

    url: str
    bytes: Positive | None = None
    sha256: Sha256 | None = None
    md5: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None
    # Of other files that may lie in its place:
    stand_ins: Annotated[tuple[Sha256, ...], Field(strict=False)] = ()


class Pretrain(Section):
    """A compact backbone trained here, on rendered source classes that no dataset has."""

    rendered: str
    images_per_class: Annotated[int, Field(ge=10)]
    image_size: ImageSize
    filters: Counts
    fit: Fit
    augmentation: bool
    seed: Annotated[int, Field(ge=0)]


class Backbone(Section):
    """A pretrained network, cut at `last_layer`."""

    architecture: Literal["InceptionV3", "MobileNetV2", "compact"]
    alpha: Annotated[float, Field(gt=0.0)] | None = None  # width multiplier of MobileNetV2
    weights: Weights | None = None
    pretrain: Pretrain | None = None
    seen: str  # what it was trained on, for the report
    input_range: Annotated[tuple[float, float], Field(strict=False)]
    smallest_image: Positive  # pixels, the shorter side
    last_layer: str
    trainable_from: str
    explain_layers: Names

    @model_validator(mode="after")
    def _one_origin(self) -> "Backbone":
        if (self.weights is None) == (self.pretrain is None):
            raise ValueError("give either `weights` (a file) or `pretrain` (trained here), not both or neither")
        return self


class ArchiveSource(Section):
    """One archive: an address (https://, file:// or a local path), with its pins where they are known."""

    url: str
    mirrors: Names = ()
    bytes: Positive | None = None
    sha256: Sha256 | None = None
    split: SplitName | None = None  # null: by the archive's own folders


class RenderedSource(Section):
    """Pictures drawn here."""

    name: str
    images_per_class: Annotated[int, Field(ge=10)]
    image_size: ImageSize
    seed: Annotated[int, Field(ge=0)]


class Source(Section):
    """Where a dataset comes from: exactly one of the three."""

    rendered: RenderedSource | None = None
    archives: Annotated[tuple[ArchiveSource, ...], Field(strict=False, min_length=1)] | None = None
    folder: str | None = None  # class-named folders, or an archive of them
    fingerprint: str | None = None  # of the folder when it was added; a change asks for a new look

    @model_validator(mode="after")
    def _one_source(self) -> "Source":
        given = [name for name in ("rendered", "archives", "folder") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of rendered, archives, folder")
        return self


class Dataset(Section):
    """A dataset: its source, its picture size, its backbone, and where it departs from the common settings."""

    pictures: Pictures
    source: Source
    image_size: ImageSize
    backbone: str
    last_layer: str | None = None  # null: the backbone's own
    split: dict[str, Any] = {}
    network: dict[str, Any] = {}
    training: dict[str, Any] = {}
    transfer: dict[str, Any] = {}
    fine_tune: dict[str, Any] = {}


class Variant(BaseModel):
    """A variant: the baseline plus a diff. Keys not listed here override the section it trains by."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)

    augmentation: bool | Augmentation = False
    dropout: Share = 0.0
    transfer: bool = False
    fine_tune: bool = False


class Robustness(Section):
    """Accuracy on perturbed copies of validation and test."""

    images_per_split: Annotated[int, Field(ge=0)]  # at most; 0 switches it off


class Sweep(Section):
    """Training on nested subsets, to see how accuracy and gap depend on the number of images."""

    enabled: bool
    shares: Annotated[tuple[Annotated[float, Field(gt=0.0, le=1.0)], ...], Field(strict=False, min_length=1)]
    variants: Names


class Explain(Section):
    """Which pictures the explain stage makes."""

    images: Positive  # images shown, the same for all variants
    draws: Positive  # augmentation draws per image
    channels: Positive  # most active channels shown per layer


class Checkpoints(Section):
    """How often a running job saves its state. It never changes a result."""

    seconds_between: Annotated[float, Field(ge=0.0)]


class Engine(Section):
    """Where jobs run, and what each may use. Of all this only `threads_per_job` changes result bits."""

    kind: Literal["local", "ray"]
    address: Annotated[str, Field(pattern=r"^[\w.-]+:[0-9]+$")] | None  # ray: null starts one on this machine
    parallel_jobs: Positive  # local: processes at once, as far as the cores allow
    threads_per_job: Positive  # fixed, since the number of threads changes result bits
    cpus_per_job: Positive  # ray: cores reserved for a job
    gpus_per_job: Annotated[float, Field(ge=0.0)]  # ray: 0.5 lets two jobs share one; 0 trains on the processor

    @field_validator("gpus_per_job")
    @classmethod
    def _whole_gpus(cls, value: float) -> float:
        if value > 1.0 and not value.is_integer():
            raise ValueError("more than one GPU must be a whole number of them")
        return value


class Recipe(Section):
    """Everything that decides the result of one variant on one dataset, besides the data and the seed."""

    dataset: str
    variant: str
    kind: Literal["pixels", "features", "fine_tune", "pretrain"]
    image_size: ImageSize
    network: Network
    fit: Fit
    dropout: Share
    augmentation: Augmentation | None
    backbone: str | None
    last_layer: str | None
    pooling: Literal["flatten", "average"] | None
    augmented_views: Positive | None
    start: str | None
    trainable_from: str | None


class Params(Section):
    """The whole of params.yaml."""

    run: Run
    images: Images
    split: Split
    network: Network
    training: Fit
    augmentation: Augmentation
    transfer: Transfer
    fine_tune: FineTune
    variants: dict[str, Variant]
    backbones: dict[str, Backbone]
    datasets: dict[str, Dataset]
    robustness: Robustness
    sweep: Sweep
    explain: Explain
    checkpoints: Checkpoints
    engine: Engine

    def dataset(self, name: str) -> Dataset:
        """Return a dataset by name.

        Raises:
            UserError: there is none of that name.
        """
        _known("--dataset", name, self.datasets)
        return self.datasets[name]

    def variant(self, name: str) -> Variant:
        """Return a variant by name.

        Raises:
            UserError: there is none of that name.
        """
        _known("--variant", name, self.variants)
        return self.variants[name]

    def split_rules(self, dataset: str) -> Split:
        """Return the split settings of a dataset."""
        rules: Split = _merge(self.split, self.dataset(dataset).split, f"datasets.{dataset}.split")
        return rules

    def recipe(self, dataset: str, variant: str) -> Recipe:
        """Return the resolved settings of one variant on one dataset.

        Raises:
            UserError: an override is unknown, of a wrong type, out of range, or an impossible combination.
        """
        data, diff = self.dataset(dataset), self.variant(variant)
        overrides, where = dict(diff.model_extra or {}), f"variants.{variant}"
        _check_overrides(diff, overrides, where)
        _refuse_start(overrides, where)
        _refuse_start(data.fine_tune, f"datasets.{dataset}.fine_tune")
        network, fit, pooling, views = self.network, self.training, None, None
        backbone = last_layer = start = trainable_from = None
        kind: Literal["pixels", "features", "fine_tune"] = "pixels"
        if diff.transfer or diff.fine_tune:
            pretrained = self.backbones[data.backbone]
            backbone, last_layer = data.backbone, data.last_layer or pretrained.last_layer
            transfer = _merge(self.transfer, data.transfer, f"datasets.{dataset}.transfer")
        if diff.fine_tune:
            kind = "fine_tune"
            tune = _merge(self.fine_tune, data.fine_tune, f"datasets.{dataset}.fine_tune")
            tune = _merge(tune, overrides, where)
            first = self.recipe(dataset, tune.start)
            network, pooling, start = first.network, first.pooling, tune.start
            trainable_from = tune.trainable_from or pretrained.trainable_from
            fit = Fit(**{name: getattr(tune, name) for name in Fit.model_fields})
        elif diff.transfer:
            transfer = _merge(transfer, overrides, where)
            kind = "pixels" if diff.augmentation and transfer.fresh_views else "features"
            network, pooling = Network(filters=(1,), dense=transfer.dense), transfer.pooling
            views = transfer.augmented_views if diff.augmentation and kind == "features" else None
            fit = Fit(**{name: getattr(transfer, name) for name in Fit.model_fields})
        else:
            of_network = {key: value for key, value in overrides.items() if key in Network.model_fields}
            of_fit = {key: value for key, value in overrides.items() if key not in Network.model_fields}
            network = _merge(self.network, data.network, f"datasets.{dataset}.network")
            network = _merge(network, of_network, where)
            fit = _merge(fit, data.training, f"datasets.{dataset}.training")
            fit = _merge(fit, of_fit, where)
        knobs = self.augmentation if diff.augmentation is True else diff.augmentation or None
        recipe = Recipe(
            dataset=dataset, variant=variant, kind=kind, image_size=data.image_size, network=network, fit=fit,
            dropout=self.variants[start].dropout if start else diff.dropout, augmentation=knobs,
            backbone=backbone, last_layer=last_layer, pooling=pooling, augmented_views=views,
            start=start, trainable_from=trainable_from,
        )  # fmt: skip
        self._check_image_size(recipe)
        return recipe

    def _check_image_size(self, recipe: Recipe) -> None:
        side = min(recipe.image_size)
        if recipe.backbone is not None:
            smallest = self.backbones[recipe.backbone].smallest_image
            if side < smallest:
                raise UserError(
                    f"params.yaml: datasets.{recipe.dataset}.image_size is {list(recipe.image_size)}, but backbone "
                    f"{recipe.backbone} takes images of at least {smallest} pixels a side; make it larger or choose "
                    "another backbone"
                )
        elif (least := smallest_image(recipe.network)) > side:
            raise UserError(
                f"params.yaml: datasets.{recipe.dataset}.image_size is {list(recipe.image_size)}, but "
                f"{len(recipe.network.filters)} convolutions with pooling need at least {least} pixels a side; "
                "make it larger or give fewer filters"
            )


def smallest_image(network: Network) -> int:
    """Return the shortest side in pixels that leaves one pixel after every 3x3 convolution and 2x2 pooling."""
    side = 1
    for _ in network.filters:
        side = side * 2 + 2
    return side


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check params.yaml.

    Raises:
        UserError: one sentence with the key, the value and the nearest valid name.
    """
    try:
        # The loader written in C, where PyYAML has it, is several times faster.
        content = yaml.load(path.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run this command in the project's folder") from error
    except (yaml.YAMLError, ValueError) as error:  # a ValueError is a date that does not exist, or no UTF-8
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    params: Params = _validate(Params, content, "")
    _check_names(params)
    for dataset in params.run.datasets:
        params.split_rules(dataset)
        for variant in params.run.variants:
            params.recipe(dataset, variant)
    return params


def _check_names(params: Params) -> None:
    """Every name in the run must be defined, and every list must hold variants of its kind."""
    for dataset in params.run.datasets:
        _known("run.datasets", dataset, params.datasets)
        _known(f"datasets.{dataset}.backbone", params.datasets[dataset].backbone, params.backbones)
    for key in ("pixel_variants", "feature_variants", "fine_tune_variants"):
        for name in getattr(params.run, key):
            _known(f"run.{key}", name, params.variants)
            if (right := _list_of(params.variants[name])) != key:
                raise UserError(f"params.yaml: run.{key} names {name!r}, which belongs in run.{right}; move it there")
    if params.run.fine_tune_variants:
        _known("fine_tune.start", params.fine_tune.start, params.run.feature_variants)
    for name in params.sweep.variants if params.sweep.enabled else ():
        _known("sweep.variants", name, params.run.pixel_variants + params.run.feature_variants)


def _check_overrides(diff: Variant, overrides: Mapping[str, Any], where: str) -> None:
    """Every key of a variant must be a flag of its own, or a setting of the section it trains by."""
    section = FineTune if diff.fine_tune else Transfer if diff.transfer else Fit
    settings = [*section.model_fields, *(Network.model_fields if section is Fit else ())]
    if diff.fine_tune and "dropout" in diff.model_fields_set:
        raise UserError(
            f"params.yaml: {where}.dropout is {diff.dropout}, but fine-tuning goes on with the head of its start; set "
            "it in the variant that fine_tune.start names"
        )
    for key in overrides:
        if key not in settings:
            names = [*Variant.model_fields, *settings]
            raise UserError(f"params.yaml: unknown key {where}.{key}{_nearest(key, names)}")


def _refuse_start(overrides: Mapping[str, Any], where: str) -> None:
    """Where fine-tuning starts is a path in dvc.yaml, one for all."""
    if "start" in overrides:
        raise UserError(f"params.yaml: {where}.start is {overrides['start']!r}; it can only be set as fine_tune.start")


def _list_of(variant: Variant) -> str:
    """Return the list of the run that a variant belongs in."""
    if variant.fine_tune:
        return "fine_tune_variants"
    return "feature_variants" if variant.transfer else "pixel_variants"


def _known(key: str, name: str, names: Mapping[str, Any] | tuple[str, ...]) -> None:
    if name not in names:
        where = key if key.startswith("--") else f"params.yaml: {key}"
        raise UserError(f"{where} names {name!r}, which is not defined{_nearest(name, list(names))}")


def _merge(section: Any, overrides: Mapping[str, Any], where: str) -> Any:
    """Return `section` with `overrides`, validated again; errors point to `where`."""
    if not overrides:
        return section
    return _validate(type(section), section.model_dump() | dict(overrides), where)


def _validate(model: type[Any], content: Any, where: str) -> Any:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UserError(_sentence(model, error.errors()[0], where)) from None


def _sentence(model: type[BaseModel], error: Any, where: str) -> str:
    """Say one pydantic error in a sentence: key, value, what is wrong, nearest name."""
    path = [str(part) for part in error["loc"]]
    key = ".".join([*([where] if where else []), *path]) or "the file"
    value = error.get("input")
    match error["type"]:
        case "extra_forbidden":
            fields = _fields_at(model, path[:-1])
            return f"params.yaml: unknown key {key}{_nearest(path[-1], fields)}"
        case "missing":
            return f"params.yaml: {key} is missing; the committed params.yaml shows what it looks like"
        case "float_type" if isinstance(value, str):
            return (
                f"params.yaml: {key} is the text {value!r}, not a number; write it with a point, as in 0.001 or 1.0e-3"
            )
        case "value_error":
            return f"params.yaml: {key}: {error['ctx']['error']}"
        case "literal_error":
            return f"params.yaml: {key} is {value!r}; it must be {error['ctx']['expected']}"
    reason = error["msg"].removeprefix("Input ")
    return f"params.yaml: {key} is {value!r}; it {reason}"


def _fields_at(model: Any, path: list[str]) -> list[str]:
    """Return the valid keys of the section that `path` leads to, as well as they can be told."""
    for part in path:
        field = getattr(model, "model_fields", {}).get(part)
        annotation = field.annotation if field is not None else model
        candidates = [annotation, *_arguments(annotation)]
        sections = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if sections:
            model = sections[0]
    return list(getattr(model, "model_fields", {}))


def _arguments(annotation: Any) -> list[Any]:
    found = []
    for argument in getattr(annotation, "__args__", ()):
        found += [argument, *_arguments(argument)]
    return found


def _nearest(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; valid names are {', '.join(names)}" if names else ""
