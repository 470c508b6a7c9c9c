"""The sections of params.yaml about networks and training, and the variants that change them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, field_validator, model_validator
from pydantic_core import PydanticCustomError

from convnet.params.remedies import named_remedies
from convnet.params.section import Counts, ImageSize, Labels, Names, Pooling, Positive, Section, Share


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

    backbone: str | None = None  # null: the dataset's
    last_layer: str | None = None  # null: the dataset's, or the backbone's own
    image_size: ImageSize | None = None  # that the backbone sees; null: the dataset's
    pooling: Pooling
    dense: Positive
    augmented_views: Positive  # augmented copies of each training image whose features are cached
    fresh_views: bool  # true: new draws every epoch, end to end on pixels (slow)


class FineTune(Fit):
    """Training goes on from a transfer variant, with the upper part of the backbone unfrozen."""

    start: str
    trainable_from: str | None  # null: the backbone's own


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
    def remedies(self) -> dict[str, Any]:
        """The remedies of `convnet.remedies` that the variant names, with what it gives them, not yet checked."""
        return named_remedies(self.model_extra or {})[0]

    @property
    def overrides(self) -> dict[str, Any]:
        """What the variant changes in the section it trains by."""
        return named_remedies(self.model_extra or {})[1]
