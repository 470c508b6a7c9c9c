"""Which remedy helps on one dataset, by how much, and how sure is that: the decision and its reasons.

The rule: a variant "helps" or "hurts" if its p from the interval over seeds and test images (`random_effects`; with own
splits per seed, `repeated_splits`) is at most 0.05 after Holm's correction over all variants of the dataset; the sign
of the mean difference says which. If no variant truly differs, the chance of any false decision on the dataset is about
5 %, and of a false "helps" half of that; bench/simulate_verdict.py measures both. Sign-flip and McNemar tests and the
bootstrap are shown beside it and do not decide: with 3 seeds a sign flip cannot fall below p = 0.25, McNemar knows one
seed at a time, and the bootstrap over images does not see the randomness of training.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from convnet.comparison.paired import Comparison, compare, load_test_results
from convnet.comparison.random_effects import balanced_values, crossed_estimate, image_step
from convnet.comparison.statistics import holm, wilson_interval
from convnet.comparison.wording import comparison_sentence, trivial_sentence
from convnet.system.errors import UserError

SIGNIFICANCE = 0.05
# From here on plain accuracy flatters a model that prefers the largest class.
IMBALANCE = 1.5
DIGITS = 10  # significant digits kept, so that the last bits of a sum do not change the file
BASELINE = "baseline"


def verdict(
    evaluations: Sequence[Mapping[str, Any]],
    trivial: Sequence[Mapping[str, Any]] | None = None,
    baseline: str = BASELINE,
) -> dict[str, Any]:
    """Judge every variant of one dataset against the baseline.

    Args:
        evaluations: one per variant, as `evaluate` writes them (data/evaluations/<dataset>-<variant>.json).
        trivial: what `trivial.trivial_rows` returned for the dataset, or None.
        baseline: the variant all others are compared with.

    Returns:
        dataset, images, rendered, classes, resplit, baseline (None if it is missing), metric (what decides),
        n_test, imbalance, variants (one row each, the baseline first), comparisons (one row per other variant), trivial
        rows, warnings. Shares are 0..1, losses nats; no NaN, so it can be written as JSON.

    Raises:
        UserError: no evaluations, several datasets, a variant twice, or test images that differ between variants.
    """
    _check(evaluations)
    ordered = sorted(evaluations, key=lambda e: (e["variant"] != baseline, e["variant"]))
    first = ordered[0]
    rendered = first["kind"] == "rendered"
    imbalance = _imbalance(first)
    metric = "balanced_accuracy" if imbalance["ratio"] is None or imbalance["ratio"] > IMBALANCE else "accuracy"
    variants = [_variant_row(evaluation, trivial, metric) for evaluation in ordered]
    has_baseline = first["variant"] == baseline
    compared = [compare(first, other, metric) for other in ordered[1:]] if has_baseline else []
    comparisons = _decide(compared, baseline)
    for row in comparisons:
        row["sentence"] = comparison_sentence(row, metric, rendered, len(comparisons))
    result = {
        "dataset": first["dataset"],
        "kind": first["kind"],
        "rendered": rendered,
        "classes": first["classes"],
        "resplit": any(bool(e.get("resplit")) for e in ordered),
        "baseline": baseline if has_baseline else None,
        "metric": metric,
        "n_test": variants[0]["n_test"],
        "imbalance": imbalance,
        "variants": variants,
        "comparisons": comparisons,
        "trivial": [{k: v for k, v in row.items() if k != "test_predictions"} for row in trivial or []],
        "warnings": _warnings(ordered, variants, comparisons, imbalance, metric, has_baseline, baseline),
    }
    rounded: dict[str, Any] = _rounded(result)
    return rounded


def decisions(p_holm: Sequence[float], means: Sequence[float]) -> list[str]:
    """Return "helps", "hurts" or "not decided" for each Holm-adjusted p and mean difference."""
    return [
        "not decided" if p > SIGNIFICANCE or mean == 0 else "helps" if mean > 0 else "hurts"
        for p, mean in zip(p_holm, means, strict=True)
    ]


def _check(evaluations: Sequence[Mapping[str, Any]]) -> None:
    if not evaluations:
        raise UserError("there is no evaluation to judge; run `dvc repro` to train and evaluate at least one variant")
    datasets = sorted({e["dataset"] for e in evaluations})
    if len(datasets) > 1:
        raise UserError(f"a verdict is about one dataset, but these are {', '.join(datasets)}; judge them one by one")
    for evaluation in evaluations:
        load_test_results(evaluation)  # raises where seeds or test images are missing
    names = [e["variant"] for e in evaluations]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"variant {twice[0]} of {datasets[0]} was evaluated twice; remove one of its evaluations")


def _decide(compared: Sequence[Comparison], baseline: str) -> list[dict[str, Any]]:
    p_values = [c.estimate.p_value() for c in compared]
    adjusted = holm(p_values)
    decided = decisions(adjusted, [c.estimate.mean for c in compared])
    # What Holm's procedure asks of the next variant to be decided, if the other open ones stay open.
    level = SIGNIFICANCE / max(decided.count("not decided"), 1)
    rows = []
    for comparison, p, p_holm, decision in zip(compared, p_values, adjusted, decided, strict=True):
        estimate = comparison.estimate
        rows.append(
            {
                "variant": comparison.variant,
                "baseline": baseline,
                "decision": decision,
                "mean": estimate.mean,
                "interval": list(estimate.interval()),
                "interval_kind": _interval_kind(comparison),
                "standard_error": estimate.standard_error,
                "seed_share": estimate.seed_variance / estimate.standard_error**2,
                "p": p,
                "p_holm": p_holm,
                "needed": comparison.needed(level) if decision == "not decided" else None,
                "seeds": comparison.seeds,
                "seeds_left_out": comparison.left_out,
                "n_test": comparison.n_test,
                "resplit": comparison.resplit,
                "metrics": comparison.metrics,
                "mcnemar": comparison.mcnemar,
                "bootstrap": comparison.bootstrap,
            }
        )
    return rows


def _interval_kind(comparison: Comparison) -> str:
    if len(comparison.seeds) == 1:
        return "test images only"
    return "seeds and splits" if comparison.resplit else "seeds and test images"


def _imbalance(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the training images per class and largest / smallest (None if a class has none)."""
    confusion = evaluation["seeds"][0]["splits"]["train"]["confusion"]
    counts = {name: int(sum(row)) for name, row in zip(evaluation["classes"], confusion, strict=True)}
    smallest, largest = min(counts.values()), max(counts.values())
    return {"train_images": counts, "ratio": largest / smallest if smallest else None}


def _variant_row(
    evaluation: Mapping[str, Any], trivial: Sequence[Mapping[str, Any]] | None, metric: str
) -> dict[str, Any]:
    rows = sorted(evaluation["seeds"], key=lambda row: int(row["seed"]))
    tests = [row["splits"]["test"] for row in rows]
    n_test = tests[0]["n"]
    result: dict[str, Any] = {
        "variant": evaluation["variant"],
        "seeds": [int(r["seed"]) for r in rows],
        "n_test": n_test,
    }
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "loss", "calibration_error"):
        result[name] = _summary([test[name] for test in tests])
    result["train_accuracy"] = _summary([row["splits"]["train"]["accuracy"] for row in rows])
    result["validation_accuracy"] = _summary([row["splits"]["validation"]["accuracy"] for row in rows])
    result["generalisation_gap"] = _summary([row["generalisation_gap"] for row in rows])
    # Of the mean accuracy as if of one model: the sampling of test images alone.
    result["wilson"] = list(wilson_interval(result["accuracy"]["mean"], n_test))
    result["trivial"] = _against_trivial(evaluation, trivial, metric) if trivial else None
    return result


def _summary(values: Sequence[float]) -> dict[str, Any]:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "standard_deviation": deviation, "values": [float(v) for v in values]}


def _against_trivial(
    evaluation: Mapping[str, Any], trivial: Sequence[Mapping[str, Any]], metric: str
) -> dict[str, Any]:
    """Compare with the best trivial row, with the same interval as variants where the test images are the same."""
    best = max(trivial, key=lambda row: row["splits"]["test"][metric])
    reached = best["splits"]["test"][metric]
    difference = float(np.mean([row["splits"]["test"][metric] for row in evaluation["seeds"]])) - reached
    interval = None
    if not evaluation.get("resplit"):
        results = load_test_results(evaluation)
        labels = next(iter(results.values())).labels
        predictions = np.asarray(best["test_predictions"])
        if len(predictions) != len(labels):
            raise UserError(
                f"the trivial rows of {evaluation['dataset']} are about {len(predictions)} test images, the variants "
                f"about {len(labels)}; run `dvc repro` to make both from the same split"
            )
        values = np.stack([results[seed].correct for seed in sorted(results)]) - (predictions == labels)
        step = 1.0
        if metric == "balanced_accuracy":
            values, step = balanced_values(values, labels), image_step(labels)
        interval = list(crossed_estimate(values, step)[0].interval())
    beats = interval[0] > 0 if interval else difference > 0
    return {"name": best["name"], metric: reached, "difference": difference, "interval": interval, "beats": beats}


def _warnings(
    evaluations: Sequence[Mapping[str, Any]],
    variants: Sequence[Mapping[str, Any]],
    comparisons: Sequence[Mapping[str, Any]],
    imbalance: Mapping[str, Any],
    metric: str,
    has_baseline: bool,
    baseline: str,
) -> list[str]:
    warnings = []
    if not has_baseline:
        warnings.append(f"There is no variant called {baseline}, so nothing can be compared: add it to params.yaml.")
    elif not comparisons:
        warnings.append(f"{baseline} is the only variant, so nothing can be compared: add a remedy to params.yaml.")
    if metric == "balanced_accuracy":
        counts = imbalance["train_images"]
        largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
        warnings.append(
            f"The classes are unequal ({counts[largest]:,} training images of {largest}, {counts[smallest]:,} of "
            f"{smallest}): balanced accuracy decides and comes first."
        )
    for row in comparisons:
        if row["seeds_left_out"]:
            left_out = ", ".join(str(seed) for seed in row["seeds_left_out"])
            warnings.append(f"{row['variant']} is compared on shared seeds only; left out: {left_out}.")
    if any(len(row["seeds"]) == 1 for row in comparisons):
        warnings.append("One seed only: the intervals count the sample of test images, not the randomness of training.")
    for evaluation in evaluations:
        warnings += _rounding_warnings(evaluation)
    warnings += [trivial_sentence(row, metric) for row in variants if row["trivial"] and not row["trivial"]["beats"]]
    return warnings


def _rounding_warnings(evaluation: Mapping[str, Any]) -> list[str]:
    """Say where the rounded test probabilities give another accuracy than the model had: near-equal probabilities."""
    accuracies = {int(row["seed"]): row["splits"]["test"]["accuracy"] for row in evaluation["seeds"]}
    return [
        f"Seed {seed} of {evaluation['variant']} gives several classes almost equal probability: its accuracy is "
        f"{100 * accuracies[seed]:.1f} %, but {100 * result.correct.mean():.1f} % after rounding, and that is compared."
        for seed, result in load_test_results(evaluation).items()
        if abs(result.correct.mean() - accuracies[seed]) > 1e-9
    ]


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UserError(
                "an evaluation holds a number that is not finite: training diverged; lower the learning rate"
            )
        return float(f"{value:.{DIGITS}g}")
    return value
