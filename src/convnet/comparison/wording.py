"""The verdict and the backbone in words. Every number is given; nothing is computed here but rounding."""

from collections.abc import Mapping, Sequence
from typing import Any

from convnet.comparison.random_effects import MOST_MORE_SEEDS, MOST_TIMES_IMAGES
from convnet.system.formats import p_words, plural, points

METRIC_WORDS = {"accuracy": "test accuracy", "balanced_accuracy": "balanced test accuracy"}


def basis(comparison: Mapping[str, Any], rendered: bool) -> str:
    """Return what a comparison rests on: seeds, test images, and whether the images are rendered."""
    images = f"{comparison['n_test']:,} test image{'' if comparison['n_test'] == 1 else 's'}"
    seeds = len(comparison["seeds"])
    parts = [
        "one seed only" if seeds == 1 else plural(seeds, "seed"),
        images + (" per split" if comparison["resplit"] else ""),
    ]
    return ", ".join(parts + (["rendered images"] if rendered else []))


def comparison_sentence(comparison: Mapping[str, Any], metric: str, rendered: bool, comparisons: int) -> str:
    """Return the verdict on one variant: what happens by how much, how sure, on what basis, and what would decide it.

    Args:
        comparison: one row of a verdict's `comparisons`.
        metric: "accuracy" or "balanced_accuracy".
        rendered: the images are rendered.
        comparisons: how many variants were compared, which Holm's correction is for.
    """
    lower, upper = comparison["interval"]
    name, mean, decision = comparison["variant"], comparison["mean"], comparison["decision"]
    opening = f"It is not decided whether {name} helps" if decision == "not decided" else f"{name} {decision}"
    correction = f", Holm over {comparisons} comparisons" if comparisons > 1 else ""
    sentence = (
        f"{opening}: {METRIC_WORDS[metric]} changes by {points(mean)} points "
        f"(95 % interval {points(lower)} to {points(upper)} over {comparison['interval_kind']}; "
        f"{p_words(comparison['p_holm'])}{correction}; {basis(comparison, rendered)})."
    )
    if decision == "not decided":
        if lower > 0 or upper < 0:
            sentence += f" Its own interval leaves out zero, but not after correction for {comparisons} comparisons."
        sentence += " " + needed_sentence(comparison)
    elif len(comparison["seeds"]) == 1:
        sentence += " It holds for these two trained models: with one seed the randomness of training is not measured."
    return sentence


def needed_sentence(comparison: Mapping[str, Any]) -> str:
    """Return how many more seeds or test images would decide an open comparison."""
    seeds, images = comparison["needed"]["more_seeds"], comparison["needed"]["test_images"]
    if len(comparison["seeds"]) == 1:
        return "With one seed the randomness of training is not measured: train at least 3."
    if comparison["resplit"]:
        if seeds is None:
            return (
                f"Not even {MOST_MORE_SEEDS} more seeds, each with its own split, would decide a difference this small."
            )
        return f"If the difference stays as it is, {plural(seeds, 'more seed')} with own splits would decide it."
    now = f"{comparison['n_test']:,} now"
    if seeds is None and images is None:
        return (
            f"Neither {MOST_MORE_SEEDS} more seeds nor {MOST_TIMES_IMAGES} times the test images alone would decide a "
            "difference this small."
        )
    if images is None:
        return (
            f"If the difference stays as it is, {plural(seeds, 'more seed')} would decide it; more test images alone "
            "would not."
        )
    if seeds is None:
        return (
            f"If the difference stays as it is, {images:,} test images ({now}) would decide it; {MOST_MORE_SEEDS} more "
            "seeds alone would not."
        )
    return (
        f"If the difference stays as it is, {plural(seeds, 'more seed')} or {images:,} test images ({now}) would "
        "decide it."
    )


def trivial_sentence(row: Mapping[str, Any], metric: str) -> str:
    """Return the warning about a variant that does not beat the best trivial row.

    Args:
        row: one row of a verdict's `variants`, with its `trivial` filled in.
        metric: "accuracy" or "balanced_accuracy".
    """
    trivial = row["trivial"]
    how = "is no better than" if trivial["difference"] <= 0 else "is not clearly better than"
    return (
        f"{row['variant']} {how} the trivial model '{trivial['name']}': {METRIC_WORDS[metric]} "
        f"{100 * row[metric]['mean']:.1f} % against {100 * trivial[metric]:.1f} %."
    )


def opening_sentences(verdicts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the answer of a whole report in two sentences: what helps most, then what else was found.

    Args:
        verdicts: one per dataset, as `verdict` returns them.
    """
    return [_first_letter_up("; ".join(_best(v) for v in verdicts)) + ".", _first_letter_up(_others(verdicts)) + "."]


def _best(verdict: Mapping[str, Any]) -> str:
    where = f"on {verdict['dataset']}" + (" (rendered images)" if verdict["rendered"] else "")
    if not verdict["comparisons"]:
        return f"{where} there is nothing to compare"
    helping = _helping(verdict)
    if not helping:
        return f"{where} no remedy is shown to help"
    best = helping[0]
    metric = verdict["metric"]
    means = {row["variant"]: row[metric]["mean"] for row in verdict["variants"]}
    before, after = means[verdict["baseline"]], means[best["variant"]]
    lower, upper = best["interval"]
    claim = "is ahead" if len(best["seeds"]) == 1 else "helps most"
    return (
        f"{where} {best['variant']} {claim}: {METRIC_WORDS[metric]} {100 * before:.1f} % -> {100 * after:.1f} % "
        f"({points(best['mean'])} points, 95 % interval {points(lower)} to {points(upper)}, {basis(best, False)})"
    )


def _helping(verdict: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    helping = [row for row in verdict["comparisons"] if row["decision"] == "helps"]
    return sorted(helping, key=lambda row: (-row["mean"], row["variant"]))


def _others(verdicts: Sequence[Mapping[str, Any]]) -> str:
    parts = []
    several = len(verdicts) > 1
    for decision in ("helps", "hurts", "not decided"):
        found = []
        for verdict in verdicts:
            best = _helping(verdict)[:1]
            for row in verdict["comparisons"]:
                if row["decision"] == decision and row not in best:
                    where = f" on {verdict['dataset']}" if several else ""
                    found.append(f"{row['variant']}{where} ({points(row['mean'])} points{_cure(row)})")
        if found:
            words = {"helps": "also helps", "hurts": "hurts", "not decided": "not decided"}[decision]
            parts.append(f"{words}: {', '.join(found)}")
    return "; ".join(parts) if parts else "no other remedy was compared"


def _cure(row: Mapping[str, Any]) -> str:
    if row["decision"] != "not decided":
        return ""
    seeds, images = row["needed"]["more_seeds"], row["needed"]["test_images"]
    if seeds is not None:
        return f", {plural(seeds, 'more seed')} would decide it"
    if images is not None:
        return f", {images:,} test images would decide it"
    return ", one seed only" if len(row["seeds"]) == 1 else f", more than {MOST_MORE_SEEDS} more seeds"


def _first_letter_up(text: str) -> str:
    # Only the sentence's own words are changed: a dataset or variant name keeps its spelling.
    return text[:1].upper() + text[1:]
