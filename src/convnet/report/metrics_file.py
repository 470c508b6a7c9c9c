"""metrics.json: the few numbers of a run that `dvc metrics show` and `dvc exp show` list."""

from collections.abc import Sequence
from typing import Any

from convnet.comparison.schema import Comparison, Verdict
from convnet.comparison.statistics import t_interval

DIGITS = 4  # after the point; more would make last bits rows of `dvc metrics diff`
AS_NUMBER = {"helps": 1, "no relevant difference": 0, "hurts": -1}


def metrics_of(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Return dataset -> variant -> test accuracy, half width of its 95 % interval, gap, difference and verdict.

    The half width is over seeds, None for one seed. Difference and verdict are those of the variant's first comparison;
    the baseline has none. The verdict as a number is 1 for helps, -1 for hurts, 0 for no relevant difference.
    """
    return {found.dataset: _of_dataset(found) for found in verdicts}


def _of_dataset(found: Verdict) -> dict[str, Any]:
    compared = {row.variant: row for row in reversed(found.comparisons)}
    metrics: dict[str, Any] = {}
    for row in found.variants:
        interval = t_interval(row.accuracy.values)
        metrics[row.variant] = {
            "accuracy": round(row.accuracy.mean, DIGITS),
            "half_width": round((interval.upper - interval.lower) / 2, DIGITS) if interval else None,
            "gap": round(row.generalisation_gap.mean, DIGITS),
        } | _against_baseline(compared.get(row.variant))
    return metrics


def _against_baseline(row: Comparison | None) -> dict[str, Any]:
    if row is None:
        return {}
    number = AS_NUMBER.get(row.decision)
    return {"difference": round(row.mean, DIGITS), "verdict": number, "verdict_word": row.decision}
