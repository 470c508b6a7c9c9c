"""The section of params.yaml about pretrained backbones."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from convnet.params.section import Counts, Drawn, ImageSize, Names, Positive, Section, Seed, Sha256
from convnet.params.training import Fit


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
