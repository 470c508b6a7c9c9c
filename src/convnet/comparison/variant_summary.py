"""One variant over its seeds: means, spread, and whether it beats a model without a network."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from convnet.comparison.paired import correct, own_splits_estimate, units
from convnet.comparison.random_effects import crossed_estimate
from convnet.comparison.schema import AgainstTrivial, Deciding, Summary, VariantSummary
from convnet.comparison.statistics import Interval, wilson_interval
from convnet.evaluation.metrics import METRICS
from convnet.evaluation.schema import Evaluation, SplitMetrics, TrivialModel
from convnet.system.errors import UserError


def summarise_variant(evaluation: Evaluation, trivial: Sequence[TrivialModel], metric: Deciding) -> VariantSummary:
    """Return the numbers of one variant over its seeds.

    Args:
        evaluation: of the variant.
        trivial: the trivial models of the dataset.
        metric: what decides.

    Raises:
        UserError: the trivial models have other test images.
    """
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
    """Compare with the best trivial model, a fixed one without seeds."""
    best = max(trivial, key=lambda row: getattr(row.splits["test"], metric))
    reached = getattr(best.splits["test"], metric)
    runs = sorted(evaluation.seeds, key=lambda run: run.seed)
    difference = float(np.mean([getattr(run.splits["test"], metric) for run in runs])) - reached
    if evaluation.resplit:
        # The trivial model has test images of its own, so its error adds to that of the variant.
        estimate = own_splits_estimate(runs, [correct(run) - reached for run in runs], metric)
        variance = estimate.image_variance + _sampling_variance(best.splits["test"], metric)
        estimate = replace(estimate, image_variance=variance)
    else:
        labels, predictions = np.array(runs[0].test_labels), np.array(best.test_predictions)
        if len(predictions) != len(labels):
            raise UserError(
                f"the trivial rows of {evaluation.dataset} are about {len(predictions)} test images, the variants "
                f"about {len(labels)}; run `dvc repro` to make both from the same split"
            )
        values = np.stack([correct(run) for run in runs]) - (predictions == labels)
        estimate, _ = crossed_estimate(*units(runs[0], values, metric))
    interval = estimate.interval()
    return AgainstTrivial(
        name=best.name, reached=reached, difference=difference, interval=interval, beats=interval.lower > 0
    )


def _sampling_variance(split: SplitMetrics, metric: Deciding) -> float:
    """Return the variance of a model's accuracy over samples of test images."""
    if metric == "accuracy":
        return split.accuracy * (1 - split.accuracy) / split.n
    counts = [sum(row) for row in split.confusion]
    shares = [row[i] / n for i, (row, n) in enumerate(zip(split.confusion, counts, strict=True)) if n]
    return sum(p * (1 - p) / n for p, n in zip(shares, filter(None, counts), strict=True)) / len(shares) ** 2


def accuracy_interval(evaluation: Evaluation) -> Interval:
    """Return the 95 % interval of a variant's mean test accuracy over new seeds and new test images."""
    runs = sorted(evaluation.seeds, key=lambda run: run.seed)
    # About one half, so that the two half images of the estimate draw towards one half, as in Wilson's interval.
    values = [correct(run) - 0.5 for run in runs]
    if evaluation.resplit:
        estimate = own_splits_estimate(runs, values, "accuracy")
    else:
        estimate, _ = crossed_estimate(*units(runs[0], np.stack(values), "accuracy"))
    lower, upper = estimate.interval()
    return Interval(max(lower + 0.5, 0.0), min(upper + 0.5, 1.0))
