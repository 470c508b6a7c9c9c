"""Training of the upper part of a backbone, at a low rate."""

from collections.abc import Mapping
from typing import Any

from convnet.params.remedies import Remedy, Strength


def _used(recipe: Mapping[str, Any], baseline: Mapping[str, Any]) -> dict[str, Any] | None:
    if recipe["kind"] != "fine_tune":
        return None
    return {name: recipe[name] for name in ("start", "trainable_from")}


REMEDY = Remedy(
    sentence="The upper part of the backbone is trained too, at a low learning rate.",
    source='Yosinski et al., "How Transferable Are Features in Deep Neural Networks?", 2014',
    on_features="It changes the backbone, so features are computed in every step.",
    strength=Strength("learning_rate", 1e-6, 1e-4, "log"),
    used=_used,
)
