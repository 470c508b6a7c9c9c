"""The verdict in words. Every number is given; nothing is computed here but rounding."""

from collections.abc import Sequence

from convnet.comparison.decisions import FEWEST_SEEDS
from convnet.comparison.look_sentences import about_images, look_sentence
from convnet.comparison.power import MOST_MORE_SEEDS, MOST_TIMES_IMAGES
from convnet.comparison.schema import Comparison, Deciding, Verdict
from convnet.evaluation.metrics import METRICS
from convnet.params.section import BASELINE
from convnet.system.formats import listed, p_words, plural, points, points_interval
from convnet.system.language import mark, tr

MOST_NAMED = 6  # helpers in one sentence
PER_SEED = {
    "fixed": "{images}",
    "resplit": mark("{images} per split"),
    "folds": mark("{images}, each tested once"),
}
MORE_SEEDS = {
    "fixed": "{seeds}",
    "resplit": mark("{seeds} with own splits"),
    "folds": mark("{seeds} and as many folds"),
}
OPENINGS = {
    "helps": mark("{variant} helps{over}"),
    "hurts": mark("{variant} hurts{over}"),
    "no relevant difference": mark("{variant} makes no relevant difference{over}"),
    "not decided": mark("It is not decided whether {variant} helps{over}"),
}


def metric_words(metric: Deciding) -> str:
    """Return "test accuracy" or "test balanced accuracy"."""
    return tr(f"test {METRICS[metric].words}")


def basis(comparison: Comparison, rendered: bool) -> str:
    """Return the seeds and test images of a comparison, and whether the images are rendered."""
    seeds = len(comparison.seeds)
    images = tr(PER_SEED[comparison.split], images=plural(comparison.n_test, "test image"))
    if comparison.n_groups < comparison.n_test:
        images = tr("{images} in {groups}", images=images, groups=plural(comparison.n_groups, "group"))
    parts = [tr("one seed only") if seeds == 1 else plural(seeds, "seed"), images]
    return ", ".join(parts + ([tr("rendered images")] if rendered else []))


def comparison_sentence(row: Comparison, verdict: Verdict) -> str:
    """Return the verdict on one comparison: the change, how sure it is, its basis, and what would decide it."""
    lower, upper = row.interval
    comparisons = len(verdict.comparisons)
    correction = tr(", Holm over {count} comparisons", count=comparisons) if comparisons > 1 else ""
    if len(verdict.looks) > 1:
        correction += tr(", {count} looks", count=len(verdict.looks))
    sentence = tr(
        "{opening}: {metric} changes by {points} points (95 % interval {interval} over {kind}; {p}{correction}; "
        "{basis}).",
        opening=tr(OPENINGS[row.decision], variant=row.variant, over=_over(row, verdict)),
        metric=metric_words(verdict.metric),
        points=points(row.mean),
        interval=points_interval(lower, upper),
        kind=tr(row.interval_kind),
        p=p_words(row.p_holm),
        correction=correction,
        basis=basis(row, verdict.rendered),
    )
    margin = 100 * verdict.margin
    look = f" {look_sentence(row, verdict.looks)}" if verdict.looks else ""
    if row.decision == "no relevant difference":
        within = mark("The whole interval is within ±{margin:g} points, so the difference does not matter in practice.")
        return f"{sentence} {tr(within, margin=margin)}{look}"
    if row.decision != "not decided":
        return sentence + look
    if len(row.seeds) >= FEWEST_SEEDS and comparisons > 1:
        if lower > 0 or upper < 0:
            but = mark("The interval excludes zero, but not after correction for {count} comparisons.")
            sentence += f" {tr(but, count=comparisons)}"
        elif -verdict.margin < lower and upper < verdict.margin:
            but = mark("The interval is within ±{margin:g} points, but not after correction for {count} comparisons.")
            sentence += f" {tr(but, margin=margin, count=comparisons)}"
    return sentence + (look or f" {needed_sentence(row)}")


def _over(row: Comparison, verdict: Verdict) -> str:
    """Name the variant compared with, where it is not the baseline."""
    return "" if row.baseline == verdict.baseline else tr(" compared with {baseline}", baseline=row.baseline)


def needed_sentence(comparison: Comparison) -> str:
    """Return the plan of an open comparison: more seeds with a probability, or about how many test images."""
    count = len(comparison.seeds)
    if count < FEWEST_SEEDS:
        words = (
            mark(
                "With one seed the randomness of training is not measured, so nothing is decided: train at least {few}."
            )
            if count == 1
            else mark(
                "With {count} seeds the randomness of training is hardly measured, so nothing is decided: train at "
                "least {few}."
            )
        )
        return tr(words, count=count, few=FEWEST_SEEDS)
    assert comparison.needed is not None
    seeds, images = _more_seeds(comparison), comparison.needed.test_images
    ways = []
    if seeds:
        chance = _chance(comparison.needed.probability)
        ways.append(tr("{seeds} would decide it with a probability of {chance}.", seeds=seeds, chance=chance))
    if images is not None:
        stays = mark("If the difference stays as it is, {images} ({now:,} now) would decide it.")
        ways.append(tr(stays, images=about_images(images), now=comparison.n_test))
    if ways:
        return " ".join(ways)
    more = tr(MORE_SEEDS[comparison.split], seeds=plural(MOST_MORE_SEEDS, "more seed"))
    if comparison.split == "resplit":
        return tr("{seeds} are probably not enough to show that it helps or hurts.", seeds=more)
    return tr(
        "{seeds} or {times} times the test images are probably not enough to show that it helps or hurts.",
        seeds=more,
        times=MOST_TIMES_IMAGES,
    )


def _more_seeds(comparison: Comparison) -> str:
    """Return the seeds of a plan, empty without one."""
    assert comparison.needed is not None
    seeds = comparison.needed.more_seeds
    return tr(MORE_SEEDS[comparison.split], seeds=plural(seeds, "more seed")) if seeds else ""


def _chance(probability: float | None) -> str:
    """Return a probability in tens: a plan is only that exact."""
    assert probability is not None
    return tr("more than 90 %") if probability > 0.95 else tr("about {percent} %", percent=10 * round(10 * probability))


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
    correction = tr(", Holm over {count} pairs of helpers", count=pairs) if pairs > 1 else ""
    sentences = []
    for pair in verdict.pairs:
        lower, upper = pair.interval
        other = pair.second if pair.ahead == pair.first else pair.first
        opening = (
            tr("{ahead} is ahead of {other}", ahead=pair.ahead, other=other)
            if pair.ahead
            else tr("It is not decided whether {first} or {second} is ahead", first=pair.first, second=pair.second)
        )
        sentences.append(
            tr(
                "{opening}: {first} less {second} is {points} points of {metric} (95 % interval {interval}; "
                "{p}{correction}).",
                opening=opening,
                first=pair.first,
                second=pair.second,
                points=points(pair.mean),
                metric=metric_words(verdict.metric),
                interval=points_interval(lower, upper),
                p=p_words(pair.p_holm),
                correction=correction,
            )
        )
    return sentences


def _sentence(words: str) -> str:
    # Only the sentence's own words are changed: a dataset or variant name keeps its spelling.
    return f"{words[:1].upper()}{words[1:]}."


def _answer(verdict: Verdict) -> str:
    where = tr("on {dataset} (rendered images)" if verdict.rendered else "on {dataset}", dataset=verdict.dataset)
    if not verdict.comparisons:
        return tr("{where} there is nothing to compare", where=where)
    if all(len(row.seeds) < FEWEST_SEEDS for row in verdict.comparisons):
        return tr("{where} nothing is decided with fewer than {few} seeds", where=where, few=FEWEST_SEEDS)
    if not verdict.helpers:
        over = any(row.decision == "helps" for row in verdict.comparisons)
        against = tr(" compared with {baseline}", baseline=BASELINE) if over else ""
        return tr("{where} no remedy is shown to help{over}", where=where, over=against)
    named = _named_first(verdict)
    gains = [f"{name} {_gain(_helping_row(verdict, name), verdict)}" for name in named]
    if len(named) > MOST_NAMED:
        return tr(
            "{where} {count} remedies help, and none is shown to be ahead of all others: {first} to {last}",
            where=where,
            count=len(named),
            first=gains[0],
            last=gains[-1],
        )
    if len(named) > 1:
        many = mark("{where} {names} help, and none is shown to be ahead of all others: {gains}")
        return tr(many, where=where, names=listed(named), gains=", ".join(gains))
    row = _helping_row(verdict, named[0])
    others = [name for name in verdict.helpers if name not in named]
    behind = listed(others) if 0 < len(others) <= MOST_NAMED else tr("{count} other helpers", count=len(others))
    ahead = tr(" and is ahead of {behind}", behind=behind) if others else ""
    note = tr("; chosen on the same test images, so this gain may be a little too large") if others else ""
    lower, upper = row.interval
    of_variant = {summary.variant: summary for summary in verdict.variants}
    both = [of_variant[row.baseline], of_variant[row.variant]]
    means = " -> ".join(f"{100 * summary.mean_of(verdict.metric):.1f} %" for summary in both)
    if any(summary.seeds != row.seeds for summary in both) and verdict.looks:
        means = tr("rises")  # the means are over other seeds than the difference
    return tr(
        "{where} {variant} helps{over}{ahead}: {metric} {means} ({points} points, 95 % interval {interval}, "
        "{basis}{note})",
        where=where,
        variant=row.variant,
        over=_over(row, verdict),
        ahead=ahead,
        metric=metric_words(verdict.metric),
        means=means,
        points=points(row.mean),
        interval=points_interval(lower, upper),
        basis=basis(row, False),
        note=note,
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
    interval = points_interval(lower, upper)
    gain = mark("{points} points{over} (95 % interval {interval})")
    return tr(gain, points=points(row.mean), over=_over(row, verdict), interval=interval)


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
