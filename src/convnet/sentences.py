"""The verdict and the backbone in words. Every number is given; nothing is computed here but rounding."""

from collections.abc import Mapping, Sequence
from typing import Any

from convnet.crossed import MOST_MORE_SEEDS, MOST_TIMES_IMAGES

METRIC_WORDS = {"accuracy": "test accuracy", "balanced_accuracy": "balanced test accuracy"}


def points(share: float) -> str:
    """Return a difference of shares in signed percentage points: 0.0615 -> "+6.2"; never "-0.0"."""
    text = f"{100 * share:+.1f}"
    return "0.0" if float(text) == 0 else text


def plural(count: int, noun: str) -> str:
    """Return "1 seed", "5 seeds", "1,200 seeds"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def p_words(p: float) -> str:
    """Return a p-value as people write it: "p < 0.001" or "p = 0.034"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def basis(comparison: Mapping[str, Any], rendered: bool) -> str:
    """Return what a comparison rests on: seeds, test images, and whether the pictures are rendered."""
    images = f"{comparison['n_test']:,} test image{'' if comparison['n_test'] == 1 else 's'}"
    seeds = len(comparison["seeds"])
    parts = [
        "one seed only" if seeds == 1 else plural(seeds, "seed"),
        images + (" per split" if comparison["resplit"] else ""),
    ]
    return ", ".join(parts + (["rendered pictures"] if rendered else []))


def comparison_sentence(comparison: Mapping[str, Any], metric: str, rendered: bool, comparisons: int) -> str:
    """Return the verdict on one variant: what happens by how much, how sure, on what basis, and what would decide it.

    Args:
        comparison: one row of a verdict's `comparisons`.
        metric: "accuracy" or "balanced_accuracy".
        rendered: the pictures are rendered.
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


def backbone_sentence(described: Mapping[str, Any], last_layer: str, seconds: float | None = None) -> str:
    """Return which backbone it is, where it is cut, what it had seen before, and where its weights come from.

    Args:
        described: backbone.json of a backbone that is needed.
        last_layer: where the variants cut it.
        seconds: of its training, if it was trained here and they shall be told.
    """
    weights = _trained_here(described, seconds) if "source_classes" in described else _fetched(described)
    seen = described["seen"].rstrip(".")
    return f"The backbone {described['backbone']}, cut at {last_layer}, had seen before: {seen}; {weights}."


def _trained_here(described: Mapping[str, Any], seconds: float | None) -> str:
    classes, images = described["source_classes"], described["source_images"]
    duration = "" if seconds is None else f" in {plural(round(seconds), 'second')}"
    return (  # the pictures that a backbone is trained on here are always drawn
        f"it was trained here{duration} on {plural(images['train'], 'rendered picture')} of {len(classes)} classes "
        f"({', '.join(classes)}), and is right on {100 * described['source_test_accuracy']:.1f} % of "
        f"{plural(images['test'], 'rendered picture')} of these classes that it had not seen"
    )


def _fetched(described: Mapping[str, Any]) -> str:
    file, address = described["file"], described["address"]
    places = {
        "official": f"as published at {address}",
        "redirected": f"from the folder that CONVNET_DATA names, in place of {address}",
        "local": "from this machine" + ("" if address == file else f", in place of {address}"),
    }
    note = f" ({described['note']})" if described["note"] else ""
    return f"its weights are the file {file}, {places[described['origin']]}{note}"


def fine_tuning_sentences(evaluations: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return which of the backbone's layers each fine-tuned variant trains.

    Args:
        evaluations: contents of `data/evaluations/<dataset>-<variant>.json`.
    """
    return [
        f"{evaluation['variant']} trains the layers from {first} up to the cut, batch normalisation excepted."
        for evaluation in evaluations
        if (first := evaluation["recipe"]["trainable_from"])
    ]


def opening_sentences(verdicts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the answer of a whole report in two sentences: what helps most, then what else was found.

    Args:
        verdicts: one per dataset, as `verdict` returns them.
    """
    return [_first_letter_up("; ".join(_best(v) for v in verdicts)) + ".", _first_letter_up(_others(verdicts)) + "."]


def _best(verdict: Mapping[str, Any]) -> str:
    where = f"on {verdict['dataset']}" + (" (rendered pictures)" if verdict["rendered"] else "")
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
