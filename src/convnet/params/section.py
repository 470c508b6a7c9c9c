"""What all sections of params.yaml share: their base class and the types of their values."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

BASELINE = "baseline"  # the variant without a remedy
Labels = Literal["sparse", "one_hot"]
Language = Literal["en", "es"]
Pooling = Literal["flatten", "average"]
ImageKind = Literal["rendered", "photographs"]
Drawn = Literal["pets", "hands", "source"]  # the keys of render.RENDERED, whose import would cost every stage
SplitName = Literal["train", "validation", "test"]
SplitKind = Literal["fixed", "resplit", "folds"]  # one split, one per seed, or one test fold per seed
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # NumPy takes no larger one
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
ImageSize = Annotated[tuple[Positive, Positive], Field(strict=False)]
Names = Annotated[tuple[str, ...], Field(strict=False)]
Counts = Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)]


class Section(BaseModel):
    """A part of params.yaml: unknown keys, wrong types, NaN and infinity are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
