"""The section of params.yaml about pretrained backbones."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from convnet.params.applications import architectures, complete, has_widths
from convnet.params.messages import nearest
from convnet.params.presets import DEFAULTS, command_of, is_preset
from convnet.params.section import Counts, Drawn, ImageSize, Names, Positive, Section, Seed, Sha256
from convnet.params.training import Augmentation, Fit

Level = float | Annotated[tuple[float, float, float], Field(strict=False)]  # of all channels, or of red, green, blue


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
    knobs: Augmentation | None = None  # of its own augmentation; blank: those of the section `augmentation`
    seed: Seed

    def augmented_by(self, common: Augmentation) -> Augmentation | None:
        """Return the knobs of the augmentation, None without one; `common` are those of the variants."""
        return (self.knobs or common) if self.augmentation else None


class Backbone(Section):
    """A pretrained network, cut at `last_layer`. A network of keras.applications knows every setting."""

    architecture: str  # compact, a name of keras.applications, or hub: and the name of a KerasHub preset
    alpha: Annotated[float, Field(gt=0.0)] | None = None  # width multiplier of a MobileNet
    weights: Weights | None = None
    pretrain: Pretrain | None = None
    seen: str  # what it was trained on, for the report
    input_range: Annotated[tuple[Level, Level], Field(strict=False)]  # what pixels 0 and 255 become
    channels: Literal["rgb", "bgr"] = "rgb"  # order in which it was trained; images are always RGB
    smallest_image: Positive  # pixels, the shorter side
    native_size: Positive | None = None  # pixels, the side it was trained on
    last_layer: str
    trainable_from: str
    explain_layers: Names

    @property
    def is_preset(self) -> bool:
        """Whether it is a KerasHub preset, which has a pooled output and no feature maps."""
        return is_preset(self.architecture)

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return DEFAULTS | dict(value) if is_preset(str(value.get("architecture"))) else complete(value)

    @field_validator("architecture")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in (known := ["compact", *architectures()]) and not is_preset(value):
            raise ValueError(f"{value!r} is not a network{nearest(value, known)}")
        return value

    @field_validator("input_range")
    @classmethod
    def _increases(cls, value: tuple[Level, Level]) -> tuple[Level, Level]:
        low, high = (level if isinstance(level, tuple) else (level,) * 3 for level in value)
        if any(lowest >= highest for lowest, highest in zip(low, high, strict=True)):
            raise ValueError(f"{list(value)} does not increase; write the lowest number first")
        return value

    @model_validator(mode="after")
    def _possible(self) -> "Backbone":
        if self.alpha is not None and not has_widths(self.architecture):
            raise ValueError(f"`alpha` is {self.alpha}, but only a MobileNet has one; take it out")
        if self.weights is None and self.pretrain is None and self.alpha is not None:
            raise ValueError(f"`alpha` is {self.alpha}, but weights of this width are not published; give `weights`")
        if self.is_preset and (self.weights is None or self.weights.sha256 is None):
            raise ValueError(f"the preset has no hash here; type: {command_of(self.architecture)}")
        if (self.weights is None) == (self.pretrain is None):
            raise ValueError("give either `weights` (a file) or `pretrain` (trained here), not both or neither")
        if self.pretrain is not None and self.architecture != "compact":
            raise ValueError(f"`pretrain` trains the architecture compact only; give {self.architecture} `weights`")
        return self


def _with_applications(value: Any) -> Any:
    """Add an empty entry for every network of keras.applications; an entry of such a name needs no architecture."""
    if not isinstance(value, Mapping):
        return value
    named = {name: {"architecture": name} for name in architectures()}
    named_or_preset = named | {name: {"architecture": name} for name in map(str, value) if is_preset(name)}
    given = {
        name: {**named_or_preset.get(name, {}), **entry} if isinstance(entry, Mapping) else entry
        for name, entry in value.items()
    }
    return named | given


Backbones = Annotated[dict[str, Backbone], BeforeValidator(_with_applications)]
