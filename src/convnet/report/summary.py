"""reports/summary.md: the verdicts of a run as a table, for a pull request."""

from collections.abc import Sequence
from pathlib import Path

from convnet.comparison.schema import Verdict
from convnet.report.answer import Answer
from convnet.system.files import write_text
from convnet.system.formats import points, points_interval
from convnet.system.language import mark, tr

HEAD = mark(
    "| dataset | images | variant | test accuracy | difference | 95 % interval | verdict | chance of a decision |"
)
FIGURES = ("accuracy", "curves_loss")


def write_summary(datasets: Sequence[tuple[Verdict, Answer]], path: Path) -> None:
    """Write the answers, the table of all comparisons, and links to two figures of each dataset."""
    headlines = [answer.headline for _, answer in datasets]
    head = tr(
        "| dataset | images | variant | test accuracy | difference | 95 % interval | verdict | chance of a decision |"
    )
    parts = [
        *headlines,
        "",
        f"{head}\n|---|---|---|---|---|---|---|---|\n"
        + "".join(_rows(verdict, answer) for verdict, answer in datasets),
    ]
    for verdict, _ in datasets:
        for name in FIGURES:
            words = tr("{figure} of {dataset}, {kind}", figure=name, dataset=verdict.dataset, kind=tr(verdict.kind))
            parts.append(f"![{words}](figures/{verdict.dataset}/{name}.png)")
    write_text(path, "\n".join(parts) + "\n")


def _rows(verdict: Verdict, answer: Answer) -> str:
    compared = {row.variant: row for row in reversed(verdict.comparisons)}
    chances = {(q.comparison.variant, q.comparison.baseline): q.chances for q in answer.questions}
    lines = ""
    for row in verdict.variants:
        found = compared.get(row.variant)
        judged = ["", "", tr("baseline") if row.variant == verdict.baseline else "", ""]
        if found is not None:
            next_look = next(iter(chances.get((found.variant, found.baseline), {}).items()), None)
            judged = [
                points(found.mean),
                points_interval(*found.interval),
                tr("{decision} (against {baseline})", decision=tr(found.decision), baseline=found.baseline),
                tr("{chance} with {seeds} seeds", chance=next_look[1], seeds=next_look[0]) if next_look else "",
            ]
        reached = f"{100 * row.accuracy.mean:.1f} %"
        cells = [verdict.dataset, tr(verdict.kind), row.variant, reached, *judged]
        lines += "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
    return lines
