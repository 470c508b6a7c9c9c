"""Studies that are judged at looks, by users who may do anything between them, and by users who spend nothing."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from bench.lib.verdict_studies import SEED, Counts, Setting, Studies, is_false, percent
from convnet.comparison.decisions import MARGIN, Decided, decide
from convnet.comparison.looks import Standing, decide_in_looks
from convnet.comparison.random_effects import Estimate

LOOKS = (3, 5, 10)
EVERY_SEED = tuple(range(3, 11))
OPEN = "not decided"

State = list[int]  # per comparison, how many looks it has the seeds of
Judge = Callable[[State], list[Standing]]
Table = Sequence[Sequence[Estimate]]  # per look, per comparison


@dataclass(frozen=True)
class Known(Estimate):
    """An estimate whose p-values are computed once, because many users judge the same study."""

    @cached_property
    def _p(self) -> float:
        return super().p_value()

    @cached_property
    def _margin_p(self) -> float:
        return super().margin_p(MARGIN)

    def p_value(self) -> float:
        """Return p of no difference."""
        return self._p

    def margin_p(self, margin: float) -> float:
        """Return p of a difference of the margin."""
        return self._margin_p if margin == MARGIN else super().margin_p(margin)


def train_all(judge: Judge, table: Table, chance: np.random.Generator) -> Iterator[list[Standing]]:
    """Train every variant to every look."""
    for look in range(len(table)):
        yield judge([look + 1] * len(table[0]))


def one_by_one(judge: Judge, table: Table, chance: np.random.Generator, wanted: Callable[[Estimate], float] | None,
               pleased: bool = False, stop: float = 0.0) -> Iterator[list[Standing]]:  # fmt: skip
    """Train all to the first look, and then one open comparison after the other.

    Args:
        judge: returns the decisions in a state.
        table: what the user sees.
        chance: the user's dice.
        wanted: the comparison with the largest value goes on; those below 0 never do. None: any of them.
        pleased: stop at the first that helps.
        stop: probability to stop before each step.
    """
    state = [1] * len(table[0])
    while True:
        standings = judge(state)
        yield standings
        decisions = [standing.decided.decision for standing in standings]
        if (pleased and "helps" in decisions) or chance.random() < stop:
            return
        values = {
            i: chance.random() if wanted is None else wanted(table[state[i] - 1][i])
            for i, decision in enumerate(decisions)
            if decision == OPEN and state[i] < len(table)
        }
        values = {i: value for i, value in values.items() if value >= 0}
        if not values:
            return
        state[max(values, key=lambda i: values[i])] += 1


def _good(estimate: Estimate) -> float:
    return estimate.mean / estimate.standard_error


def _bad(estimate: Estimate) -> float:
    return -estimate.mean / estimate.standard_error


def _clear(estimate: Estimate) -> float:
    return abs(estimate.mean) / estimate.standard_error


USERS: dict[str, Callable[[Judge, Table, np.random.Generator], Iterator[list[Standing]]]] = {
    "all": train_all,
    "only what looks good": partial(one_by_one, wanted=_good),
    "only what looks bad": partial(one_by_one, wanted=_bad),
    "what looks clear first": partial(one_by_one, wanted=_clear),
    "stop when pleased": partial(one_by_one, wanted=None, pleased=True),
    "stop at random": partial(one_by_one, wanted=None, stop=0.2),
}


class LookCounts:
    """The rates of one setting."""

    def __init__(self, truth: Sequence[float]) -> None:
        self.truth, self.counts = truth, Counts()
        self.seeds: dict[float, list[int]] = {}
        # Points by which a helper's difference is too large, by the true one and the look that decided.
        self.excess: dict[float, dict[int, list[float]]] = {true: {look: [] for look in LOOKS} for true in truth}

    def false(self, name: str, decisions: Sequence[Sequence[str]]) -> None:
        """Count a study as false if any of its states holds a false decision."""
        wrong = [(d, is_false(d, true)) for state in decisions for d, true in zip(state, self.truth, strict=True)]
        self.counts.count(f"false: {name}", any(false for _, false in wrong))
        if name == "all":
            kinds = {"no relevant difference": "irrelevant"}
            for kind in ("difference", "irrelevant"):
                here = any(false and kinds.get(d, "difference") == kind for d, false in wrong)
                self.counts.count(f"false {kind}: all", here)

    def found(self, standings: Sequence[Standing], table: Table) -> None:
        """Count what the end of a study found, with how many seeds."""
        for i, ((look, decided), true) in enumerate(zip(standings, self.truth, strict=True)):
            assert look is not None
            self.seeds.setdefault(true, []).append(LOOKS[look])
            if true > 0:
                self.counts.count(f"found {100 * true:.1f} points", decided.decision == "helps")
            if true > 0 and decided.decision == "helps":
                self.excess[true][LOOKS[look]].append(100 * (table[look][i].mean - true))
            if abs(true) < MARGIN:
                self.counts.count("found no relevant difference", decided.decision == "no relevant difference")

    def summary(self) -> dict[str, Any]:
        """Return rates in percent, mean numbers of seeds, and by how many points early differences are too large."""
        rates = {name: percent(events) for name, events in sorted(self.counts.rates.items())}
        seeds = {f"{100 * true:.1f} points": round(float(np.mean(used)), 2) for true, used in self.seeds.items()}
        by_look = {look: [value for of_true in self.excess.values() for value in of_true[look]] for look in LOOKS}
        by_size = {f"{100 * true:.1f} points": _means(found) for true, found in self.excess.items() if true > 0}
        excess = {"too_large": _means(by_look), "too_large_by_size": by_size}
        return {"studies": len(self.counts.rates["false: all"])} | rates | {"seeds": seeds} | excess


def _means(values_by_look: dict[int, list[float]]) -> dict[str, dict[str, Any]]:
    return {
        str(look): {"n": len(values), "mean": round(float(np.mean(values)), 2)}
        for look, values in values_by_look.items()
        if values
    }


def simulate_looks(setting: Setting, studies: int, seed: int) -> dict[str, Any]:
    """Return the rates of one setting; `setting.seeds` is that of the last look."""
    made = Studies(setting, np.random.default_rng([SEED, 3, seed]))
    chance = np.random.default_rng([SEED, 4, seed])
    counts = LookCounts(made.truth)
    for _ in range(studies):
        correct = made.draw(LOOKS[-1]).astype(np.float64)
        at = {count: _estimates(made, correct[:, :count]) for count in EVERY_SEED}
        table = [at[look] for look in LOOKS]

        def judge(state: State, table: Table = table) -> list[Standing]:
            rows = [[e if reached > k else None for e, reached in zip(row, state, strict=True)]
                    for k, row in enumerate(table)]  # fmt: skip
            return decide_in_looks(rows, MARGIN)

        for name, user in USERS.items():
            states = list(user(judge, table, chance))
            counts.false(name, [[s.decided.decision for s in standings] for standings in states])
            if name == "all":
                counts.found(states[-1], table)
        counts.false("unspent, looks", [_alone(at[look]) for look in LOOKS])
        counts.false("unspent, every seed", [_alone(at[count]) for count in EVERY_SEED])
        last = decide(at[LOOKS[-1]])
        for decided, true in zip(last, made.truth, strict=True):
            if true > 0:
                counts.counts.count(f"found {100 * true:.1f} points at the last look alone", _helps(decided))
    return {**setting._asdict(), **counts.summary()}


def _alone(estimates: Sequence[Estimate]) -> list[str]:
    return [decided.decision for decided in decide(estimates)]


def _helps(decided: Decided) -> bool:
    return decided.decision == "helps"


def _estimates(made: Studies, correct: Any) -> list[Estimate]:
    units = made.units
    if made.setting.unlike:
        found = [units.apart(table, correct[0])[0] for table in correct[1:]]
    else:
        found = [units.paired(table - correct[0])[0] for table in correct[1:]]
    return [Known(**vars(estimate)) for estimate in found]
