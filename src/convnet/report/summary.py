"""reports/summary.md: the verdicts of a run as a table, for a pull request."""

from collections.abc import Sequence
from pathlib import Path

from convnet.comparison.schema import Verdict
from convnet.comparison.wording import opening_sentences
from convnet.system.files import write_text
from convnet.system.formats import points, points_interval

HEAD = (
    "| dataset | images | variant | test accuracy | difference | 95 % interval | verdict |\n"
    "|---|---|---|---|---|---|---|\n"
)
FIGURES = ("accuracy", "curves_loss")


def write_summary(verdicts: Sequence[Verdict], path: Path) -> None:
    """Write the answer, the table of all comparisons, and links to two figures of each dataset."""
    parts = [*opening_sentences(verdicts), "", HEAD + "".join(_rows(verdict) for verdict in verdicts)]
    for verdict in verdicts:
        for name in FIGURES:
            parts.append(f"![{name} of {verdict.dataset}, {verdict.kind}](figures/{verdict.dataset}/{name}.png)")
    write_text(path, "\n".join(parts) + "\n")


def _rows(verdict: Verdict) -> str:
    compared = {row.variant: row for row in reversed(verdict.comparisons)}
    lines = ""
    for row in verdict.variants:
        found = compared.get(row.variant)
        judged = ["", "", "baseline" if row.variant == verdict.baseline else ""]
        if found is not None:
            low, high = found.interval
            judged = [
                points(found.mean),
                points_interval(low, high),
                f"{found.decision} (against {found.baseline})",
            ]
        reached = f"{100 * row.accuracy.mean:.1f} %"
        cells = [verdict.dataset, verdict.kind, row.variant, reached, *judged]
        lines += "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
    return lines
