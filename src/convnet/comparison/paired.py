"""One variant against another on the same seeds and the same test images: every number, no decision yet."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from convnet.comparison.folds import folds_estimate
from convnet.comparison.power import images_needed, plan_seeds, with_folds_apart
from convnet.comparison.random_effects import (
    Components,
    Estimate,
    balanced_values,
    by_groups,
    crossed_estimate,
    image_step,
    separate_estimate,
)
from convnet.comparison.repeated_splits import resplit_estimate
from convnet.comparison.schema import Deciding, MetricDifference, Needed
from convnet.evaluation.schema import Evaluation, SeedEvaluation
from convnet.params.section import SplitKind
from convnet.system.errors import UserError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """A variant minus another one."""

    variant: str
    baseline: str
    seeds: list[int]
    left_out: list[int]  # seeds that only one of the two has
    paired: bool
    split: SplitKind
    n_test: int
    n_groups: int
    estimate: Estimate
    components: Components | None  # None with one seed or own splits
    metrics: dict[str, MetricDifference]

    @property
    def seed_share(self) -> float:
        """The part of the error's variance that more seeds reduce."""
        of_seeds = self.estimate.seed_variance
        if self.split == "folds" and self.components is not None:
            of_seeds = self.components.seed / len(self.seeds)
        return of_seeds / self.estimate.standard_error**2

    def needed(self, level: float, margin: float) -> Needed:
        """Return what would decide the comparison at significance `level`; `margin` is a share of the metric."""
        if len(self.seeds) == 1:
            return Needed(more_seeds=None, probability=None, test_images=None)
        folds = self.split == "folds"
        now = with_folds_apart(self.estimate, self.seed_share) if folds else self.estimate
        plan = plan_seeds(now, level, margin, redrawn=folds)
        return Needed(
            more_seeds=plan.more if plan else None,
            probability=plan.probability if plan else None,
            test_images=images_needed(self.estimate, self.components, level) if self.components else None,
        )


def _features(evaluation: Evaluation) -> list[object]:
    """Return what decides the network below the head, which is nothing without a backbone."""
    if evaluation.backbone is None:
        return []
    return [evaluation.backbone, *(evaluation.recipe.get(key) for key in ("last_layer", "image_size"))]


def shared_seeds(baseline: Evaluation, variant: Evaluation) -> list[int]:
    """Return the seeds that both variants have, in rising order. An ensemble counts once, and needs all its seeds."""
    return list(_pairs(baseline, variant))


class Pair(NamedTuple):
    """The runs of two variants that are compared: one each, or an ensemble and the seeds that it joins."""

    ours: list[SeedEvaluation]
    theirs: list[SeedEvaluation]


def _pairs(baseline: Evaluation, variant: Evaluation) -> dict[int, Pair]:
    """Return what is compared, by seed in rising order.

    Against single networks, an ensemble is compared with the mean of those with its seeds. No seed is in two of them,
    so these differences are as independent as those of seeds.
    """
    first, second = ({run.seed: run for run in evaluation.seeds} for evaluation in (baseline, variant))
    joined = [any(run.members for run in runs.values()) for runs in (first, second)]
    if joined == [False, True]:
        pairs = {seed: Pair(_members(run, first), [run]) for seed, run in second.items()}
    elif joined == [True, False]:
        pairs = {seed: Pair([run], _members(run, second)) for seed, run in first.items()}
    else:
        pairs = {seed: Pair([first[seed]], [second[seed]]) for seed in first.keys() & second.keys()}
    return {seed: pairs[seed] for seed in sorted(pairs) if all(pairs[seed])}


def _members(run: SeedEvaluation, others: Mapping[int, SeedEvaluation]) -> list[SeedEvaluation]:
    """Return the networks with the seeds of an ensemble, or nothing where one is missing."""
    return [others[seed] for seed in run.members] if others.keys() >= set(run.members) else []


def compare(baseline: Evaluation, variant: Evaluation, metric: Deciding, most: int | None = None) -> Difference:
    """Compare one variant with another on the seeds both have.

    Seeds are paired where both train the same kind of network, or where a seed draws the split for both. A network
    with a backbone shares no randomness with one without, or with another backbone, cut or image size.

    Args:
        baseline: the evaluation that is subtracted.
        variant: the other evaluation.
        metric: what the estimate is about.
        most: take only the first of the shared seeds, this many.

    Raises:
        UserError: no seed in common, or test images that differ between the two.
    """
    found = _pairs(baseline, variant)
    seeds, pairs = list(found)[:most], list(found.values())[:most]
    _check(pairs, baseline, variant)
    paired = variant.own_splits or _features(baseline) == _features(variant)
    rows = [[_mean_correct(runs) for runs in of_one] for of_one in zip(*pairs, strict=True)]
    differences = [theirs - ours for ours, theirs in zip(*rows, strict=True)]
    runs = [ours[0] for ours, _ in pairs]
    components = None
    if variant.own_splits:
        estimate, components = own_splits_estimate(runs, differences, metric, variant.split)
    elif paired:
        estimate, components = crossed_estimate(*units(runs[0], np.stack(differences), metric))
    else:
        table, step, images = units(runs[0], np.stack(rows[1]), metric)
        estimate, components = separate_estimate(table, units(runs[0], np.stack(rows[0]), metric)[0], step, images)
    return Difference(
        variant=variant.variant,
        baseline=baseline.variant,
        seeds=seeds,
        left_out=_left_out(baseline, variant, found.values()),
        paired=paired,
        split=variant.split,
        n_test=estimate.images,
        n_groups=_groups(runs, variant.split),
        estimate=estimate,
        components=components,
        metrics=_metrics(pairs, differences),
    )


def correct(run: SeedEvaluation) -> Floats:
    """Return (n,) 1 where the predicted class of a test image is the true one, 0 elsewhere."""
    return np.asarray(np.equal(run.test_predicted, run.test_labels), dtype=np.float64)


def _mean_correct(runs: Sequence[SeedEvaluation]) -> Floats:
    return np.asarray(np.mean([correct(run) for run in runs], axis=0))


def _left_out(baseline: Evaluation, variant: Evaluation, pairs: Iterable[Pair]) -> list[int]:
    """Return the seeds of either variant that are compared with nothing."""
    compared = {run.seed for pair in pairs for runs in pair for run in runs}
    return sorted({run.seed for evaluation in (baseline, variant) for run in evaluation.seeds} - compared)


def units(run: SeedEvaluation, values: Floats, metric: Deciding) -> tuple[Floats, float, int]:
    """Return (seeds, units) for an estimate on one split, what one image moves a sum of images by, and the images.

    Args:
        run: of any seed; names the labels and the groups of the test images.
        values: (seeds, images): correct, or a difference of it.
        metric: what the row means become.
    """
    labels, groups = np.asarray(run.test_labels), np.asarray(run.test_groups)
    step = 1.0
    if metric == "balanced_accuracy":
        values, step = balanced_values(values, labels, groups), image_step(labels)
    return by_groups(values, groups), step, len(labels)


def own_splits_estimate(
    runs: Sequence[SeedEvaluation], values: Sequence[Floats], metric: Deciding, split: SplitKind
) -> tuple[Estimate, Components | None]:
    """Estimate the mean of `values`, (images,) per seed, where each seed has its own test images.

    Returns:
        The estimate, and with folds the variance components for planning.
    """
    step = 1.0
    groups = [np.asarray(run.test_groups) for run in runs]
    if metric == "balanced_accuracy":
        labels = [np.asarray(run.test_labels) for run in runs]
        step = max(image_step(own) for own in labels)
        values = [balanced_values(v[None], *own)[0] for v, *own in zip(values, labels, groups, strict=True)]
    if split == "folds":
        return folds_estimate(values, groups, step)
    return resplit_estimate(values, groups, step), None


def _groups(runs: Sequence[SeedEvaluation], split: SplitKind) -> int:
    """Return the number of groups of the test images of one seed, or of all folds."""
    return len({group for run in (runs if split == "folds" else runs[:1]) for group in run.test_groups})


def _check(pairs: Sequence[Pair], baseline: Evaluation, variant: Evaluation) -> None:
    both = f"{variant.variant} and {baseline.variant} of {variant.dataset}"
    if baseline.split != variant.split:
        raise UserError(
            f"{both} have the splits {variant.split} and {baseline.split}; run `dvc repro` to train both alike"
        )
    if not pairs:
        raise UserError(f"{both} have no seed in common; train both with the same seeds")
    for ours, theirs in (both_runs for pair in pairs for both_runs in itertools.product(*pair)):
        if (ours.test_members, ours.test_labels) != (theirs.test_members, theirs.test_labels):
            raise UserError(
                f"{both} were tested on different images with seed {ours.seed}; run `dvc repro` to train both on the "
                "same split"
            )
    if not variant.own_splits and any(ours[0].test_members != pairs[0].ours[0].test_members for ours, _ in pairs):
        raise UserError(
            f"the seeds of {variant.variant} ({variant.dataset}) were tested on different images though the split is "
            "fixed; run `dvc repro` to train them again"
        )


def _metrics(pairs: Sequence[Pair], differences: Sequence[Floats]) -> dict[str, MetricDifference]:
    def minus(value: Callable[[SeedEvaluation], float]) -> MetricDifference:
        return _of_seeds([fmean(map(value, theirs)) - fmean(map(value, ours)) for ours, theirs in pairs])

    return {
        # Accuracy from the same per-image table as the interval, so the two can never disagree.
        "accuracy": _of_seeds([float(values.mean()) for values in differences]),
        "balanced_accuracy": minus(lambda run: run.splits["test"].balanced_accuracy),
        "loss": minus(lambda run: run.splits["test"].loss),
        "generalisation_gap": minus(lambda run: run.generalisation_gap),
    }


def _of_seeds(values: list[float]) -> MetricDifference:
    return MetricDifference(differences=values, mean=float(np.mean(values)))
