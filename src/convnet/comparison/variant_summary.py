"""One variant over its seeds: means, spread, and whether it beats a model without a network."""

from collections.abc import Sequence

import numpy as np

from convnet.comparison.paired import correct, own_splits_estimate, units
from convnet.comparison.random_effects import crossed_estimate
from convnet.comparison.schema import AgainstTrivial, Deciding, Summary, VariantSummary
from convnet.comparison.statistics import Interval, wilson_interval
from convnet.evaluation.metrics import METRICS
from convnet.evaluation.schema import Evaluation, TrivialModel
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
    sizes = [run.splits["test"].n for run in runs]
    n_test = sum(sizes) if evaluation.split == "folds" else sizes[0]
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
    """Compare with the best trivial model: a fixed one, or one for each seed with its own split."""
    best = max(trivial, key=lambda row: getattr(row.splits["test"], metric))
    runs = sorted(evaluation.seeds, key=lambda run: run.seed)
    predictions = best.test_predictions if evaluation.own_splits else best.test_predictions * len(runs)
    numbers = [len(predicted) for predicted in predictions], [len(run.test_labels) for run in runs]
    if numbers[0] != numbers[1]:
        raise UserError(
            f"the trivial rows of {evaluation.dataset} are about {numbers[0][0]} test images, the variants "
            f"about {numbers[1][0]}; run `dvc repro` to make both from the same split"
        )
    pairs = zip(runs, predictions, strict=True)
    values = [correct(run) - np.equal(predicted, run.test_labels) for run, predicted in pairs]
    if evaluation.own_splits:
        estimate, _ = own_splits_estimate(runs, values, metric, evaluation.split)
    else:
        estimate, _ = crossed_estimate(*units(runs[0], np.stack(values), metric))
    interval = estimate.interval()
    return AgainstTrivial(
        name=best.name,
        reached=getattr(best.splits["test"], metric),
        difference=estimate.mean,
        interval=interval,
        beats=interval.lower > 0,
    )


def accuracy_interval(evaluation: Evaluation) -> Interval:
    """Return the 95 % interval of a variant's mean test accuracy over new seeds and new test images."""
    runs = sorted(evaluation.seeds, key=lambda run: run.seed)
    # About one half, so that the two half images of the estimate draw towards one half, as in Wilson's interval.
    values = [correct(run) - 0.5 for run in runs]
    if evaluation.own_splits:
        estimate, _ = own_splits_estimate(runs, values, "accuracy", evaluation.split)
    else:
        estimate, _ = crossed_estimate(*units(runs[0], np.stack(values), "accuracy"))
    lower, upper = estimate.interval()
    return Interval(max(lower + 0.5, 0.0), min(upper + 0.5, 1.0))
