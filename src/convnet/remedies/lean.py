"""Batch normalisation and global average pooling in the small CNN."""

from dataclasses import replace
from typing import Any

from convnet.params.remedies import Remedy
from convnet.params.section import Section


class Lean(Section):
    """It is on or off: the filters and the dense layer are settings of the network."""


def _build(settings: Lean, parts: Any) -> Any:
    """Normalise every convolution, and average every map before the dense layer."""
    from keras import layers

    def block(x: Any, filters: int, number: int) -> Any:
        x = layers.Conv2D(filters, 3, use_bias=False, name=f"conv{number}")(x)
        # Keras' momentum of 0.99 is too slow for a few hundred steps.
        x = layers.BatchNormalization(momentum=0.9, name=f"norm{number}")(x)
        x = layers.Activation("relu", name=f"relu{number}")(x)
        return layers.MaxPooling2D(2, name=f"pool{number}")(x)

    return replace(parts, block=block, bridge=layers.GlobalAveragePooling2D(name="average"))


REMEDY = Remedy(
    sentence="Batch normalisation follows every convolution, and averages of feature maps replace their flat copy.",
    source='Lin et al., "Network In Network", 2014; Ioffe and Szegedy, "Batch Normalization", 2015',
    settings=Lean,
    on_features="It changes the small CNN, which a head on a backbone does not have.",
    refuses_features=True,
    network=_build,
)
