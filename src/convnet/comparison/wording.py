"""The verdict in words. Every number is given; nothing is computed here but rounding."""

from collections.abc import Iterator, Sequence

from convnet.comparison.random_effects import MOST_MORE_SEEDS, MOST_TIMES_IMAGES
from convnet.comparison.schema import Comparison, Deciding, VariantSummary, Verdict
from convnet.system.formats import p_words, plural, points

METRIC_WORDS = {"accuracy": "test accuracy", "balanced_accuracy": "balanced test accuracy"}


def basis(comparison: Comparison, rendered: bool) -> str:
    """Return the seeds and test images of a comparison, and whether the images are rendered."""
    seeds = len(comparison.seeds)
    parts = [
        "one seed only" if seeds == 1 else plural(seeds, "seed"),
        plural(comparison.n_test, "test image") + (" per split" if comparison.resplit else ""),
    ]
    return ", ".join(parts + (["rendered images"] if rendered else []))


def comparison_sentence(comparison: Comparison, metric: Deciding, rendered: bool, comparisons: int) -> str:
    """Return the verdict on one variant: the change, how sure it is, its basis, and what would decide it.

    Args:
        comparison: the numbers.
        metric: what decides.
        rendered: the images are rendered.
        comparisons: how many variants Holm's correction counts.
    """
    lower, upper = comparison.interval
    is_open = comparison.decision == "not decided"
    name = comparison.variant
    opening = f"It is not decided whether {name} helps" if is_open else f"{name} {comparison.decision}"
    correction = f", Holm over {comparisons} comparisons" if comparisons > 1 else ""
    sentence = (
        f"{opening}: {METRIC_WORDS[metric]} changes by {points(comparison.mean)} points "
        f"(95 % interval {points(lower)} to {points(upper)} over {comparison.interval_kind}; "
        f"{p_words(comparison.p_holm)}{correction}; {basis(comparison, rendered)})."
    )
    if is_open:
        if lower > 0 or upper < 0:
            sentence += f" The interval excludes zero, but not after correction for {comparisons} comparisons."
        sentence += " " + needed_sentence(comparison)
    elif len(comparison.seeds) == 1:
        sentence += " It holds for these two trained models: with one seed the randomness of training is not measured."
    return sentence


def needed_sentence(comparison: Comparison) -> str:
    """Return how many more seeds or test images would decide an open comparison."""
    if len(comparison.seeds) == 1:
        return "With one seed the randomness of training is not measured: train at least 3."
    assert comparison.needed is not None
    seeds, images = comparison.needed.more_seeds, comparison.needed.test_images
    more = plural(seeds, "more seed") if seeds is not None else ""
    if comparison.resplit:
        if not more:
            return f"{MOST_MORE_SEEDS} more seeds, each with its own split, would not decide a difference this small."
        return f"If the difference stays as it is, {more} with own splits would decide it."
    enough = f"{images:,} test images ({comparison.n_test:,} now)" if images is not None else ""
    if not more and not enough:
        return (
            f"Neither {MOST_MORE_SEEDS} more seeds nor {MOST_TIMES_IMAGES} times the test images alone would decide a "
            "difference this small."
        )
    rest = ""
    if not enough:
        rest = "; more test images alone would not"
    elif not more:
        rest = f"; {MOST_MORE_SEEDS} more seeds alone would not"
    ways = " or ".join(way for way in (more, enough) if way)
    return f"If the difference stays as it is, {ways} would decide it{rest}."


def trivial_sentence(row: VariantSummary, metric: Deciding) -> str:
    """Return the warning about a variant that does not beat the best trivial model."""
    assert row.trivial is not None
    how = "does not beat" if row.trivial.difference <= 0 else "does not clearly beat"
    return (
        f"{row.variant} {how} the trivial model '{row.trivial.name}': {METRIC_WORDS[metric]} "
        f"{100 * row.mean_of(metric):.1f} % against {100 * row.trivial.reached:.1f} %."
    )


def warning_sentences(verdict: Verdict, baseline: str) -> list[str]:
    """Return the cautions for a reader of a verdict; `baseline` is the name it should have."""
    warnings = []
    if verdict.baseline is None:
        warnings.append(f"The variant {baseline} is missing, so nothing can be compared: add it to params.yaml.")
    elif not verdict.comparisons:
        warnings.append(f"{baseline} is the only variant, so nothing can be compared: add a remedy to params.yaml.")
    if verdict.metric == "balanced_accuracy":
        counts = verdict.imbalance.train_images
        largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
        warnings.append(
            f"The classes are unequal ({counts[largest]:,} training images of {largest}, {counts[smallest]:,} of "
            f"{smallest}): balanced accuracy decides and comes first."
        )
    for row in verdict.comparisons:
        if row.seeds_left_out:
            left_out = ", ".join(str(seed) for seed in row.seeds_left_out)
            warnings.append(f"{row.variant} is compared on shared seeds only; left out: {left_out}.")
    if any(len(row.seeds) == 1 for row in verdict.comparisons):
        warnings.append("One seed only: the intervals count the sample of test images, not the randomness of training.")
    beaten = [row for row in verdict.variants if row.trivial and not row.trivial.beats]
    return warnings + [trivial_sentence(row, verdict.metric) for row in beaten]


def opening_sentences(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the answer of a whole report in two sentences: the best remedy, then all others.

    Args:
        verdicts: one per dataset.
    """
    first, second = "; ".join(_best(v) for v in verdicts), _others(verdicts)
    # Only the sentence's own words are changed: a dataset or variant name keeps its spelling.
    return [sentence[:1].upper() + sentence[1:] + "." for sentence in (first, second)]


def _best(verdict: Verdict) -> str:
    where = f"on {verdict.dataset}" + (" (rendered images)" if verdict.rendered else "")
    if not verdict.comparisons:
        return f"{where} there is nothing to compare"
    helping = _helping(verdict)
    if not helping:
        return f"{where} no remedy is shown to help"
    best = helping[0]
    means = {row.variant: row.mean_of(verdict.metric) for row in verdict.variants}
    before, after = means[best.baseline], means[best.variant]
    lower, upper = best.interval
    claim = "is ahead" if len(best.seeds) == 1 else "helps most"
    return (
        f"{where} {best.variant} {claim}: {METRIC_WORDS[verdict.metric]} {100 * before:.1f} % -> {100 * after:.1f} % "
        f"({points(best.mean)} points, 95 % interval {points(lower)} to {points(upper)}, {basis(best, False)})"
    )


def _helping(verdict: Verdict) -> list[Comparison]:
    helping = [row for row in verdict.comparisons if row.decision == "helps"]
    return sorted(helping, key=lambda row: (-row.mean, row.variant))


def _others(verdicts: Sequence[Verdict]) -> str:
    parts = []
    for decision, words in (("helps", "also helps"), ("hurts", "hurts"), ("not decided", "not decided")):
        found = [
            f"{row.variant}{f' on {verdict.dataset}' if len(verdicts) > 1 else ''} "
            f"({points(row.mean)} points{_cure(row)})"
            for verdict, row in _behind_the_best(verdicts)
            if row.decision == decision
        ]
        if found:
            parts.append(f"{words}: {', '.join(found)}")
    return "; ".join(parts) if parts else "no other remedy was compared"


def _behind_the_best(verdicts: Sequence[Verdict]) -> Iterator[tuple[Verdict, Comparison]]:
    for verdict in verdicts:
        best = _helping(verdict)[:1]
        yield from ((verdict, row) for row in verdict.comparisons if row not in best)


def _cure(row: Comparison) -> str:
    if row.needed is None:
        return ""
    if row.needed.more_seeds is not None:
        return f", {plural(row.needed.more_seeds, 'more seed')} would decide it"
    if row.needed.test_images is not None:
        return f", {row.needed.test_images:,} test images would decide it"
    return ", one seed only" if len(row.seeds) == 1 else f", more than {MOST_MORE_SEEDS} more seeds"
