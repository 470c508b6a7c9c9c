"""Looks: the numbers of seeds at which a study is judged, declared before training.

At each look Holm's correction covers all declared comparisons, and every p-value is multiplied by the number of looks.
A decision stays. Who trains on, in which order and until when, is free: a comparison without the seeds of a look counts
there as one with p = 1. docs/method.md has the proof. One look is the rule of `decisions` alone.

Nothing is stored between looks. Each look is computed from its first seeds, so seeds beyond a look wait for the next.
"""

from collections.abc import Sequence
from typing import NamedTuple

from convnet.comparison.decisions import Decided, Open, decide
from convnet.comparison.paired import Difference, compare, shared_seeds
from convnet.comparison.random_effects import Estimate
from convnet.comparison.schema import Deciding
from convnet.evaluation.schema import Evaluation

Looks = Sequence[int] | tuple[None]  # None: the one look at all seeds that both variants have
NO_LOOKS = (None,)


class Standing(NamedTuple):
    """The decision on a comparison, and the look that it comes from: the deciding one, or else the last."""

    look: int | None  # position among the looks; None: before the first
    decided: Decided


def decide_in_looks(looks: Sequence[Sequence[Estimate | None]], margin: float) -> list[Standing]:
    """Decide the comparisons of one dataset at one look after the other.

    Args:
        looks: per look one estimate for each comparison, from the seeds of that look; None where they are missing.
        margin: share of accuracy; a smaller difference does not matter.
    """
    standings = [Standing(None, Decided("not decided", 1.0, 1.0, 1.0)) for _ in looks[0]]
    for look, estimates in enumerate(looks):
        decisions = [standing.decided.decision for standing in standings]
        irrelevant, is_open = decisions.count("no relevant difference"), decisions.count("not decided")
        # Only rejected hypotheses leave a correction, so a comparison may count in one correction and not in the other.
        tested = Open(differences=is_open + irrelevant, margins=len(decisions) - irrelevant)
        at = {
            i: estimate
            for i, (estimate, decision) in enumerate(zip(estimates, decisions, strict=True))
            if estimate is not None and decision == "not decided"
        }
        for i, decided in zip(at, decide(list(at.values()), margin, len(looks), tested), strict=True):
            standings[i] = Standing(look, decided)
    return standings


def compare_in_looks(
    pairs: Sequence[tuple[Evaluation, Evaluation]], metric: Deciding, margin: float, looks: Looks
) -> list[tuple[Difference, Decided]]:
    """Compare each variant with its partner at every look, and decide all comparisons together.

    Args:
        pairs: (the variant compared with, the variant), one per comparison.
        metric: what decides.
        margin: share of accuracy; a smaller difference does not matter.
        looks: the declared numbers of seeds, rising.

    Returns:
        Per comparison the difference at the look that its decision comes from; before the first look that of all
        shared seeds.
    """
    table = [[_at(look, *pair, metric) for pair in pairs] for look in looks]
    standings = decide_in_looks([[at.estimate if at else None for at in row] for row in table], margin)
    found = []
    for i, (look, decided) in enumerate(standings):
        difference = table[look][i] if look is not None else None
        if difference is None:
            difference = compare(*pairs[i], metric)
            decided = decided._replace(p=difference.estimate.p_value())
        found.append((difference, decided))
    return found


def last_look(baseline: Evaluation, variant: Evaluation, looks: Sequence[int]) -> int | None:
    """Return the last look that both variants have the seeds of, or None: before the first, or without looks."""
    shared = len(shared_seeds(baseline, variant))
    return max((look for look in looks if look <= shared), default=None)


def _at(look: int | None, baseline: Evaluation, variant: Evaluation, metric: Deciding) -> Difference | None:
    if look is not None and len(shared_seeds(baseline, variant)) < look:
        return None
    return compare(baseline, variant, metric, look)
