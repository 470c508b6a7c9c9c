"""The gain of every variant over the baseline beside its cost, the Pareto line, and the cheapest remedy that helps."""

from collections.abc import Sequence
from typing import NamedTuple

from convnet.comparison.looks import last_look
from convnet.comparison.paired import compare
from convnet.comparison.schema import Comparison, Verdict
from convnet.comparison.statistics import Interval
from convnet.evaluation.schema import Evaluation
from convnet.params.section import BASELINE
from convnet.report.tables import seconds_per_seed
from convnet.system.formats import points, points_interval
from convnet.system.language import mark, tr

ELSEWHERE = mark("judged against another variant")

ONE = mark("The cheapest remedy that helps is {gain}, for {minutes} minutes per model.")
SEVERAL = mark("The cheapest remedies that help take {minutes} minutes per model each: {gains}.")
GAIN = mark("{variant}: {points} points over {baseline} (95 % interval {interval})")


class Gain(NamedTuple):
    """A variant less the baseline; gain and interval are shares of the deciding metric."""

    variant: str
    minutes: float  # of one model
    megabytes: float  # of its file
    gain: float
    interval_low: float
    interval_high: float
    verdict: str  # a decision, `baseline` or ELSEWHERE


def minutes_per_model(evaluations: Sequence[Evaluation]) -> dict[str, float]:
    """Return the minutes that one model takes by variant of one dataset.

    They are its training, the training that it starts from, and one pass of the backbone over all images.
    """
    training = seconds_per_seed(evaluations)
    features = {e.variant: e.seconds.features or 0.0 for e in evaluations}
    return {
        e.variant: (training[e.variant] + (features[e.variant] or features.get(e.recipe.get("start", ""), 0.0))) / 60
        for e in evaluations
    }


def minutes_words(minutes: float) -> str:
    """Return minutes as exact as they repeat: "under 0.1", "0.3", "12"."""
    return tr("under 0.1") if minutes < 0.05 else f"{minutes:.1f}" if minutes < 9.95 else f"{minutes:.0f}"


def gains(evaluations: Sequence[Evaluation], verdict: Verdict) -> list[Gain]:
    """Return the gain of every variant; without a baseline there is none.

    A variant that was judged against another variant is compared with the baseline in the same way, without a verdict.
    """
    known = {evaluation.variant: evaluation for evaluation in evaluations}
    baseline = known.get(verdict.baseline or "")
    if baseline is None:
        return []
    minutes = minutes_per_model(evaluations)
    direct = {row.variant: row for row in verdict.comparisons if row.baseline == verdict.baseline}
    found = []
    for name, evaluation in known.items():
        mean, interval, decision = 0.0, Interval(0.0, 0.0), BASELINE
        if row := direct.get(name):
            mean, interval, decision = row.mean, row.interval, row.decision
        elif evaluation is not baseline:
            looked = last_look(baseline, evaluation, verdict.looks)
            estimate = compare(baseline, evaluation, verdict.metric, looked).estimate
            mean, interval, decision = estimate.mean, estimate.interval(), ELSEWHERE
        decision = "helps" if name in verdict.helpers else decision
        found.append(Gain(name, minutes[name], evaluation.model_bytes / 1e6, mean, *interval, decision))
    return found


def pareto(found: Sequence[Gain], cost: str, margin: float) -> list[Gain]:
    """Return the baseline and the helpers that gain more than all cheaper ones, by more than the margin.

    Without a helper the line is empty.

    Args:
        found: of one dataset.
        cost: `minutes` or `megabytes`.
        margin: share of the metric; a smaller difference does not matter.
    """
    line: list[Gain] = []
    for one in sorted(found, key=lambda gain: (getattr(gain, cost), -gain.gain)):
        if one.verdict in (BASELINE, "helps") and (not line or one.gain > line[-1].gain + margin):
            line.append(one)
    return line if any(one.verdict == "helps" for one in line) else []


def cheapest_sentence(verdict: Verdict, evaluations: Sequence[Evaluation]) -> str:
    """Return which remedy that helps takes the fewest minutes, or nothing where none helps; equals come together."""
    minutes = minutes_per_model(evaluations)
    helping = [_helping_row(verdict, name) for name in verdict.helpers]
    if not helping:
        return ""
    least = minutes_words(min(minutes[row.variant] for row in helping))
    named = [_gain_words(row) for row in helping if minutes_words(minutes[row.variant]) == least]
    if len(named) == 1:
        return tr(ONE, gain=named[0], minutes=least)
    return tr(SEVERAL, gains="; ".join(named), minutes=least)


def _helping_row(verdict: Verdict, helper: str) -> Comparison:
    """Return the comparison in which a helper helps, that with the baseline where there is one."""
    rows = [row for row in verdict.comparisons if row.variant == helper and row.decision == "helps"]
    return min(rows, key=lambda row: row.baseline != verdict.baseline)


def _gain_words(row: Comparison) -> str:
    interval = points_interval(*row.interval)
    return tr(GAIN, variant=row.variant, points=points(row.mean), baseline=row.baseline, interval=interval)
