"""From intervals to decisions: helps, hurts, no relevant difference, or not decided.

The rule for the comparisons of one dataset:

* no relevant difference: the 95 % interval is within +-margin, and the one-sided p of a difference of the margin or
  more is at most 0.05 after Holm's correction;
* otherwise helps or hurts: the two-sided p of no difference is at most 0.05 after Holm's correction; the sign of the
  mean difference decides which;
* not decided in every other case, and with fewer than 3 seeds.

Variants that help are compared with each other in the same way, with a correction of their own.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from convnet.comparison.random_effects import Estimate
from convnet.comparison.schema import Decision
from convnet.comparison.statistics import holm

SIGNIFICANCE = 0.05
FEWEST_SEEDS = 3  # with two the spread between seeds is one number, and up to 10 % of decisions are false
MARGIN = 0.02


class Open(NamedTuple):
    """Comparisons that a correction covers: the declared ones, without those rejected at an earlier look."""

    differences: int  # hypotheses of no difference
    margins: int  # hypotheses of a difference of the margin or more


class Decided(NamedTuple):
    """The decision on one estimate, with its p-values after correction."""

    decision: Decision
    p: float
    p_holm: float
    p_margin_holm: float


def decide(
    estimates: Sequence[Estimate], margin: float = MARGIN, looks: int = 1, tested: Open | None = None
) -> list[Decided]:
    """Decide the comparisons of one dataset together.

    Args:
        estimates: one per comparison.
        margin: share of accuracy; a smaller difference does not matter.
        looks: how many looks were declared; each may spend its part of the errors.
        tested: the comparisons that the corrections cover; None: those given.
    """
    differences, margins = tested or Open(len(estimates), len(estimates))
    p_values = [estimate.p_value() for estimate in estimates]
    adjusted = holm([looks * p for p in p_values], differences)
    irrelevant = holm([looks * estimate.margin_p(margin) for estimate in estimates], margins)
    return [
        Decided(_decision(estimate, p_holm, p_margin, margin), p, p_holm, p_margin)
        for estimate, p, p_holm, p_margin in zip(estimates, p_values, adjusted, irrelevant, strict=True)
    ]


def _decision(estimate: Estimate, p_holm: float, p_margin: float, margin: float) -> Decision:
    if estimate.seeds < FEWEST_SEEDS:
        return "not decided"
    lower, upper = estimate.interval()
    if -margin < lower and upper < margin and p_margin <= SIGNIFICANCE:
        return "no relevant difference"
    if p_holm > SIGNIFICANCE or estimate.mean == 0:
        return "not decided"
    return "helps" if estimate.mean > 0 else "hurts"


def find_helpers(helping: Iterable[tuple[str, str]], baseline: str) -> list[str]:
    """Return the variants that help, directly or over another helper.

    Args:
        helping: (variant, the variant it is compared with) of each comparison that is decided as "helps".
        baseline: the variant without a remedy.
    """
    edges, found = list(helping), [baseline]
    for name in found:  # grows while it is read
        found += [variant for variant, other in edges if other == name and variant not in found]
    return found[1:]


def find_leader(helpers: Sequence[str], ahead: Mapping[tuple[str, str], str | None]) -> str | None:
    """Return the helper that is ahead of every other, or None; a single helper leads nobody.

    Args:
        helpers: their names.
        ahead: for every two helpers the one that is ahead, if that is decided.
    """
    for name in helpers if len(helpers) > 1 else ():
        if all(winner == name for pair, winner in ahead.items() if name in pair):
            return name
    return None
