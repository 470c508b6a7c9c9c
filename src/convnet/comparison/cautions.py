"""The words of a verdict: the sentence on each comparison, and the cautions for its reader."""

from collections.abc import Mapping, Sequence

from convnet.comparison.look_sentences import spent_sentence
from convnet.comparison.schema import Comparison, Verdict
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
    capped = {e.variant for e in evaluations if any(run.at_cap for run in e.seeds)}
    names = [row.variant for row in found.variants if row.variant in capped]
    improving = mark("Still improving at the cap of epochs: {variants}; raise `epochs` for the whole dataset.")
    return [tr(improving, variants=", ".join(names))] if names else []


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
    return warnings + _trivial(verdict)


def _left_out(rows: Sequence[Comparison]) -> list[str]:
    """Return a sentence for each set of seeds that some comparisons leave out."""
    variants: dict[str, list[str]] = {}
    for row in rows:
        if row.seeds_left_out:
            variants.setdefault(", ".join(map(str, row.seeds_left_out)), []).append(row.variant)
    shared = mark("Compared on shared seeds only, without the seeds {seeds}: {variants}.")
    return [tr(shared, seeds=seeds, variants=", ".join(dict.fromkeys(names))) for seeds, names in variants.items()]


def _trivial(verdict: Verdict) -> list[str]:
    """Return a sentence for the variants that do not beat a trivial model, and one for those without a clear lead."""
    below, unclear = (
        mark("Not above the trivial model '{trivial}' with {metric} {reached}: {variants}."),
        mark("Not clearly above the trivial model '{trivial}' with {metric} {reached}: {variants}."),
    )
    metric = verdict.metric
    variants: dict[tuple[str, str, float], list[str]] = {}
    for row in verdict.variants:
        if row.trivial and not row.trivial.beats:
            words = below if row.trivial.difference <= 0 else unclear
            own = f"{row.variant} ({percent(row.mean_of(metric))})"
            variants.setdefault((words, row.trivial.name, row.trivial.reached), []).append(own)
    return [
        tr(words, trivial=tr(name), metric=metric_words(metric), reached=percent(reached), variants=", ".join(names))
        for (words, name, reached), names in variants.items()
    ]
