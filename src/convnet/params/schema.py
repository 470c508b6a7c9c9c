"""params.yaml: what a user may change, checked before any work."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, field_validator, model_validator
from pydantic_core import PydanticCustomError

from convnet.params.messages import check_known, merge

BASELINE = "baseline"  # the variant without a remedy

Labels = Literal["sparse", "one_hot"]
Pooling = Literal["flatten", "average"]
ImageKind = Literal["rendered", "photographs"]
Drawn = Literal["pets", "hands", "source"]  # the keys of render.RENDERED, whose import would cost every stage
SplitName = Literal["train", "validation", "test"]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[int, Field(ge=1)]
Grey = Annotated[int, Field(ge=0, le=65535)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # NumPy takes no larger one
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
    seeds: Annotated[tuple[Seed, ...], Field(strict=False, min_length=1)]
    resplit: bool
    margin: Annotated[float, Field(ge=0.0, le=100.0)] = 2.0  # points of accuracy; a smaller difference does not matter

    @field_validator("datasets", "pixel_variants", "feature_variants", "fine_tune_variants", "seeds")
    @classmethod
    def _unique(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(values)) < len(values):
            raise ValueError("names an entry twice")
        return values

    @model_validator(mode="after")
    def _runs_something(self) -> "Run":
        if not self.variants:
            raise ValueError(
                "pixel_variants, feature_variants and fine_tune_variants are all empty; name a variant in one of them"
            )
        return self

    @property
    def variants(self) -> tuple[str, ...]:
        """All variants of the run, pixel variants first."""
        return self.pixel_variants + self.feature_variants + self.fine_tune_variants


class Images(Section):
    """Which files are taken as images, and how their pixels are prepared."""

    maximum_pixels: Positive
    minimum_side: Positive
    # Of 16-bit grey, the values that become 0 and 255. auto: the range of the dataset if it is small.
    grey_range: Literal["auto", "full"] | Annotated[tuple[Grey, Grey], Field(strict=False)] = "full"
    background: Literal["white", "black", "mean"] = "white"  # of transparent images
    resize: Literal["stretch", "pad", "crop"] = "stretch"

    @field_validator("grey_range")
    @classmethod
    def _increases(cls, value: Any) -> Any:
        if not isinstance(value, str) and value[0] >= value[1]:
            raise ValueError(f"{list(value)} does not increase; write the lowest number first")
        return value


class Split(Section):
    """How images are divided; official divisions are kept where a source has them."""

    validation: Annotated[float, Field(gt=0.0, lt=1.0)]
    test: Annotated[float, Field(gt=0.0, lt=1.0)]
    test_from_validation: Annotated[float, Field(gt=0.0, lt=1.0)]
    seed: Seed
    near_duplicate_distance: Annotated[int, Field(ge=0, le=16)]
    repair_leaks: bool
    strict: bool

    @model_validator(mode="after")
    def _leaves_training(self) -> "Split":
        if self.validation + self.test >= 1.0:
            raise ValueError("validation and test together leave no training images: make their sum less than 1")
        return self


class Augmentation(Section):
    """The eight knobs of the course; each draw is within +- the number."""

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
    """How a model is trained.

    A length of `plateau` ends where the validation loss stops improving: `training.schedules.next_epoch` has the rule.
    """

    optimizer: Literal["rmsprop", "adam", "sgd"]
    learning_rate: Annotated[float, Field(gt=0.0, le=10.0)]
    learning_rate_schedule: Literal["constant", "cosine", "cooldown"]
    batch_size: Positive
    length: Literal["fixed", "plateau"] = "fixed"
    epochs: Annotated[int, Field(ge=1, le=10_000)]  # at most, for a plateau or with early_stopping
    patience: Positive = 10  # plateau: epochs without a better validation loss
    labels: Labels
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]
    early_stopping: Annotated[int, Field(ge=1)] | None  # epochs without a better validation loss; restores the best
    class_weights: bool


class Transfer(Fit):
    """A head on a frozen backbone's features."""

    pooling: Pooling
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
    # Of other files that may replace it:
    stand_ins: Annotated[tuple[Sha256, ...], Field(strict=False)] = ()


class Pretrain(Section):
    """A compact backbone trained here, on rendered source classes that no dataset has."""

    rendered: Drawn
    images_per_class: Annotated[int, Field(ge=10)]
    image_size: ImageSize
    filters: Counts
    fit: Fit
    augmentation: bool
    seed: Seed


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

    @field_validator("input_range")
    @classmethod
    def _increases(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] >= value[1]:
            raise ValueError(f"{list(value)} does not increase; write the lowest number first")
        return value

    @model_validator(mode="after")
    def _possible(self) -> "Backbone":
        if (self.weights is None) == (self.pretrain is None):
            raise ValueError("give either `weights` (a file) or `pretrain` (trained here), not both or neither")
        if self.pretrain is not None and self.architecture != "compact":
            raise ValueError(f"`pretrain` trains the architecture compact only; give {self.architecture} `weights`")
        if self.alpha is not None and self.architecture != "MobileNetV2":
            raise ValueError(f"`alpha` is {self.alpha}, but only MobileNetV2 has one; take it out")
        return self


class ArchiveSource(Section):
    """One archive: an address (https://, file:// or a local path), with its pins where they are known."""

    url: str
    mirrors: Names = ()
    bytes: Positive | None = None
    sha256: Sha256 | None = None
    split: SplitName | None = None  # null: by the archive's own folders


class RenderedSource(Section):
    """Images drawn here."""

    name: Drawn
    images_per_class: Annotated[int, Field(ge=10)]
    image_size: ImageSize
    seed: Seed


class LabelSource(Section):
    """Labels from file names or from a table, in place of class folders."""

    from_name: str | None = None  # a pattern such as {label}.{number}
    table: str | None = None  # CSV or JSON lines: file, label, and optionally split and group
    file_column: str = "file"
    label_column: str = "label"
    suffix: str = ""  # what the table's file names lack
    fingerprint: str | None = None  # of the table when it was read

    @model_validator(mode="after")
    def _one_way(self) -> "LabelSource":
        if (self.from_name is None) == (self.table is None):
            raise ValueError("give either from_name or table")
        return self


class GroupSource(Section):
    """Images that belong together (a patient, a scene, a clip) and never cross splits."""

    by_folder: bool = False
    from_name: str | None = None  # a pattern such as {group}_{number}


class ReadAs(Section):
    """How labels and groups are read from a source."""

    labels: LabelSource | None = None  # null: by the class folders
    groups: GroupSource | None = None
    ignore: Names = ()  # names of files and folders to leave out; * and ? match any text


class Source(ReadAs):
    """Where a dataset comes from: exactly one of rendered, archives and folder, and how it is read."""

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
    """A dataset: its source, its image size, its backbone, and where it departs from the common settings."""

    kind: ImageKind
    source: Source
    image_size: ImageSize
    backbone: str
    last_layer: str | None = None  # null: the backbone's own
    recipe: Literal["course"] | None = None  # course: every variant trains a fixed number of epochs
    split: dict[str, Any] = {}
    network: dict[str, Any] = {}
    training: dict[str, Any] = {}
    transfer: dict[str, Any] = {}
    fine_tune: dict[str, Any] = {}

    @model_validator(mode="after")
    def _course_is_fixed(self) -> "Dataset":
        for name in ("training", "transfer", "fine_tune"):
            if self.recipe == "course" and getattr(self, name).get("length", "fixed") != "fixed":
                raise ValueError(f"{name}.length is {getattr(self, name)['length']!r}, but recipe: course is fixed")
        return self


def _flag_or_knobs(value: Any) -> Any:
    """Refuse what is neither; pydantic's own union would name its parts as if they were keys of the file."""
    if not isinstance(value, bool | dict):
        raise PydanticCustomError("flag_or_knobs", "Input should be true, false or a mapping of the knobs to change")
    return value


class Variant(BaseModel):
    """A variant: the baseline plus a diff. Keys not listed here override the section it trains by."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)

    # A mapping changes single knobs of the common section:
    augmentation: Annotated[bool | dict[str, Any], PlainValidator(_flag_or_knobs)] = False
    dropout: Share = 0.0
    transfer: bool = False
    fine_tune: bool = False
    # Variants that this one is compared with. Empty: the baseline, or the start of fine-tuning.
    against: Names = ()

    @field_validator("against", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _trains_one_way(self) -> "Variant":
        if self.transfer and self.fine_tune:
            raise ValueError("transfer and fine_tune are both true; leave out transfer, which fine_tune.start names")
        return self

    @property
    def overrides(self) -> dict[str, Any]:
        """What the variant changes in the section it trains by."""
        return self.model_extra or {}


class Robustness(Section):
    """Accuracy on perturbed copies of validation and test."""

    images_per_split: Annotated[int, Field(ge=0)]  # at most; 0 switches it off


class Sweep(Section):
    """Training on nested subsets, to see how accuracy and gap depend on the number of images."""

    enabled: bool
    shares: Annotated[tuple[Annotated[float, Field(gt=0.0, le=1.0)], ...], Field(strict=False, min_length=1)]
    variants: Names


class Explain(Section):
    """Which images the explain stage makes."""

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
        check_known("--dataset", name, self.datasets)
        return self.datasets[name]

    def variant(self, name: str) -> Variant:
        """Return a variant by name.

        Raises:
            UserError: there is none of that name.
        """
        check_known("--variant", name, self.variants)
        return self.variants[name]

    def against(self, name: str) -> tuple[str, ...]:
        """Return the variants that a variant is compared with."""
        variant = self.variant(name)
        return variant.against or ((self.fine_tune.start,) if variant.fine_tune else (BASELINE,))

    def split_rules(self, dataset: str) -> Split:
        """Return the split settings of a dataset."""
        rules: Split = self.of_dataset("split", dataset)
        return rules

    def of_dataset(self, section: str, dataset: str) -> Any:
        """Return a section, by name, with what the dataset changes in it."""
        data = self.dataset(dataset)
        overrides = getattr(data, section)
        if data.recipe == "course" and isinstance(getattr(self, section), Fit):
            overrides = {"length": "fixed"} | overrides
        return merge(getattr(self, section), overrides, f"datasets.{dataset}.{section}")
