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
    augments = any(AUGMENTING & found for found in known.remedies.values())
    return _by_gap(
        [] if augments else [one for one in known.evaluations if one.variant == BASELINE],
        known,
        lambda one, _: one["remedies"] == ["augmentation"],
        mark("{variant} overfits on {dataset}: its gap is {gap} points over seeds. No variant augments its images."),
    )


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
    good = (BASELINE, *known.verdict.helpers)
    return _by_gap(
        [one for one in known.evaluations if not one.backbone and one.variant in good],
        known,
        lambda one, remedies: one["larger"] and one["remedies"] == sorted(remedies | {"network_size"}),
        mark("The gap of {variant} on {dataset} is only {gap} points over seeds, so {other} has room to learn."),
        closed=True,
    )


def _fewer_weights(known: Known) -> Suggestion | None:
    """A head on flattened feature maps has many weights; one on their averages has few."""
    return _by_gap(
        [one for one in known.helpers if one.recipe.get("pooling") == "flatten"],
        known,
        lambda one, _: one["remedies"] == ["transfer"] and one["pooling"] == "average",
        mark(
            "{variant} helps on {dataset} with a gap of {gap} points over seeds. The head of {other} has fewer weights."
        ),
    )


def _stronger(known: Known) -> Suggestion | None:
    """Augmentation that helps and leaves a gap may be too weak."""
    return _by_gap(
        [one for one in known.helpers if known.remedies[one.variant] == {"augmentation"}],
        known,
        lambda one, _: one["remedies"] == ["augmented_strong"],
        mark("{variant} helps on {dataset} and leaves a gap of {gap} points over seeds. {other} changes images more."),
    )


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


def _by_gap(
    evaluations: Sequence[Evaluation],
    known: Known,
    fits: Callable[[Mapping[str, Any], set[str]], bool],
    reason: str,
    closed: bool = False,
) -> Suggestion | None:
    """Return a suggestion for the first variant that has a gap, or none if `closed`, and a variant that fits.

    The interval of the gap over seeds decides. One seed has no interval, so it proposes nothing.
    """
    for one in evaluations:
        low, high = clipped_interval([run.generalisation_gap for run in one.seeds], -1.0)
        remedies = known.remedies[one.variant]
        variant = known.first(lambda other, remedies=remedies: fits(other, remedies))  # type: ignore[misc]
        if variant and (high < GAP if closed else low > GAP):
            names = {"variant": one.variant, "dataset": known.verdict.dataset, "other": variant["name"]}
            return _add(variant, tr(reason, gap=points_interval(low, high), **names))
    return None
