"""Derived variants: made from finished jobs of another variant, without training.

The other variant is the one with the same settings apart from the derived remedy: `tta: {tta: 8}` belongs to
`baseline: {}`, and `{transfer: true, ensemble: 2}` to `{transfer: true}`.
"""

from collections.abc import Mapping

from convnet.params.remedies import find_remedies, read_settings
from convnet.params.training import Variant
from convnet.system.errors import UserError


def derived_remedy(variant: Variant) -> str | None:
    """Return the remedy that makes a variant from another one, or None."""
    found = (name for name, given in variant.remedies.items() if given is not False and find_remedies()[name].derived)
    return next(found, None)


def group_size(variant: Variant) -> int:
    """Return how many networks one result of a variant is made of."""
    remedy = derived_remedy(variant)
    knob = find_remedies()[remedy].members if remedy else None
    if remedy is None or knob is None:
        return 1
    return int(getattr(read_settings(remedy, variant.remedies[remedy], "variants"), knob))


def base_of(variants: Mapping[str, Variant], name: str) -> str | None:
    """Return the variant that a derived variant is made from; None for a variant that trains.

    Raises:
        UserError: no variant has its other settings.
    """
    remedy = derived_remedy(variants[name])
    if remedy is None:
        return None
    wanted = _settings(variants[name])
    del wanted[remedy]
    for other, variant in variants.items():
        if other != name and _settings(variant) == wanted:
            return other
    raise UserError(
        f"params.yaml: variants.{name} has {remedy}, but no variant has only its other settings; add one that {remedy} "
        "is made from"
    )


def _settings(variant: Variant) -> dict[str, object]:
    return {key: value for key, value in variant.model_dump().items() if key != "against"}
