"""A variant on the page: one line on its remedy, its recipe beside that of the variant it changes, and its layers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convnet.comparison.schema import Verdict
from convnet.evaluation.schema import Evaluation
from convnet.report.networks import Layer, loss_words, network_layers
from convnet.system.formats import plural
from convnet.system.language import tr

NOT_SETTINGS = ("dataset", "variant", "image_size", "kind")


@dataclass(frozen=True)
class VariantPart:
    """One variant, as the page shows it."""

    name: str
    line: str
    loss: str
    compared_with: str | None
    settings: list[tuple[str, str, str]]  # name, value, and the value of the variant compared with
    layers: list[Layer]

    @property
    def changed(self) -> int:
        """The number of settings that differ."""
        return sum(value != other for _, value, other in self.settings)


def variant_parts(
    evaluations: Sequence[Evaluation],
    verdict: Verdict,
    backbone: Sequence[Mapping[str, Any]],
    effects: Mapping[str, Sequence[str]],
) -> list[VariantPart]:
    """Return all variants of a dataset.

    Args:
        evaluations: of the variants.
        verdict: names the variant that each one is compared with.
        backbone: rows of layers.json.
        effects: by variant, a sentence on each of its remedies.
    """
    known = {evaluation.variant: evaluation for evaluation in evaluations}
    others = {row.variant: row.baseline for row in reversed(verdict.comparisons)}
    return [
        _part(evaluation, known.get(others.get(name, "")), backbone, effects.get(name, ()))
        for name, evaluation in known.items()
    ]


def _part(
    evaluation: Evaluation,
    other: Evaluation | None,
    backbone: Sequence[Mapping[str, Any]],
    effects: Sequence[str],
) -> VariantPart:
    own = dict(flat_settings(evaluation.recipe))
    theirs = dict(flat_settings(other.recipe)) if other else own
    names = [name for name in (own | theirs) if name not in NOT_SETTINGS]
    same_network = other is not None and network_line(other) == network_line(evaluation)
    return VariantPart(
        name=evaluation.variant,
        line=" ".join(effects if effects and same_network else [network_line(evaluation), *effects]),
        loss=loss_words(len(evaluation.classes), evaluation.recipe["fit"]["labels"]),
        compared_with=other.variant if other else None,
        settings=[(name, own.get(name, tr("not set")), theirs.get(name, tr("not set"))) for name in names],
        layers=network_layers(evaluation, backbone) if _has_layers(evaluation, backbone) else [],
    )


def _has_layers(evaluation: Evaluation, backbone: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the recipe and the rows of the backbone give all layers."""
    return bool(backbone or not evaluation.backbone) and "probe" not in evaluation.recipe.get("remedies", {})


def network_line(evaluation: Evaluation) -> str:
    """Return a sentence on the network of a variant."""
    recipe = evaluation.recipe
    if recipe["kind"] == "fine_tune":
        rate = f"{recipe['fit']['learning_rate']:.10f}".rstrip("0")  # never 1e-05
        return tr(
            "{start} trained further at the rate {rate}, with the backbone unfrozen from {first} up.",
            start=recipe["start"],
            rate=rate,
            first=recipe["trainable_from"],
        )
    if "probe" in recipe.get("remedies", {}):
        return tr("A logistic regression on the frozen backbone {backbone}.", backbone=recipe["backbone"])
    if evaluation.backbone:
        units, backbone = plural(recipe["dense"], "unit"), recipe["backbone"]
        return tr("A new head of {units} on the frozen backbone {backbone}.", units=units, backbone=backbone)
    filters = "-".join(map(str, recipe["network"]["filters"]))
    units = plural(recipe["network"]["dense"], "dense unit")
    return tr("A small CNN with {filters} filters and {units}.", filters=filters, units=units)


def flat_settings(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested settings as (dotted name, value); unset ones are left out."""
    rows: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            rows += flat_settings(value, f"{prefix}{name}.")
        elif value is not None:
            rows.append((f"{prefix}{name}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return rows
