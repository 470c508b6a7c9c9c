"""A smaller or larger CNN than the baseline's."""

from collections.abc import Mapping
from typing import Any

from convnet.params.remedies import Remedy


def _used(recipe: Mapping[str, Any], baseline: Mapping[str, Any]) -> dict[str, Any] | None:
    network = recipe.get("network")
    return network if network and network != baseline.get("network") else None


REMEDY = Remedy(
    sentence="The CNN has another number of filters or of dense units than that of the baseline.",
    source='Chollet, "Deep Learning with Python", 2nd edition, 2021',
    on_features="It changes the small CNN, which a head on a backbone does not have.",
    used=_used,
)
