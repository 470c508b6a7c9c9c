"""Training that ends where the validation loss stops improving."""

from collections.abc import Mapping
from typing import Any

from convnet.params.remedies import Remedy, Strength


def _used(recipe: Mapping[str, Any], baseline: Mapping[str, Any]) -> dict[str, Any] | None:
    epochs = recipe["fit"]["early_stopping"]
    return None if epochs is None or baseline["fit"]["early_stopping"] == epochs else {"epochs": epochs}


REMEDY = Remedy(
    sentence="Training ends after some epochs without a better validation loss, and the best epoch is kept.",
    source='Prechelt, "Early Stopping - But When?", 1998',
    on_features="It acts on the training of the head.",
    strength=Strength("early_stopping", 2, 20, "log"),
    used=_used,
)
