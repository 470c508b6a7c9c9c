"""Whether a comparison goes on to its next look, or the reason why it stops. Any choice keeps the error rate."""

from collections.abc import Sequence
from dataclasses import dataclass

from convnet.comparison.look_sentences import about_images
from convnet.comparison.power import chance_of_decision, estimate_of, open_level
from convnet.comparison.schema import Comparison, Verdict
from convnet.params.schema import Params
from convnet.system.formats import points

LEAST_CHANCE = 0.05
VERY_MANY = 10_000  # seeds: only the test images leave an error


@dataclass(frozen=True)
class Step:
    """A comparison, and its next look or the reason to stop."""

    dataset: str
    row: Comparison
    look: int | None  # number of seeds; None: it stops
    chance: float  # that the next look decides it
    reason: str  # why it stops

    def __str__(self) -> str:
        return f"{self.dataset}/{self.row.variant} against {self.row.baseline}: {self.reason}"


def steps_of(verdict: Verdict, looks: Sequence[int]) -> list[Step]:
    """Return one step for each comparison of a dataset.

    Args:
        verdict: on the present seeds.
        looks: the looks that may still be reached, as numbers of seeds.
    """
    return [_step(verdict, row, looks) for row in verdict.comparisons]


def _step(verdict: Verdict, row: Comparison, looks: Sequence[int]) -> Step:
    if row.decision != "not decided":
        found = f"{row.decision} ({points(row.mean)} points), decided with {len(row.seeds)} seeds"
        return Step(verdict.dataset, row, None, 0.0, found)

    def stop(reason: str) -> Step:
        return Step(verdict.dataset, row, None, 0.0, f"not decided ({points(row.mean)} points): {reason}")

    ahead = [look for look in looks if look > len(row.seeds)]
    if not ahead:
        return stop(f"the last look is over, with {len(row.seeds)} seeds")
    level = open_level(verdict)
    estimate = estimate_of(row)
    chances = [chance_of_decision(estimate, look, level, verdict.margin) or 0.0 for look in (*ahead, VERY_MANY)]
    if chances[-1] < LEAST_CHANCE:
        images = row.needed and row.needed.test_images
        way = f"; {about_images(images)} would (run.split: folds tests every image)" if images else ""
        return stop(f"seeds cannot decide it{way}")
    if max(chances[:-1]) < LEAST_CHANCE:
        return stop(f"the chance at {ahead[-1]} seeds is below 5 %")
    return Step(verdict.dataset, row, ahead[0], chances[0], "")


def seeds_for(params: Params, steps: Sequence[Step]) -> dict[tuple[str, str], int]:
    """Return the numbers of seeds that the steps need, by dataset and variant: the partner keeps up."""
    needed: dict[tuple[str, str], int] = {}
    for step in steps:
        if step.look is None:
            continue
        names = {step.row.variant, step.row.baseline}
        names |= {params.start_of(name) for name in names & set(params.run.fine_tune_variants)}
        for name in names:
            trained, seeds = params.trained_for(name, step.look)
            needed[step.dataset, trained] = max(seeds, needed.get((step.dataset, trained), 0))
    return needed
