"""The work and the time of a pretrained network, from the recorded facts of keras.applications."""

import math

from convnet.params.applications import cost_of
from convnet.params.backbone import Backbone

UNKNOWN = 40_000  # multiplications per pixel, as in a network of 2 billion at 224 x 224
OF_A_NUMBER = 30  # multiplications in the time that one number takes through memory


def backbone_multiplications(backbone: Backbone | None, image_size: tuple[int, int]) -> tuple[float, float]:
    """Return the multiplications of one image up to the cut: of layers that stay frozen, and of those fine-tuned.

    Numbers that pass through memory count too, because they take most of the time of a narrow network.
    """
    pixels = math.prod(image_size)
    cost = cost_of(backbone.architecture, backbone.alpha) if backbone else None
    if cost is None:
        return 0.0, pixels * UNKNOWN
    trained = cost.trained / cost.multiplications
    work = pixels * (cost.multiplications + OF_A_NUMBER * cost.numbers)
    return (1 - trained) * work, trained * work
