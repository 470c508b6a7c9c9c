"""Variants that combine others, such as `combined: [augmented, mixup]`."""

from collections.abc import Mapping
from typing import Any


def combine_variants(variants: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variants with every list of names replaced by all that the named ones change.

    Raises:
        ValueError: a name is not defined or is itself a list, or two of them change the same key.
    """
    return {name: _combine(name, diff, variants) if isinstance(diff, list) else diff for name, diff in variants.items()}


def _combine(variant: str, parts: list[Any], variants: Mapping[str, Any]) -> dict[str, Any]:
    combined: dict[str, Any] = {}
    given_by: dict[str, str] = {}
    for part in parts:
        diff = variants.get(part) if isinstance(part, str) else None
        if not isinstance(diff, dict):
            raise ValueError(f"{variant} names {part!r}, which is not a variant with settings of its own; name another")
        for key, value in diff.items():
            if key == "against":  # a comparison, not a setting
                continue
            if key in combined and combined[key] != value:
                other = given_by[key]
                raise ValueError(f"{variant} names {other} and {part}, which both change {key}; take one out")
            combined[key], given_by[key] = value, part
    return combined
