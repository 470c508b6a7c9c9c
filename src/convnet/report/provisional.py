"""A page for the time of training: the accuracies so far, what is decided, and what is to come.

It has the place of the whole page, which replaces it at the end of the run. After an interruption it remains, marked.
"""

from collections.abc import Sequence
from pathlib import Path

from convnet.comparison.look_sentences import looks_sentence
from convnet.comparison.schema import Verdict
from convnet.report.page import render
from convnet.system.files import write_text
from convnet.system.formats import plural, points, points_interval
from convnet.system.language import mark, tr


def write_provisional(verdicts: Sequence[Verdict], plan: Sequence[str], destination: Path) -> None:
    """Write the page.

    Args:
        verdicts: on the seeds so far, one per dataset.
        plan: sentences on what is still to be trained.
        destination: of the page.
    """
    rows = {verdict.dataset: [_row(verdict, summary.variant) for summary in verdict.variants] for verdict in verdicts}
    state = [_state(verdict) for verdict in verdicts]
    write_text(destination, render("provisional.html.j2", verdicts=verdicts, rows=rows, state=state, plan=plan))


def _row(verdict: Verdict, variant: str) -> tuple[str, int, float, str]:
    (summary,) = (row for row in verdict.variants if row.variant == variant)
    against = mark("{decision} against {baseline}: {points} points ({interval})")
    decided = [
        tr(
            against,
            decision=tr(row.decision),
            baseline=row.baseline,
            points=points(row.mean),
            interval=points_interval(*row.interval),
        )
        for row in verdict.comparisons
        if row.variant == variant and row.decision != "not decided"
    ]
    nothing = tr("baseline" if variant == verdict.baseline else "not decided")
    return variant, len(summary.seeds), summary.accuracy.mean, "; ".join(decided) or nothing


def _state(verdict: Verdict) -> str:
    decided = sum(row.decision != "not decided" for row in verdict.comparisons)
    all_of_them = plural(len(verdict.comparisons), "comparison")
    words = mark("On {dataset} {decided} of {comparisons} are decided.")
    first = tr(words, dataset=verdict.dataset, decided=decided, comparisons=all_of_them)
    if not verdict.looks:
        return first
    if verdict.split == "folds":
        words = mark("Each seed tests another fold of the images. All {seeds} seeds are judged together.")
        return f"{first} {tr(words, seeds=verdict.looks[-1])}"
    return f"{first} {looks_sentence(verdict)}"
