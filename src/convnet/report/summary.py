"""reports/summary.md: the verdicts of a run as a table, for a pull request."""

from collections.abc import Sequence
from pathlib import Path

from convnet.comparison.schema import Verdict
from convnet.report.answer import Answer
from convnet.system.files import write_text
from convnet.system.formats import points, points_interval

HEAD = (
    "| dataset | images | variant | test accuracy | difference | 95 % interval | verdict | chance of a decision |\n"
    "|---|---|---|---|---|---|---|---|\n"
)
FIGURES = ("accuracy", "curves_loss")


def write_summary(datasets: Sequence[tuple[Verdict, Answer]], path: Path) -> None:
    """Write the answers, the table of all comparisons, and links to two figures of each dataset."""
    headlines = [answer.headline for _, answer in datasets]
    parts = [*headlines, "", HEAD + "".join(_rows(verdict, answer) for verdict, answer in datasets)]
    for verdict, _ in datasets:
        for name in FIGURES:
            parts.append(f"![{name} of {verdict.dataset}, {verdict.kind}](figures/{verdict.dataset}/{name}.png)")
    write_text(path, "\n".join(parts) + "\n")


def _rows(verdict: Verdict, answer: Answer) -> str:
    compared = {row.variant: row for row in reversed(verdict.comparisons)}
    chances = {(q.comparison.variant, q.comparison.baseline): q.chances for q in answer.questions}
    lines = ""
    for row in verdict.variants:
        found = compared.get(row.variant)
        judged = ["", "", "baseline" if row.variant == verdict.baseline else "", ""]
        if found is not None:
            next_look = next(iter(chances.get((found.variant, found.baseline), {}).items()), None)
            judged = [
                points(found.mean),
                points_interval(*found.interval),
                f"{found.decision} (against {found.baseline})",
                f"{next_look[1]} with {next_look[0]} seeds" if next_look else "",
            ]
        reached = f"{100 * row.accuracy.mean:.1f} %"
        cells = [verdict.dataset, verdict.kind, row.variant, reached, *judged]
        lines += "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
    return lines
