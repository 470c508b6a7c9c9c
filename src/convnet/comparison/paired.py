"""One variant against the baseline on the same seeds and the same test images: every number, no verdict yet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from convnet.comparison.random_effects import (
    Components,
    Estimate,
    balanced_values,
    crossed_estimate,
    image_step,
    images_needed,
    more_seeds_needed,
)
from convnet.comparison.repeated_splits import more_splits_needed, resplit_estimate
from convnet.comparison.schema import Deciding, MetricDifference, Needed
from convnet.evaluation.schema import Evaluation, SeedEvaluation
from convnet.system.errors import UserError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Difference:
    """A variant minus the baseline."""

    variant: str
    seeds: list[int]
    left_out: list[int]  # seeds that only one of the two has
    resplit: bool
    n_test: int
    estimate: Estimate
    components: Components | None  # None with one seed or own splits
    metrics: dict[str, MetricDifference]

    def needed(self, level: float) -> Needed:
        """Return what would decide the comparison at significance `level`, if the difference stays as it is."""
        if self.resplit and len(self.seeds) > 1:
            return Needed(more_seeds=more_splits_needed(self.estimate, level), test_images=None)
        if self.components is None:
            return Needed(more_seeds=None, test_images=None)
        return Needed(
            more_seeds=more_seeds_needed(self.estimate, self.components, level),
            test_images=images_needed(self.estimate, self.components, level),
        )


def compare(baseline: Evaluation, variant: Evaluation, metric: Deciding) -> Difference:
    """Compare one variant with the baseline on the seeds both have.

    Args:
        baseline: its evaluation.
        variant: its evaluation.
        metric: what the estimate is about.

    Raises:
        UserError: no seed in common, or test images that differ between the two.
    """
    first, second = {run.seed: run for run in baseline.seeds}, {run.seed: run for run in variant.seeds}
    seeds = sorted(first.keys() & second.keys())
    pairs = [(first[seed], second[seed]) for seed in seeds]
    resplit = baseline.resplit or variant.resplit
    _check(pairs, baseline, variant, resplit)
    differences = [correct(theirs) - correct(ours) for ours, theirs in pairs]
    estimate, components = _estimate([ours for ours, _ in pairs], differences, metric, resplit)
    return Difference(
        variant=variant.variant,
        seeds=seeds,
        left_out=sorted(first.keys() ^ second.keys()),
        resplit=resplit,
        n_test=len(pairs[0][0].test_labels),
        estimate=estimate,
        components=components,
        metrics=_metrics(pairs, differences),
    )


def correct(run: SeedEvaluation) -> Floats:
    """Return (n,) 1 where the predicted class of a test image is the true one, else 0."""
    return np.asarray(np.equal(run.test_predicted, run.test_labels), dtype=np.float64)


def _check(
    pairs: Sequence[tuple[SeedEvaluation, SeedEvaluation]], baseline: Evaluation, variant: Evaluation, resplit: bool
) -> None:
    both = f"{variant.variant} and {baseline.variant} of {variant.dataset}"
    if not pairs:
        raise UserError(f"{both} have no seed in common; train both with the same seeds")
    for ours, theirs in pairs:
        if (ours.test_members, ours.test_labels) != (theirs.test_members, theirs.test_labels):
            raise UserError(
                f"{both} were tested on different images with seed {ours.seed}; run `dvc repro` to train both on the "
                "same split"
            )
    if not resplit and any(ours.test_members != pairs[0][0].test_members for ours, _ in pairs):
        raise UserError(
            f"the seeds of {variant.variant} ({variant.dataset}) were tested on different images though the split is "
            "fixed; run `dvc repro` to train them again"
        )


def _estimate(
    runs: Sequence[SeedEvaluation], differences: Sequence[Floats], metric: Deciding, resplit: bool
) -> tuple[Estimate, Components | None]:
    step = 1.0
    if metric == "balanced_accuracy":
        labels = [np.asarray(run.test_labels) for run in runs]
        differences = [balanced_values(d[None], own)[0] for d, own in zip(differences, labels, strict=True)]
        step = max(image_step(own) for own in labels)
    if resplit:
        return resplit_estimate(differences, _image_numbers(runs), step), None
    return crossed_estimate(np.stack(differences), step)


def _image_numbers(runs: Sequence[SeedEvaluation]) -> list[Integers]:
    numbers = {member: i for i, member in enumerate(sorted({m for run in runs for m in run.test_members}))}
    return [np.array([numbers[member] for member in run.test_members]) for run in runs]


def _metrics(
    pairs: Sequence[tuple[SeedEvaluation, SeedEvaluation]], differences: Sequence[Floats]
) -> dict[str, MetricDifference]:
    def minus(value: Callable[[SeedEvaluation], float]) -> MetricDifference:
        return _of_seeds([value(theirs) - value(ours) for ours, theirs in pairs])

    return {
        # Accuracy from the same per-image table as the interval, so the two can never disagree.
        "accuracy": _of_seeds([float(values.mean()) for values in differences]),
        "balanced_accuracy": minus(lambda run: run.splits["test"].balanced_accuracy),
        "loss": minus(lambda run: run.splits["test"].loss),
        "generalisation_gap": minus(lambda run: run.generalisation_gap),
    }


def _of_seeds(values: list[float]) -> MetricDifference:
    return MetricDifference(differences=values, mean=float(np.mean(values)))
