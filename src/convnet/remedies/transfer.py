"""A head on a pretrained, frozen backbone."""

from collections.abc import Mapping
from typing import Any

from convnet.params.remedies import Remedy


def _used(recipe: Mapping[str, Any], baseline: Mapping[str, Any]) -> dict[str, Any] | None:
    if not recipe.get("backbone"):
        return None
    return {name: recipe[name] for name in ("backbone", "last_layer", "pooling", "dense")}


REMEDY = Remedy(
    sentence="A network trained on other images computes the features, and only a small head is trained.",
    source='Yosinski et al., "How Transferable Are Features in Deep Neural Networks?", 2014',
    on_features="The features of the frozen backbone are cached.",
    used=_used,
)
