"""What to try next on a dataset, from what is decided: at most three commands, each with its reason.

A rule proposes from verdicts and from intervals of the generalisation gap, never from the order of two means. More
seeds for open comparisons are not among the rules: the first screen lists them with their chances and their minutes.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from convnet.comparison.schema import Verdict
from convnet.evaluation.schema import Evaluation
from convnet.params.section import BASELINE
from convnet.report.tables import clipped_interval
from convnet.system.formats import points_interval
from convnet.system.language import mark, tr

MOST = 3  # suggestions per dataset
GAP = 0.05  # a gap above it is overfitting, one below it leaves room for a larger network
FEW_TEST_IMAGES = 200  # with fewer, a fixed test set leaves differences of 10 points open
AUGMENTING = {"augmentation", "augmented_strong"}


@dataclass(frozen=True)
class Suggestion:
    """A command and why it is worth its time."""

    reason: str
    command: str


@dataclass(frozen=True)
class Known:
    """What a dataset's run has found.

    Attributes:
        verdict: on the dataset.
        evaluations: of its variants.
        remedies: by variant, the names of its remedies.
        untried: of `convnet.pipeline.untried`: `folds` and `variants`.
    """

    verdict: Verdict
    evaluations: Sequence[Evaluation]
    remedies: Mapping[str, set[str]]
    untried: Mapping[str, Any]

    @property
    def helpers(self) -> list[Evaluation]:
        """The variants that help, in the order of the run."""
        return [evaluation for evaluation in self.evaluations if evaluation.variant in self.verdict.helpers]

    def first(self, fits: Callable[[Mapping[str, Any]], bool]) -> Mapping[str, Any] | None:
        """Return the first variant that the run lacks and that fits."""
        return next((variant for variant in self.untried["variants"] if fits(variant)), None)

    def has(self, names: set[str]) -> bool:
        """Return whether a variant of the run has one of these remedies."""
        return any(names & found for found in self.remedies.values())


Rule = Callable[[Known], Suggestion | None]


def next_tries(known: Known) -> list[Suggestion]:
    """Return the suggestions of the rules, the most valuable first, each command once."""
    found = [suggestion for rule in RULES if (suggestion := rule(known))]
    return list({suggestion.command: suggestion for suggestion in reversed(found)}.values())[::-1][:MOST]


def by_command(suggestions: Sequence[Suggestion]) -> dict[str, list[str]]:
    """Return the sentences of each command, each once: several datasets may have the same."""
    found: dict[str, list[str]] = {}
    for one in suggestions:
        sentences = found.setdefault(one.command, [])
        sentences += [sentence for sentence in re.split(r"(?<=\.) ", one.reason) if sentence not in sentences]
    return found


def _transfer(known: Known) -> Suggestion | None:
    """A pretrained backbone saw many more images than a small dataset has."""
    variant = known.first(lambda one: one["remedies"] == ["transfer"])
    if variant is None or any(evaluation.backbone for evaluation in known.evaluations):
        return None
    reason = mark("No variant on {dataset} uses a backbone that was trained on many other images.")
    return _add(variant, tr(reason, dataset=known.verdict.dataset))


def _augmentation(known: Known) -> Suggestion | None:
    """A network that overfits its images needs more of them, and changed copies are the cheapest."""
    variant = known.first(lambda one: one["remedies"] == ["augmentation"])
    baseline = next((one for one in known.evaluations if one.variant == BASELINE), None)
    if variant is None or baseline is None or known.has(AUGMENTING) or not _gap(baseline)[0] > GAP:
        return None
    reason = mark(
        "{variant} overfits on {dataset}: its gap is {gap} points over seeds. No variant augments its images."
    )
    return _add(variant, _with_gap(reason, known, baseline))


def _both(known: Known) -> Suggestion | None:
    """Two remedies that help alone may help more together."""
    for first, second in combinations([one.variant for one in known.helpers], 2):
        union = sorted(known.remedies[first] | known.remedies[second])
        if union in (sorted(known.remedies[first]), sorted(known.remedies[second])):
            continue
        if variant := known.first(lambda one, union=union: one["remedies"] == union):  # type: ignore[misc]
            reason = mark("{first} and {second} help on {dataset}. {variant} has the remedies of both.")
            names = {"first": first, "second": second, "variant": variant["name"]}
            return _add(variant, tr(reason, dataset=known.verdict.dataset, **names))
    return None


def _folds(known: Known) -> Suggestion | None:
    """Few test images leave large differences open; folds test every image once."""
    undecided = [row for row in known.verdict.comparisons if row.decision == "not decided"]
    if not undecided or not known.untried["folds"] or known.verdict.n_test >= FEW_TEST_IMAGES:
        return None
    reason = mark(
        "{dataset} has {test} test images, so even large differences stay open. Folds test all {all} images once."
    )
    numbers = {"test": known.verdict.n_test, "all": f"{sum(known.evaluations[0].counts.values()):,}"}
    return Suggestion(tr(reason, dataset=known.verdict.dataset, **numbers), "dvc exp run -S 'run.split=folds'")


def _larger(known: Known) -> Suggestion | None:
    """A network without a gap does not overfit, so more filters can learn more."""
    for evaluation in known.evaluations:
        if evaluation.backbone or evaluation.variant not in (BASELINE, *known.verdict.helpers):
            continue
        remedies = sorted(known.remedies[evaluation.variant] | {"network_size"})
        variant = known.first(lambda one, wanted=remedies: one["larger"] and one["remedies"] == wanted)  # type: ignore[misc]
        if variant and _gap(evaluation)[1] < GAP:
            reason = mark(
                "The gap of {variant} on {dataset} is only {gap} points over seeds, so {other} has room to learn."
            )
            return _add(variant, _with_gap(reason, known, evaluation, variant["name"]))
    return None


def _fewer_weights(known: Known) -> Suggestion | None:
    """A head on flattened feature maps has many weights; one on their averages has few."""
    variant = known.first(lambda one: one["remedies"] == ["transfer"] and one["pooling"] == "average")
    for evaluation in known.helpers:
        if variant and evaluation.recipe.get("pooling") == "flatten" and _gap(evaluation)[0] > GAP:
            reason = mark(
                "{variant} helps on {dataset} and still has a gap of {gap} points over seeds. The head of {other} has "
                "fewer weights."
            )
            return _add(variant, _with_gap(reason, known, evaluation, variant["name"]))
    return None


def _stronger(known: Known) -> Suggestion | None:
    """Augmentation that helps and leaves a gap may be too weak."""
    variant = known.first(lambda one: one["remedies"] == ["augmented_strong"])
    for evaluation in known.helpers:
        if variant and known.remedies[evaluation.variant] == {"augmentation"} and _gap(evaluation)[0] > GAP:
            reason = mark(
                "{variant} helps on {dataset} and leaves a gap of {gap} points over seeds. {other} changes images more."
            )
            return _add(variant, _with_gap(reason, known, evaluation, variant["name"]))
    return None


def _other_backbone(known: Known) -> Suggestion | None:
    """The accuracy of a frozen backbone depends on the images that it saw."""
    used = [evaluation.backbone for evaluation in known.helpers if evaluation.backbone]
    variant = known.first(lambda one: one["remedies"] == ["transfer"] and one["backbone"] not in (None, *used))
    if not used or variant is None:
        return None
    reason = mark("A head on {used} helps on {dataset}. Features of {other} may fit these images better.")
    names = {"used": used[0], "other": variant["backbone"]}
    return _add(variant, tr(reason, dataset=known.verdict.dataset, **names))


RULES: tuple[Rule, ...] = (
    _transfer,
    _augmentation,
    _both,
    _folds,
    _larger,
    _stronger,
    _fewer_weights,
    _other_backbone,
)


def _add(variant: Mapping[str, Any], reason: str) -> Suggestion:
    return Suggestion(reason, "dvc exp run " + " ".join(f"-S '{setting}'" for setting in variant["settings"]))


def _gap(evaluation: Evaluation) -> tuple[float, float]:
    """Return the 95 % interval of the generalisation gap over seeds; one seed has none, so no rule uses it."""
    return clipped_interval([run.generalisation_gap for run in evaluation.seeds], -1.0)


def _with_gap(reason: str, known: Known, evaluation: Evaluation, other: str = "") -> str:
    gap = points_interval(*_gap(evaluation))
    return tr(reason, variant=evaluation.variant, dataset=known.verdict.dataset, gap=gap, other=other)
