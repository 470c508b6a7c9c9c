"""One variant against the baseline on the same seeds and the same test images: every number, no verdict yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

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
from convnet.comparison.statistics import (
    Interval,
    mcnemar_p,
    paired_bootstrap,
    sign_flip_p,
    smallest_sign_flip_p,
    t_interval,
)
from convnet.system.errors import UserError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class SeedPredictions(NamedTuple):
    """What one seed's model did with its test images."""

    members: tuple[str, ...]
    labels: Integers  # (n,)
    predicted: Integers  # (n,)

    @property
    def correct(self) -> Floats:
        """(n,) 1 where the most probable class is the true one, else 0."""
        return np.asarray(self.predicted == self.labels, dtype=np.float64)


def load_test_results(evaluation: Mapping[str, Any]) -> dict[int, SeedPredictions]:
    """Return seed -> test result of one evaluation.

    The test members and labels stand in every seed, or once (in the first seed or beside the seeds) if all are equal.

    Raises:
        UserError: no seeds, a seed twice, or test lists that are missing or differ in length.
    """
    name = f"{evaluation['dataset']}-{evaluation['variant']}"
    rows = evaluation["seeds"]
    if not rows:
        raise UserError(f"the evaluation {name} holds no seed; train it with at least one and run `dvc repro`")
    results: dict[int, SeedPredictions] = {}
    for row in rows:
        seed = int(row["seed"])
        members, labels = (
            row.get(key) or rows[0].get(key) or evaluation.get(key) for key in ("test_members", "test_labels")
        )
        probabilities = row.get("test_probabilities")
        if not members or not labels or not probabilities or not len(members) == len(labels) == len(probabilities):
            raise UserError(f"the test images of seed {seed} in evaluation {name} are incomplete; run `dvc repro`")
        if seed in results:
            raise UserError(f"seed {seed} stands twice in the evaluation {name}; run `dvc repro`")
        predicted = np.asarray(probabilities, dtype=np.float64).argmax(axis=1)
        results[seed] = SeedPredictions(tuple(members), np.asarray(labels, dtype=np.int64), predicted)
    return results


@dataclass(frozen=True)
class Comparison:
    """A variant minus the baseline."""

    variant: str
    seeds: list[int]
    left_out: list[int]  # seeds that only one of the two has
    resplit: bool
    n_test: int
    estimate: Estimate
    components: Components | None
    metrics: dict[str, Any]
    mcnemar: list[dict[str, Any]]
    bootstrap: Interval | None

    def needed(self, level: float) -> dict[str, int | None]:
        """Return what would decide the comparison at significance `level`, if the difference stays as it is.

        Returns:
            more_seeds (None: no number up to 50) and test_images in all (None: not up to 100 times the present ones,
            or not known for one seed or resplit seeds).
        """
        if len(self.seeds) == 1:
            return {"more_seeds": None, "test_images": None}
        if self.resplit:
            return {"more_seeds": more_splits_needed(self.estimate, level), "test_images": None}
        assert self.components is not None  # crossed_estimate gives them from two seeds on
        return {
            "more_seeds": more_seeds_needed(self.estimate, self.components, level),
            "test_images": images_needed(self.estimate, self.components, level),
        }


def compare(baseline: Mapping[str, Any], variant: Mapping[str, Any], metric: str) -> Comparison:
    """Compare one variant with the baseline on the seeds both have.

    Args:
        baseline: its evaluation.
        variant: its evaluation.
        metric: "accuracy" or "balanced_accuracy": what the estimate is about.

    Raises:
        UserError: no seed in common, or test images that differ between the two.
    """
    base_results, variant_results = load_test_results(baseline), load_test_results(variant)
    seeds = sorted(base_results.keys() & variant_results.keys())
    if not seeds:
        raise UserError(
            f"{variant['variant']} and {baseline['variant']} of {variant['dataset']} have no seed in common; "
            "train both with the same seeds"
        )
    first = [base_results[seed] for seed in seeds]
    second = [variant_results[seed] for seed in seeds]
    for seed, one, other in zip(seeds, first, second, strict=True):
        if one.members != other.members or not np.array_equal(one.labels, other.labels):
            raise UserError(
                f"seed {seed} of {variant['variant']} and of {baseline['variant']} ({variant['dataset']}) were tested "
                "on different images, so they cannot be compared; run `dvc repro` to train both on the same split"
            )
    differences = [other.correct - one.correct for one, other in zip(first, second, strict=True)]
    same_images = all(result.members == first[0].members for result in first)
    resplit = bool(baseline.get("resplit")) or bool(variant.get("resplit"))
    if not same_images and not resplit:
        raise UserError(
            f"the seeds of {variant['variant']} ({variant['dataset']}) were tested on different images though the "
            "split is fixed; run `dvc repro` to train them again"
        )
    balanced = metric == "balanced_accuracy"
    values = [balanced_values(d[None], r.labels)[0] if balanced else d for d, r in zip(differences, first, strict=True)]
    step = max(image_step(result.labels) for result in first) if balanced else 1.0
    components = None
    if resplit:
        estimate = resplit_estimate(values, _image_numbers(first), step)
    else:
        estimate, components = crossed_estimate(np.stack(values), step)
    return Comparison(
        variant=variant["variant"],
        seeds=seeds,
        left_out=sorted(base_results.keys() ^ variant_results.keys()),
        resplit=resplit,
        n_test=len(first[0].labels),
        estimate=estimate,
        components=components,
        metrics=_metrics(baseline, variant, seeds, differences),
        mcnemar=[_mcnemar(seed, d) for seed, d in zip(seeds, differences, strict=True)],
        bootstrap=None if resplit else paired_bootstrap(np.stack(differences)),
    )


def _row(evaluation: Mapping[str, Any], seed: int) -> Mapping[str, Any]:
    return next(row for row in evaluation["seeds"] if int(row["seed"]) == seed)


def _image_numbers(results: Sequence[SeedPredictions]) -> list[Integers]:
    numbers = {member: i for i, member in enumerate(sorted({m for result in results for m in result.members}))}
    return [np.array([numbers[member] for member in result.members]) for result in results]


def _metrics(
    baseline: Mapping[str, Any], variant: Mapping[str, Any], seeds: Sequence[int], correct: Sequence[Floats]
) -> dict[str, Any]:
    pairs = [(_row(baseline, seed), _row(variant, seed)) for seed in seeds]
    # Accuracy from the same per-image table as the interval, so the two can never disagree.
    differences = {"accuracy": [float(values.mean()) for values in correct]}
    for name in ("balanced_accuracy", "loss"):
        differences[name] = [b["splits"]["test"][name] - a["splits"]["test"][name] for a, b in pairs]
    differences["generalisation_gap"] = [b["generalisation_gap"] - a["generalisation_gap"] for a, b in pairs]
    return {
        name: {
            "differences": values,
            "mean": float(np.mean(values)),
            "t_interval": t_interval(values),  # over seeds alone
            "sign_flip_p": sign_flip_p(values),
            "smallest_sign_flip_p": smallest_sign_flip_p(len(values)),
        }
        for name, values in differences.items()
    }


def _mcnemar(seed: int, differences: Floats) -> dict[str, Any]:
    only_variant, only_baseline = int((differences > 0).sum()), int((differences < 0).sum())
    p = mcnemar_p(only_variant, only_baseline)
    return {"seed": seed, "only_variant": only_variant, "only_baseline": only_baseline, "p": p}
