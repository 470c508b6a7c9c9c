"""The sections of params.yaml about datasets: their sources, images and splits."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from convnet.params.section import Drawn, ImageKind, ImageSize, Names, Positive, Section, Seed, Sha256, SplitName

Grey = Annotated[int, Field(ge=0, le=65535)]


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
    images: dict[str, Any] = Field(default_factory=dict)
    split: dict[str, Any] = Field(default_factory=dict)
    network: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    transfer: dict[str, Any] = Field(default_factory=dict)
    fine_tune: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _course_is_fixed(self) -> "Dataset":
        for name in ("training", "transfer", "fine_tune"):
            if self.recipe == "course" and getattr(self, name).get("length", "fixed") != "fixed":
                raise ValueError(f"{name}.length is {getattr(self, name)['length']!r}, but recipe: course is fixed")
        return self
