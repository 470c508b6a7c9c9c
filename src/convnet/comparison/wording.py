"""The verdict in words. Every number is given; nothing is computed here but rounding."""

from collections.abc import Mapping, Sequence

from convnet.comparison.decisions import FEWEST_SEEDS
from convnet.comparison.look_sentences import about_images, look_sentence, spent_sentence
from convnet.comparison.power import MOST_MORE_SEEDS, MOST_TIMES_IMAGES
from convnet.comparison.schema import Comparison, Deciding, VariantSummary, Verdict
from convnet.evaluation.metrics import METRICS
from convnet.params.section import BASELINE
from convnet.system.formats import p_words, plural, points, points_interval

MOST_NAMED = 6  # helpers in one sentence
PER_SEED = {"fixed": "", "resplit": " per split", "folds": ", each tested once"}
MORE_SEEDS = {"fixed": "", "resplit": " with own splits", "folds": " and as many folds"}
CHOSEN = "chosen on the same test images, so this gain may be a little too large"


def metric_words(metric: Deciding) -> str:
    """Return "test accuracy" or "test balanced accuracy"."""
    return f"test {METRICS[metric].words}"


def basis(comparison: Comparison, rendered: bool) -> str:
    """Return the seeds and test images of a comparison, and whether the images are rendered."""
    seeds = len(comparison.seeds)
    images = plural(comparison.n_test, "test image") + PER_SEED[comparison.split]
    if comparison.n_groups < comparison.n_test:
        images += f" in {plural(comparison.n_groups, 'group')}"
    parts = ["one seed only" if seeds == 1 else plural(seeds, "seed"), images]
    return ", ".join(parts + (["rendered images"] if rendered else []))


def comparison_sentence(row: Comparison, verdict: Verdict) -> str:
    """Return the verdict on one comparison: the change, how sure it is, its basis, and what would decide it."""
    lower, upper = row.interval
    comparisons = len(verdict.comparisons)
    correction = f", Holm over {comparisons} comparisons" if comparisons > 1 else ""
    if len(verdict.looks) > 1:
        correction += f", {len(verdict.looks)} looks"
    sentence = (
        f"{_opening(row, verdict)}: {metric_words(verdict.metric)} changes by {points(row.mean)} points "
        f"(95 % interval {points_interval(lower, upper)} over {row.interval_kind}; "
        f"{p_words(row.p_holm)}{correction}; {basis(row, verdict.rendered)})."
    )
    margin = f"±{100 * verdict.margin:g} points"
    look = f" {look_sentence(row, verdict.looks)}" if verdict.looks else ""
    if row.decision == "no relevant difference":
        return f"{sentence} The whole interval is within {margin}, so the difference does not matter in practice.{look}"
    if row.decision != "not decided":
        return sentence + look
    if len(row.seeds) >= FEWEST_SEEDS and comparisons > 1:
        if lower > 0 or upper < 0:
            sentence += f" The interval excludes zero, but not after correction for {comparisons} comparisons."
        elif -verdict.margin < lower and upper < verdict.margin:
            sentence += f" The interval is within {margin}, but not after correction for {comparisons} comparisons."
    return sentence + (look or f" {needed_sentence(row)}")


def _opening(row: Comparison, verdict: Verdict) -> str:
    over = _over(row, verdict)
    if row.decision == "not decided":
        return f"It is not decided whether {row.variant} helps{over}"
    if row.decision == "no relevant difference":
        return f"{row.variant} makes no relevant difference{over}"
    return f"{row.variant} {row.decision}{over}"


def _over(row: Comparison, verdict: Verdict) -> str:
    """Name the variant compared with, where it is not the baseline."""
    return "" if row.baseline == verdict.baseline else f" compared with {row.baseline}"


def needed_sentence(comparison: Comparison) -> str:
    """Return the plan of an open comparison: more seeds with a probability, or about how many test images."""
    count = len(comparison.seeds)
    if count < FEWEST_SEEDS:
        seeds, measured = ("one seed", "not") if count == 1 else (f"{count} seeds", "hardly")
        return (
            f"With {seeds} the randomness of training is {measured} measured, so nothing is decided: train at least "
            f"{FEWEST_SEEDS}."
        )
    assert comparison.needed is not None
    seeds, images = _more_seeds(comparison), comparison.needed.test_images
    ways = [f"{seeds} would decide it with a probability of {_chance(comparison.needed.probability)}."] if seeds else []
    if images is not None:
        about = f"{about_images(images)} ({comparison.n_test:,} now) would decide it"
        ways.append(f"If the difference stays as it is, {about}.")
    if ways:
        return " ".join(ways)
    more = f"{MOST_MORE_SEEDS} more seeds{MORE_SEEDS[comparison.split]}"
    if comparison.split == "resplit":
        return f"{more} are probably not enough to show that it helps or hurts."
    return (
        f"{more} or {MOST_TIMES_IMAGES} times the test images are probably not enough to show that it helps or hurts."
    )


def _more_seeds(comparison: Comparison) -> str:
    """Return the seeds of a plan, empty without one."""
    assert comparison.needed is not None
    seeds = comparison.needed.more_seeds
    return f"{plural(seeds, 'more seed')}{MORE_SEEDS[comparison.split]}" if seeds else ""


def _chance(probability: float | None) -> str:
    """Return a probability in tens: a plan is only that exact."""
    assert probability is not None
    return "more than 90 %" if probability > 0.95 else f"about {10 * round(10 * probability)} %"


def trivial_sentence(row: VariantSummary, metric: Deciding) -> str:
    """Return the warning about a variant that does not beat the best trivial model."""
    assert row.trivial is not None
    how = "does not beat" if row.trivial.difference <= 0 else "does not clearly beat"
    return (
        f"{row.variant} {how} the trivial model '{row.trivial.name}': {metric_words(metric)} "
        f"{100 * row.mean_of(metric):.1f} % against {100 * row.trivial.reached:.1f} %."
    )


def warning_sentences(verdict: Verdict, baseline: str, against: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the cautions for a reader of a verdict.

    Args:
        verdict: the numbers.
        baseline: the name that the baseline should have.
        against: by variant, the variants that it should be compared with.
    """
    warnings = []
    if verdict.baseline is None:
        missing = f"The variant {baseline} is missing"
        how = "some variants cannot be compared" if verdict.comparisons else "nothing can be compared"
        warnings.append(f"{missing}, so {how}: add it to params.yaml.")
    elif not verdict.comparisons:
        warnings.append(f"{baseline} is the only variant, so nothing can be compared: add a remedy to params.yaml.")
    names = [row.variant for row in verdict.variants]
    for variant in names:
        for other in against.get(variant, ()):
            if variant != baseline and other not in (*names, baseline):
                warnings.append(f"{variant} is not compared with {other}: {other} is not in the run.")
    if verdict.metric == "balanced_accuracy":
        counts = verdict.imbalance.train_images
        largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
        warnings.append(
            f"The classes are unequal ({counts[largest]:,} training images of {largest}, {counts[smallest]:,} of "
            f"{smallest}): balanced accuracy decides and comes first."
        )
    for row in verdict.comparisons:
        if row.seeds_left_out and not verdict.looks:
            left_out = ", ".join(str(seed) for seed in row.seeds_left_out)
            warnings.append(f"{row.variant} is compared on shared seeds only; left out: {left_out}.")
    if verdict.looks:
        warnings.append(spent_sentence(verdict))
    if any(len(row.seeds) == 1 for row in verdict.comparisons):
        warnings.append("One seed only: the intervals count the sample of test images, not the randomness of training.")
    beaten = [row for row in verdict.variants if row.trivial and not row.trivial.beats]
    return warnings + [trivial_sentence(row, verdict.metric) for row in beaten]


def opening_sentences(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the answer of a whole report in two sentences: the remedies that help, then all others.

    Args:
        verdicts: one per dataset.
    """
    return [_sentence("; ".join(_answer(v) for v in verdicts)), _sentence(_others(verdicts))]


def headline(verdict: Verdict) -> str:
    """Return the answer on one dataset in one sentence: the helper that is ahead of every other, or all helpers."""
    return _sentence(_answer(verdict))


def pair_sentences(verdict: Verdict) -> list[str]:
    """Return one sentence for every two helpers: the one that is ahead, or that this is not decided."""
    pairs = len(verdict.pairs)
    correction = f", Holm over {pairs} pairs of helpers" if pairs > 1 else ""
    sentences = []
    for pair in verdict.pairs:
        lower, upper = pair.interval
        other = pair.second if pair.ahead == pair.first else pair.first
        opening = (
            f"{pair.ahead} is ahead of {other}"
            if pair.ahead
            else f"It is not decided whether {pair.first} or {pair.second} is ahead"
        )
        sentences.append(
            f"{opening}: {pair.first} less {pair.second} is {points(pair.mean)} points of "
            f"{metric_words(verdict.metric)} (95 % interval {points_interval(lower, upper)}; "
            f"{p_words(pair.p_holm)}{correction})."
        )
    return sentences


def _sentence(words: str) -> str:
    # Only the sentence's own words are changed: a dataset or variant name keeps its spelling.
    return f"{words[:1].upper()}{words[1:]}."


def _answer(verdict: Verdict) -> str:
    where = f"on {verdict.dataset}" + (" (rendered images)" if verdict.rendered else "")
    if not verdict.comparisons:
        return f"{where} there is nothing to compare"
    if all(len(row.seeds) < FEWEST_SEEDS for row in verdict.comparisons):
        return f"{where} nothing is decided with fewer than {FEWEST_SEEDS} seeds"
    if not verdict.helpers:
        over = any(row.decision == "helps" for row in verdict.comparisons)
        return f"{where} no remedy is shown to help" + (f" compared with {BASELINE}" if over else "")
    named = _named_first(verdict)
    if len(named) > MOST_NAMED:
        ends = [f"{name} {_gain(_helping_row(verdict, name), verdict)}" for name in (named[0], named[-1])]
        return f"{where} {len(named)} remedies help, and none is shown to be ahead of all others: {' to '.join(ends)}"
    if len(named) > 1:
        gains = ", ".join(f"{name} {_gain(_helping_row(verdict, name), verdict)}" for name in named)
        return f"{where} {_list(named)} help, and none is shown to be ahead of all others: {gains}"
    row = _helping_row(verdict, named[0])
    others = [name for name in verdict.helpers if name not in named]
    behind = _list(others) if len(others) <= MOST_NAMED else f"{len(others)} other helpers"
    ahead = f" and is ahead of {behind}" if others else ""
    note = f"; {CHOSEN}" if others else ""
    lower, upper = row.interval
    of_variant = {summary.variant: summary for summary in verdict.variants}
    both = [of_variant[row.baseline], of_variant[row.variant]]
    means = " -> ".join(f"{100 * summary.mean_of(verdict.metric):.1f} %" for summary in both)
    if any(summary.seeds != row.seeds for summary in both) and verdict.looks:
        means = "rises"  # the means are over other seeds than the difference
    return (
        f"{where} {row.variant} helps{_over(row, verdict)}{ahead}: {metric_words(verdict.metric)} "
        f"{means} ({points(row.mean)} points, "
        f"95 % interval {points_interval(lower, upper)}, {basis(row, False)}{note})"
    )


def _named_first(verdict: Verdict) -> list[str]:
    """Return the helpers that the first sentence is about: the leader, or all where none is ahead."""
    return [verdict.leader] if verdict.leader else verdict.helpers


def _helping_row(verdict: Verdict, helper: str) -> Comparison:
    """Return the comparison in which a helper helps; against the baseline where there are several."""
    rows = [row for row in verdict.comparisons if row.variant == helper and row.decision == "helps"]
    return min(rows, key=lambda row: row.baseline != verdict.baseline)


def _gain(row: Comparison, verdict: Verdict) -> str:
    lower, upper = row.interval
    return f"{points(row.mean)} points{_over(row, verdict)} (95 % interval {points_interval(lower, upper)})"


def _list(names: Sequence[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


DECISION_WORDS = {
    "helps": "also helps",
    "hurts": "hurts",
    "no relevant difference": "no relevant difference",
    "not decided": "not decided",
}


def _others(verdicts: Sequence[Verdict]) -> str:
    parts = []
    for decision, words in DECISION_WORDS.items():
        found = [
            f"{row.variant}{_over(row, verdict)}{f' on {verdict.dataset}' if len(verdicts) > 1 else ''} "
            f"({points(row.mean)} points{_cure(row, verdict.looks)})"
            for verdict in verdicts
            for row in verdict.comparisons
            if row.decision == decision and row not in _in_the_answer(verdict)
        ]
        if found:
            parts.append(f"{words}: {', '.join(found)}")
    return "; ".join(parts) if parts else "no other remedy was compared"


def _in_the_answer(verdict: Verdict) -> list[Comparison]:
    return [_helping_row(verdict, name) for name in _named_first(verdict)]


def _cure(row: Comparison, looks: Sequence[int]) -> str:
    if row.needed is None:
        return ""
    if looks:
        following = [look for look in looks if look > len(row.seeds)]
        return f", next look at {following[0]} seeds" if following else ""
    if len(row.seeds) < FEWEST_SEEDS:
        return f", fewer than {FEWEST_SEEDS} seeds"
    seeds = _more_seeds(row)
    return f", {seeds} would probably decide it" if seeds else ""
