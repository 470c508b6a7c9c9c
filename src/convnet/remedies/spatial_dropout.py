"""Whole feature maps dropped while training."""

from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from convnet.params.remedies import Remedy, Strength
from convnet.params.section import Section


class SpatialDropout(Section):
    """How many maps are dropped."""

    rate: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.2  # share of the maps behind every block


def _build(settings: SpatialDropout, parts: Any) -> Any:
    """Drop maps behind every block."""
    from keras import layers

    def block(x: Any, filters: int, number: int) -> Any:
        dropout = layers.SpatialDropout2D(settings.rate, name=f"spatial_dropout{number}")
        return dropout(parts.block(x, filters, number))

    return replace(parts, block=block)


REMEDY = Remedy(
    sentence="Every step drops a random share of the feature maps behind each block of the network.",
    source='Tompson et al., "Efficient Object Localization Using Convolutional Networks", 2015',
    settings=SpatialDropout,
    on_features="It changes the small CNN, which a head on a backbone does not have.",
    refuses_features=True,
    strength=Strength("rate", 0.05, 0.5, "linear"),
    network=_build,
)
