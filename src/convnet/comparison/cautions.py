"""The words of a verdict: the sentence on each comparison, and the cautions for its reader."""

from collections.abc import Mapping, Sequence

from convnet.comparison.look_sentences import spent_sentence
from convnet.comparison.schema import Comparison, Deciding, VariantSummary, Verdict
from convnet.comparison.wording import comparison_sentence, metric_words
from convnet.evaluation.schema import Evaluation
from convnet.params.section import BASELINE
from convnet.system.formats import percent
from convnet.system.language import mark, tr


def with_words(
    found: Verdict,
    evaluations: Sequence[Evaluation],
    against: Mapping[str, Sequence[str]],
    baseline: str = BASELINE,
) -> Verdict:
    """Return a verdict with its sentences and warnings in the language in use.

    Args:
        found: the numbers.
        evaluations: one per variant.
        against: by variant, the variants that it should be compared with.
        baseline: the name that the baseline should have.
    """
    rows = [row.model_copy(update={"sentence": comparison_sentence(row, found)}) for row in found.comparisons]
    warnings = [*warning_sentences(found, baseline, against), *_at_cap(found, evaluations)]
    return found.model_copy(update={"comparisons": rows, "warnings": warnings})


def _at_cap(found: Verdict, evaluations: Sequence[Evaluation]) -> list[str]:
    improving = mark("{variant} is still improving at its cap of epochs; raise `epochs` for the whole dataset.")
    capped = {e.variant for e in evaluations if any(run.at_cap for run in e.seeds)}
    return [tr(improving, variant=row.variant) for row in found.variants if row.variant in capped]


def warning_sentences(verdict: Verdict, baseline: str, against: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the cautions for a reader of a verdict.

    Args:
        verdict: the numbers.
        baseline: the name that the baseline should have.
        against: by variant, the variants that it should be compared with.
    """
    warnings = []
    if verdict.baseline is None:
        words = (
            mark("The variant {baseline} is missing, so some variants cannot be compared: add it to params.yaml.")
            if verdict.comparisons
            else mark("The variant {baseline} is missing, so nothing can be compared: add it to params.yaml.")
        )
        warnings.append(tr(words, baseline=baseline))
    elif not verdict.comparisons:
        alone = mark("{baseline} is the only variant, so nothing can be compared: add a remedy to params.yaml.")
        warnings.append(tr(alone, baseline=baseline))
    names = [row.variant for row in verdict.variants]
    for variant in names:
        for other in against.get(variant, ()):
            if variant != baseline and other not in (*names, baseline):
                absent = mark("{variant} is not compared with {other}: {other} is not in the run.")
                warnings.append(tr(absent, variant=variant, other=other))
    if verdict.metric == "balanced_accuracy":
        counts = verdict.imbalance.train_images
        largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
        unequal = mark(
            "The classes are unequal ({most:,} training images of {largest}, {fewest:,} of {smallest}): balanced "
            "accuracy decides and comes first."
        )
        numbers = {"most": counts[largest], "fewest": counts[smallest]}
        warnings.append(tr(unequal, largest=largest, smallest=smallest, **numbers))
    warnings += [spent_sentence(verdict)] if verdict.looks else _left_out(verdict.comparisons)
    if any(len(row.seeds) == 1 for row in verdict.comparisons):
        one = mark("One seed only: the intervals count the sample of test images, not the randomness of training.")
        warnings.append(tr(one))
    beaten = [row for row in verdict.variants if row.trivial and not row.trivial.beats]
    return warnings + [trivial_sentence(row, verdict.metric) for row in beaten]


def _left_out(rows: Sequence[Comparison]) -> list[str]:
    """Return a sentence for each set of seeds that some comparisons leave out."""
    variants: dict[str, list[str]] = {}
    for row in rows:
        if row.seeds_left_out:
            variants.setdefault(", ".join(map(str, row.seeds_left_out)), []).append(row.variant)
    shared = mark("Compared on shared seeds only, without the seeds {seeds}: {variants}.")
    return [tr(shared, seeds=seeds, variants=", ".join(dict.fromkeys(names))) for seeds, names in variants.items()]


def trivial_sentence(row: VariantSummary, metric: Deciding) -> str:
    """Return the warning about a variant that does not beat the best trivial model."""
    assert row.trivial is not None
    words = (
        mark("{variant} does not beat the trivial model '{trivial}': {metric} {own} against {reached}.")
        if row.trivial.difference <= 0
        else mark("{variant} does not clearly beat the trivial model '{trivial}': {metric} {own} against {reached}.")
    )
    return tr(
        words,
        variant=row.variant,
        trivial=tr(row.trivial.name),
        metric=metric_words(metric),
        own=percent(row.mean_of(metric)),
        reached=percent(row.trivial.reached),
    )
