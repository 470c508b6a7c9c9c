"""A variant on the page: one line on its remedy, its recipe beside that of the variant it changes, and its layers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convnet.comparison.schema import Verdict
from convnet.evaluation.schema import Evaluation
from convnet.params.remedies import Remedy, find_remedies
from convnet.params.section import BASELINE
from convnet.report.networks import Layer, loss_words, network_layers
from convnet.system.formats import plural

IN_NETWORK_LINE = ("transfer", "fine_tune", "network_size")
FEW_KNOBS = 2  # more are in the recipe only
NOT_SETTINGS = ("dataset", "variant", "image_size", "kind")


@dataclass(frozen=True)
class VariantPart:
    """One variant, as the page shows it."""

    name: str
    line: str
    sources: list[str]  # of its remedies
    loss: str
    compared_with: str | None
    settings: list[tuple[str, str, str]]  # name, value, and the value of the variant compared with
    layers: list[Layer]

    @property
    def changed(self) -> int:
        """The number of settings that differ."""
        return sum(value != other for _, value, other in self.settings)


def variant_parts(
    evaluations: Sequence[Evaluation], verdict: Verdict, backbone: Sequence[Mapping[str, Any]]
) -> list[VariantPart]:
    """Return all variants of a dataset; `backbone` are the rows of layers.json."""
    known = {evaluation.variant: evaluation for evaluation in evaluations}
    others = {row.variant: row.baseline for row in reversed(verdict.comparisons)}
    return [
        _part(evaluation, known.get(others.get(name, "")), known.get(BASELINE), backbone)
        for name, evaluation in known.items()
    ]


def _part(
    evaluation: Evaluation,
    other: Evaluation | None,
    baseline: Evaluation | None,
    backbone: Sequence[Mapping[str, Any]],
) -> VariantPart:
    remedies = used_remedies(evaluation, baseline or evaluation)
    own = dict(flat_settings(evaluation.recipe))
    theirs = dict(flat_settings(other.recipe)) if other else own
    names = [*own, *(name for name in theirs if name not in own)]
    return VariantPart(
        name=evaluation.variant,
        line=" ".join([network_line(evaluation), *(_sentence(remedy, knobs) for remedy, knobs in remedies)]),
        sources=[remedy.source for remedy, _ in remedies],
        loss=loss_words(len(evaluation.classes), evaluation.recipe["fit"]["labels"]),
        compared_with=other.variant if other else None,
        settings=[
            (name, own.get(name, "not set"), theirs.get(name, "not set")) for name in names if name not in NOT_SETTINGS
        ],
        layers=network_layers(evaluation, backbone) if _has_layers(evaluation, backbone) else [],
    )


def _has_layers(evaluation: Evaluation, backbone: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the recipe and the rows of the backbone give all layers."""
    return bool(backbone or not evaluation.backbone) and "probe" not in evaluation.recipe.get("remedies", {})


def network_line(evaluation: Evaluation) -> str:
    """Return a sentence on the network of a variant."""
    recipe = evaluation.recipe
    if recipe["kind"] == "fine_tune":
        rate = recipe["fit"]["learning_rate"]
        return (
            f"{recipe['start']} trained further at the rate {rate:g}, with the backbone unfrozen from "
            f"{recipe['trainable_from']} up."
        )
    if "probe" in recipe.get("remedies", {}):
        return f"A logistic regression on the frozen backbone {recipe['backbone']}."
    if evaluation.backbone:
        return f"A new head of {plural(recipe['dense'], 'unit')} on the frozen backbone {recipe['backbone']}."
    filters = "-".join(map(str, recipe["network"]["filters"]))
    return f"A small CNN with {filters} filters and {plural(recipe['network']['dense'], 'dense unit')}."


def used_remedies(evaluation: Evaluation, baseline: Evaluation) -> list[tuple[Remedy, Mapping[str, Any]]]:
    """Return the remedies of a variant with their knobs, without those that `network_line` describes."""
    recipe, found = evaluation.recipe, []
    for name, remedy in find_remedies().items():
        if name in IN_NETWORK_LINE:
            continue
        knobs = remedy.used(recipe, baseline.recipe) if remedy.used else recipe.get("remedies", {}).get(name)
        if knobs is not None:
            found.append((remedy, knobs))
    return found


def _sentence(remedy: Remedy, knobs: Mapping[str, Any]) -> str:
    """Return the sentence of a remedy with its knobs, if they are few."""
    listed = ", ".join(f"{name} {value}" for name, value in knobs.items())
    return f"{remedy.sentence.rstrip('.')} ({listed})." if 0 < len(knobs) <= FEW_KNOBS else remedy.sentence


def flat_settings(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested settings as (dotted name, value); unset ones are left out."""
    rows: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            rows += flat_settings(value, f"{prefix}{name}.")
        elif value is not None:
            rows.append((f"{prefix}{name}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return rows
