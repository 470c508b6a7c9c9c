"""A learning rate that falls along half a cosine."""

from collections.abc import Mapping
from typing import Any

from convnet.params.remedies import Remedy


def _used(recipe: Mapping[str, Any], baseline: Mapping[str, Any]) -> dict[str, Any] | None:
    schedule = recipe["fit"]["learning_rate_schedule"]
    cosine = schedule == "cosine" and baseline["fit"]["learning_rate_schedule"] != "cosine"
    return {"learning_rate_schedule": schedule} if cosine and recipe["kind"] == baseline["kind"] else None


REMEDY = Remedy(
    sentence="The learning rate falls along half a cosine to 0, so the last steps are small.",
    source='Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017',
    on_features="It acts on the training of the head.",
    used=_used,
)
