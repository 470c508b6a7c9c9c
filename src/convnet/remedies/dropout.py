"""Dropout before the output layer."""

from collections.abc import Mapping
from typing import Any

from convnet.params.remedies import Remedy, Strength


def _used(recipe: Mapping[str, Any], baseline: Mapping[str, Any]) -> dict[str, Any] | None:
    return {"rate": recipe["dropout"]} if recipe.get("dropout") else None


REMEDY = Remedy(
    sentence="Every step drops a random share of the dense layer's outputs.",
    source='Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014',
    on_features="It acts on the dense layer of the head.",
    strength=Strength("dropout", 0.1, 0.7, "linear"),
    used=_used,
)
