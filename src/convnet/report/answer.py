"""The first screen: the answer on each dataset, the open questions with their next step, and the model that is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from convnet.comparison.decisions import FEWEST_SEEDS
from convnet.comparison.power import (
    MOST_TIMES_IMAGES,
    chance_of_decision,
    chance_words,
    estimate_of,
    minimum_detectable,
    next_looks,
    open_level,
    planned,
    strictest_level,
)
from convnet.comparison.schema import Comparison, Verdict
from convnet.comparison.wording import headline, pair_sentences
from convnet.evaluation.model_selection import best_of, candidate
from convnet.evaluation.schema import Evaluation
from convnet.params.section import BASELINE
from convnet.report.gains import cheapest_sentence
from convnet.system.formats import percent, plural, two_digits
from convnet.system.language import mark, tr


@dataclass(frozen=True)
class OpenQuestion:
    """A comparison that is not decided."""

    comparison: Comparison
    chances: Mapping[int, str]  # by number of seeds: the probability that they decide it, in words
    images: str  # about how many test images would decide it


@dataclass(frozen=True)
class Answer:
    """The answer on one dataset."""

    headline: str
    cheapest: str  # the cheapest remedy that helps; empty where none helps
    pairs: list[str]  # one sentence for every two helpers
    looks: list[int]  # numbers of seeds that are still ahead
    questions: list[OpenQuestion]
    kept: str  # the variant in models/best
    reasons: list[str]  # why it is kept


@dataclass(frozen=True)
class NextStep:
    """A command that trains more seeds of every dataset."""

    seeds: int
    command: str
    duration: str  # of the training, in words


@dataclass(frozen=True)
class DetectableTable:
    """The true difference that each comparison decides in 80 % of studies, as a share."""

    seeds: list[int]  # of the columns: now, then the looks that are still ahead
    rows: list[tuple[Comparison, list[float], float]]  # by number of seeds; and now, with MORE_IMAGES times the images


MORE_IMAGES = 4


def detectable_table(verdict: Verdict) -> DetectableTable:
    """Return the minimum detectable differences of a dataset at the strictest step of Holm's correction."""
    known = [row for row in verdict.comparisons if len(row.seeds) > 1]
    now = max((len(row.seeds) for row in known), default=0)
    seeds, level = [now, *next_looks(now, verdict.looks)], strictest_level(verdict)
    rows = []
    for row in known:
        estimate = estimate_of(row)
        least = [minimum_detectable(planned(estimate, count), level) for count in seeds]
        with_images = minimum_detectable(planned(estimate, len(row.seeds), MORE_IMAGES), level)
        # The weighted t may rise where the seeds dominate; more images never make a study worse.
        rows.append((row, least, min(least[0], with_images)))
    return DetectableTable(seeds, rows)


def answer_on(verdict: Verdict, evaluations: Sequence[Evaluation]) -> Answer:
    """Return the answer on one dataset."""
    undecided = [row for row in verdict.comparisons if row.decision == "not decided"]
    looks = next_looks(min((len(row.seeds) for row in undecided), default=0), verdict.looks) if undecided else []
    level = open_level(verdict)
    questions = [
        OpenQuestion(
            row,
            {look: _chance(row, look, level, verdict.margin) for look in looks if look > len(row.seeds)},
            _images_words(row),
        )
        for row in undecided
    ]
    best = best_of([candidate(evaluation) for evaluation in evaluations])
    reasons = [
        tr(
            "The model is {variant} with seed {seed}. Of {variants} {variant} has the highest validation accuracy: "
            "{accuracy}, mean over seeds.",
            variant=best.variant,
            seed=best.seed,
            variants=plural(len(evaluations), "variant"),
            accuracy=percent(best.accuracy),
        ),
        *_on_test_images(verdict, best.variant),
    ]
    cheapest = cheapest_sentence(verdict, evaluations)
    return Answer(headline(verdict), cheapest, pair_sentences(verdict), looks, questions, best.variant, reasons)


def _chance(row: Comparison, seeds: int, level: float, margin: float) -> str:
    redrawn = row.interval_kind == "folds and test images"
    chance = chance_of_decision(estimate_of(row), seeds, level, margin, redrawn)
    return tr("not known") if chance is None else chance_words(chance)


def _images_words(row: Comparison) -> str:
    """Return about how many test images would decide a comparison, if its difference stays as it is."""
    if row.needed is None or row.split == "resplit" or len(row.seeds) < FEWEST_SEEDS:
        return tr("not known")
    if row.needed.test_images is None:
        return tr("over {times} times the {now:,} now", times=MOST_TIMES_IMAGES, now=row.n_test)
    return tr("about {images:,} ({now:,} now)", images=two_digits(row.needed.test_images), now=row.n_test)


def _on_test_images(verdict: Verdict, kept: str) -> list[str]:
    """Return the sentence that the test images add to the choice by validation images."""
    if kept == BASELINE or not verdict.comparisons:
        return []
    if kept not in verdict.helpers:
        words = {
            "hurts": mark("On test images {kept} is worse than {other}."),
            "no relevant difference": mark("On test images {kept} makes no relevant difference to {other}."),
        }
        still_open = mark("The test images do not decide yet whether {kept} is better than {other}.")
        return [
            tr(words.get(row.decision, still_open), kept=kept, other=row.baseline)
            for row in verdict.comparisons
            if row.variant == kept
        ]
    if verdict.leader == kept:
        return [tr("On test images {kept} is ahead of every other helper.", kept=kept)]
    if verdict.leader:
        behind = mark("On test images {leader} is ahead of {kept}. The test images judge and do not choose.")
        return [tr(behind, leader=verdict.leader, kept=kept)]
    if len(verdict.helpers) > 1:
        return [tr("The test images do not show which of the helpers is best.")]
    return []


def next_steps(datasets: Sequence[Sequence[Evaluation]], looks: Sequence[int], declared: bool) -> list[NextStep]:
    """Return the command and the longest duration of each look that is still ahead.

    Args:
        datasets: the evaluations of each dataset.
        looks: numbers of seeds that are still ahead of an open comparison.
        declared: the run declares its looks, so `convnet decide` trains up to them.
    """
    # Some variants may have more seeds than all have; the next numbers are theirs.
    seeds = sorted(set.intersection(*({run.seed for run in e.seeds} for evaluations in datasets for e in evaluations)))
    unused = (seed for seed in range(max(seeds, default=0) + 100) if seed not in seeds)
    added = [next(unused) for _ in range(max(looks, default=0) - len(seeds))]
    steps = []
    for look in looks:
        # The training that fine-tuning starts from is in the sum already.
        seconds = sum(
            max(look - len(e.seeds), 0) * fmean(run.seconds_training for run in e.seeds)
            for evaluations in datasets
            for e in evaluations
        )
        listed = ",".join(map(str, sorted([*seeds, *added[: max(look - len(seeds), 0)]])))
        command = f"convnet decide --until {look}" if declared else f"dvc exp run -S 'run.seeds=[{listed}]'"
        steps.append(NextStep(look, command, _duration(seconds)))
    return steps


def _duration(seconds: float) -> str:
    if seconds < 5400:
        return plural(max(round(seconds / 60), 1), "minute")
    return tr("{hours:.1f} hours", hours=seconds / 3600)
