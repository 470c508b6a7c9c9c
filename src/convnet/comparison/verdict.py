"""Which remedy helps on one dataset, by how much, and how sure is that: the decision and its reasons.

Each variant is compared with the variants that it names (`against`): the baseline, or what it changes. `decisions`
holds the rule, `random_effects` the interval over seeds and test images, and `repeated_splits` the interval where each
seed has its own split. bench/correctness/simulate_verdict.py measures how often a decision is false. docs/method.md
gives the reasons.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from convnet.comparison.cautions import with_words
from convnet.comparison.decisions import MARGIN, SIGNIFICANCE, Decided, decide, find_helpers, find_leader
from convnet.comparison.looks import NO_LOOKS, compare_in_looks, last_look
from convnet.comparison.paired import Difference, compare
from convnet.comparison.schema import (
    Comparison,
    Deciding,
    HelperPair,
    Imbalance,
    IntervalKind,
    VariantSummary,
    Verdict,
)
from convnet.comparison.variant_summary import summarise_variant
from convnet.data.splits import IMBALANCE
from convnet.evaluation.schema import Evaluation, TrivialModel, TrivialScores
from convnet.params.section import BASELINE, SplitKind
from convnet.system.errors import UserError

INTERVALS: dict[SplitKind, IntervalKind] = {
    "fixed": "seeds and test images",
    "resplit": "seeds and splits",
    "folds": "folds and test images",
}
DIGITS = 10  # significant digits kept, so that the last bits of a sum do not change the file


def verdict(
    evaluations: Sequence[Evaluation],
    trivial: Sequence[TrivialModel] = (),
    against: Mapping[str, Sequence[str]] | None = None,
    margin: float = MARGIN,
    baseline: str = BASELINE,
    looks: Sequence[int] = (),
) -> Verdict:
    """Judge every variant of one dataset.

    Args:
        evaluations: one per variant.
        trivial: the trivial models of the dataset.
        against: by variant, the variants that it is compared with. The baseline replaces missing ones.
        margin: share of accuracy; a smaller difference does not matter.
        baseline: the variant without a remedy.
        looks: the declared numbers of seeds, rising; empty: one look, at all seeds.

    Raises:
        UserError: no evaluations, several datasets, a variant twice, or test images that differ between variants.
    """
    _check(evaluations)
    ordered = sorted(evaluations, key=lambda e: (e.variant != baseline, e.variant))
    first = ordered[0]
    imbalance = _imbalance(first)
    balanced = imbalance.ratio is None or imbalance.ratio > IMBALANCE
    metric: Deciding = "balanced_accuracy" if balanced else "accuracy"
    variants = [summarise_variant(evaluation, trivial, metric) for evaluation in ordered]
    comparisons = _compare(ordered, metric, against or {}, margin, baseline, looks)
    helpers = _helpers(comparisons, variants, metric, baseline)
    pairs, leader = _compare_helpers([e for name in helpers for e in ordered if e.variant == name], metric, looks)
    result = Verdict(
        **{name: getattr(first, name) for name in ("dataset", "kind", "classes")},
        split=first.split,
        baseline=baseline if first.variant == baseline else None,
        metric=metric,
        n_test=variants[0].n_test,
        margin=margin,
        looks=list(looks),
        imbalance=imbalance,
        variants=variants,
        comparisons=comparisons,
        helpers=helpers,
        pairs=pairs,
        leader=leader,
        trivial=[TrivialScores(**row.model_dump(exclude={"test_predictions"})) for row in trivial],
        warnings=[],
    )
    worded = with_words(result, ordered, against or {}, baseline)
    return Verdict.model_validate(_rounded(worded.model_dump()))


def _check(evaluations: Sequence[Evaluation]) -> None:
    if not evaluations:
        raise UserError("an evaluation to judge is missing; run `dvc repro` to train and evaluate at least one variant")
    datasets = sorted({e.dataset for e in evaluations})
    if len(datasets) > 1:
        raise UserError(f"a verdict is about one dataset, but these are {', '.join(datasets)}; judge them one by one")
    names = [e.variant for e in evaluations]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"variant {twice[0]} of {datasets[0]} was evaluated twice; remove one of its evaluations")


def _compare(
    evaluations: Sequence[Evaluation],
    metric: Deciding,
    against: Mapping[str, Sequence[str]],
    margin: float,
    baseline: str,
    looks: Sequence[int],
) -> list[Comparison]:
    """Compare each variant with those that it names, and decide all comparisons together."""
    known = {evaluation.variant: evaluation for evaluation in evaluations}
    pairs = [
        (known[other], evaluation)
        for name, evaluation in known.items()
        if name != baseline
        for other in _named(known, against.get(name, ()), baseline)
    ]
    compared = compare_in_looks(pairs, metric, margin, looks or NO_LOOKS)
    # The level at which Holm's procedure decides the next comparison, if the other open ones stay open.
    undecided = [row.decision for _, row in compared].count("not decided")
    level = SIGNIFICANCE / max(undecided, 1) / max(len(looks), 1)
    return [_comparison(difference, row, level, margin) for difference, row in compared]


def _named(known: Mapping[str, Evaluation], names: Sequence[str], baseline: str) -> list[str]:
    """Return the variants to compare with: those of `names` that exist, or the baseline if it exists."""
    return [name for name in dict.fromkeys(names) if name in known] or [name for name in (baseline,) if name in known]


def _comparison(difference: Difference, decided: Decided, level: float, margin: float) -> Comparison:
    estimate = difference.estimate
    return Comparison(
        variant=difference.variant,
        baseline=difference.baseline,
        **decided._asdict(),
        mean=estimate.mean,
        interval=estimate.interval(),
        interval_kind=_interval_kind(difference),
        standard_error=estimate.standard_error,
        seed_share=difference.seed_share,
        needed=difference.needed(level, margin) if decided.decision == "not decided" else None,
        seeds=difference.seeds,
        seeds_left_out=difference.left_out,
        n_test=difference.n_test,
        n_groups=difference.n_groups,
        paired=difference.paired,
        split=difference.split,
        metrics=difference.metrics,
    )


def _interval_kind(difference: Difference) -> IntervalKind:
    if len(difference.seeds) == 1:
        return "test images only"
    return INTERVALS[difference.split]


def _helpers(
    comparisons: Sequence[Comparison], variants: Sequence[VariantSummary], metric: Deciding, baseline: str
) -> list[str]:
    helping = [(row.variant, row.baseline) for row in comparisons if row.decision == "helps"]
    means = {row.variant: row.mean_of(metric) for row in variants}
    return sorted(find_helpers(helping, baseline), key=lambda name: (-means[name], name))


def _compare_helpers(
    helpers: Sequence[Evaluation], metric: Deciding, looks: Sequence[int]
) -> tuple[list[HelperPair], str | None]:
    """Compare every two helpers, corrected apart; return the pairs, and the helper ahead of all others."""
    both = [(second, first) for i, first in enumerate(helpers) for second in helpers[i + 1 :]]
    differences = [compare(*pair, metric, last_look(*pair, looks)) for pair in both]
    # Without a margin: a small difference may still show which of two is ahead.
    decided = decide([difference.estimate for difference in differences], 0.0, max(len(looks), 1))
    pairs = [
        HelperPair(
            first=difference.variant,
            second=difference.baseline,
            mean=difference.estimate.mean,
            interval=difference.estimate.interval(),
            p=row.p,
            p_holm=row.p_holm,
            ahead={"helps": difference.variant, "hurts": difference.baseline}.get(row.decision),
        )
        for difference, row in zip(differences, decided, strict=True)
    ]
    leader = find_leader([e.variant for e in helpers], {(pair.first, pair.second): pair.ahead for pair in pairs})
    return pairs, leader


def _imbalance(evaluation: Evaluation) -> Imbalance:
    confusion = evaluation.seeds[0].splits["train"].confusion
    counts = {name: sum(row) for name, row in zip(evaluation.classes, confusion, strict=True)}
    smallest, largest = min(counts.values()), max(counts.values())
    return Imbalance(train_images=counts, ratio=largest / smallest if smallest else None)


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UserError(
                "an evaluation holds a number that is not finite: training diverged; lower the learning rate"
            )
        return float(f"{value:.{DIGITS}g}")
    return value
