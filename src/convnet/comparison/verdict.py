"""Which remedy helps on one dataset, by how much, and how sure is that: the decision and its reasons.

The rule: a variant "helps" or "hurts" if its p from the interval over seeds and test images (`random_effects`; with own
splits per seed, `repeated_splits`) is at most 0.05 after Holm's correction over all variants of the dataset; the sign
of the mean difference says which. If no variant truly differs, the chance of any false decision on the dataset is about
5 %, and of a false "helps" half of that; bench/simulate_verdict.py measures both. docs/method.md gives the reasons.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from convnet.comparison.paired import Difference, compare, correct
from convnet.comparison.random_effects import balanced_values, crossed_estimate, image_step
from convnet.comparison.schema import (
    AgainstTrivial,
    Comparison,
    Deciding,
    Decision,
    Imbalance,
    IntervalKind,
    Summary,
    VariantSummary,
    Verdict,
)
from convnet.comparison.statistics import holm, wilson_interval
from convnet.comparison.wording import comparison_sentence, warning_sentences
from convnet.evaluation.metrics import METRICS
from convnet.evaluation.schema import Evaluation, TrivialModel, TrivialScores
from convnet.system.errors import UserError

SIGNIFICANCE = 0.05
# From here on plain accuracy flatters a model that prefers the largest class.
IMBALANCE = 1.5
DIGITS = 10  # significant digits kept, so that the last bits of a sum do not change the file
BASELINE = "baseline"


def verdict(
    evaluations: Sequence[Evaluation], trivial: Sequence[TrivialModel] = (), baseline: str = BASELINE
) -> Verdict:
    """Judge every variant of one dataset against the baseline.

    Args:
        evaluations: one per variant.
        trivial: the trivial models of the dataset.
        baseline: the variant all others are compared with.

    Raises:
        UserError: no evaluations, several datasets, a variant twice, or test images that differ between variants.
    """
    _check(evaluations)
    ordered = sorted(evaluations, key=lambda e: (e.variant != baseline, e.variant))
    first = ordered[0]
    imbalance = _imbalance(first)
    balanced = imbalance.ratio is None or imbalance.ratio > IMBALANCE
    metric: Deciding = "balanced_accuracy" if balanced else "accuracy"
    variants = [_variant_row(evaluation, trivial, metric) for evaluation in ordered]
    has_baseline = first.variant == baseline
    comparisons = _decide([compare(first, other, metric) for other in ordered[1:]] if has_baseline else [], baseline)
    result = Verdict(
        dataset=first.dataset,
        kind=first.kind,
        classes=first.classes,
        resplit=any(evaluation.resplit for evaluation in ordered),
        baseline=baseline if has_baseline else None,
        metric=metric,
        n_test=variants[0].n_test,
        imbalance=imbalance,
        variants=variants,
        comparisons=[
            row.model_copy(update={"sentence": comparison_sentence(row, metric, first.rendered, len(comparisons))})
            for row in comparisons
        ],
        trivial=[TrivialScores(**row.model_dump(exclude={"test_predictions"})) for row in trivial],
        warnings=[],
    )
    result = result.model_copy(update={"warnings": warning_sentences(result, baseline)})
    return Verdict.model_validate(_rounded(result.model_dump()))


def decisions(p_holm: Sequence[float], means: Sequence[float]) -> list[Decision]:
    """Return the decision for each Holm-adjusted p and mean difference."""
    return [
        "not decided" if p > SIGNIFICANCE or mean == 0 else "helps" if mean > 0 else "hurts"
        for p, mean in zip(p_holm, means, strict=True)
    ]


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


def _decide(compared: Sequence[Difference], baseline: str) -> list[Comparison]:
    p_values = [c.estimate.p_value() for c in compared]
    adjusted = holm(p_values)
    decided = decisions(adjusted, [c.estimate.mean for c in compared])
    # The level at which Holm's procedure decides the next variant, if the other open ones stay open.
    level = SIGNIFICANCE / max(decided.count("not decided"), 1)
    return [
        Comparison(
            variant=difference.variant,
            baseline=baseline,
            decision=decision,
            mean=difference.estimate.mean,
            interval=difference.estimate.interval(),
            interval_kind=_interval_kind(difference),
            standard_error=difference.estimate.standard_error,
            seed_share=difference.estimate.seed_variance / difference.estimate.standard_error**2,
            p=p,
            p_holm=p_holm,
            needed=difference.needed(level) if decision == "not decided" else None,
            seeds=difference.seeds,
            seeds_left_out=difference.left_out,
            n_test=difference.n_test,
            resplit=difference.resplit,
            metrics=difference.metrics,
        )
        for difference, p, p_holm, decision in zip(compared, p_values, adjusted, decided, strict=True)
    ]


def _interval_kind(difference: Difference) -> IntervalKind:
    if len(difference.seeds) == 1:
        return "test images only"
    return "seeds and splits" if difference.resplit else "seeds and test images"


def _imbalance(evaluation: Evaluation) -> Imbalance:
    confusion = evaluation.seeds[0].splits["train"].confusion
    counts = {name: sum(row) for name, row in zip(evaluation.classes, confusion, strict=True)}
    smallest, largest = min(counts.values()), max(counts.values())
    return Imbalance(train_images=counts, ratio=largest / smallest if smallest else None)


def _variant_row(evaluation: Evaluation, trivial: Sequence[TrivialModel], metric: Deciding) -> VariantSummary:
    runs = sorted(evaluation.seeds, key=lambda run: run.seed)
    n_test = runs[0].splits["test"].n
    on_test = {name: _summary([getattr(run.splits["test"], name) for run in runs]) for name in METRICS}
    return VariantSummary(
        variant=evaluation.variant,
        seeds=[run.seed for run in runs],
        n_test=n_test,
        **on_test,
        train_accuracy=_summary([run.splits["train"].accuracy for run in runs]),
        validation_accuracy=_summary([run.splits["validation"].accuracy for run in runs]),
        generalisation_gap=_summary([run.generalisation_gap for run in runs]),
        wilson=wilson_interval(on_test["accuracy"].mean, n_test),
        trivial=_against_trivial(evaluation, trivial, metric) if trivial else None,
    )


def _summary(values: list[float]) -> Summary:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Summary(mean=float(np.mean(values)), standard_deviation=deviation, values=values)


def _against_trivial(evaluation: Evaluation, trivial: Sequence[TrivialModel], metric: Deciding) -> AgainstTrivial:
    """Compare with the best trivial model, with the interval of variants where the test images are the same."""
    best = max(trivial, key=lambda row: getattr(row.splits["test"], metric))
    reached = getattr(best.splits["test"], metric)
    difference = float(np.mean([getattr(run.splits["test"], metric) for run in evaluation.seeds])) - reached
    interval = None
    if not evaluation.resplit:
        labels, predictions = np.array(evaluation.seeds[0].test_labels), np.array(best.test_predictions)
        if len(predictions) != len(labels):
            raise UserError(
                f"the trivial rows of {evaluation.dataset} are about {len(predictions)} test images, the variants "
                f"about {len(labels)}; run `dvc repro` to make both from the same split"
            )
        runs = sorted(evaluation.seeds, key=lambda run: run.seed)
        values, step = np.stack([correct(run) for run in runs]) - (predictions == labels), 1.0
        if metric == "balanced_accuracy":
            values, step = balanced_values(values, labels), image_step(labels)
        interval = crossed_estimate(values, step)[0].interval()
    beats = interval.lower > 0 if interval else difference > 0
    return AgainstTrivial(name=best.name, reached=reached, difference=difference, interval=interval, beats=beats)


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
