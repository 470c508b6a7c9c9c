"""Looks in words: the look that decided, the looks to come, and the jobs that early decisions save."""

from collections.abc import Sequence

from convnet.comparison.schema import Comparison, Verdict
from convnet.system.formats import plural, two_digits

TOO_LARGE = "0.0 to 4.0"  # at the looks before the last, in bench/results/looks_simulation.json


def look_sentence(row: Comparison, looks: Sequence[int]) -> str:
    """Return the look that decided a comparison, or the look that comes next.

    Args:
        row: the comparison.
        looks: the declared numbers of seeds, rising.
    """
    used = len(row.seeds)
    if row.decision != "not decided":
        return f"The look at {used} seeds decided it ({looks.index(used) + 1} of {len(looks)}).{_caution(row, looks)}"
    if used < looks[0]:
        return f"This is provisional: the first look is at {looks[0]} seeds."
    following = [look for look in looks if look > used]
    if following:
        return f"The next look is at {following[0]} seeds."
    images = row.needed and row.needed.test_images
    return "The last look is over." + (f" {about_images(images).capitalize()} would decide it." if images else "")


def about_images(count: int) -> str:
    """Return "about 1,300 test images"."""
    return f"about {two_digits(count):,} test images"


def _caution(row: Comparison, looks: Sequence[int]) -> str:
    if row.decision == "no relevant difference" or len(row.seeds) == looks[-1]:
        return ""
    return f" A difference that decides early is likely too large, by {TOO_LARGE} points in simulated studies."


def spent_sentence(verdict: Verdict) -> str:
    """Return the looks that are spent and to come, the jobs by variant, and the jobs saved against the last look."""
    looks, rows = verdict.looks, verdict.variants
    trained, most = sum(len(row.seeds) for row in rows), looks[-1] * len(rows)
    sentence = f"{looks_sentence(verdict)} {plural(trained, 'job')} were trained"
    if trained < most:
        sentence += f", {most - trained} fewer than at the last look for all variants"
    if len({len(row.seeds) for row in rows}) > 1:
        sentence += f". Seeds by variant: {', '.join(f'{row.variant} {len(row.seeds)}' for row in rows)}"
    return f"{sentence}."


def looks_sentence(verdict: Verdict) -> str:
    """Return the declared looks: those that are spent, and those that may come for open comparisons."""
    reached = max((len(row.seeds) for row in verdict.comparisons), default=0)
    still = [len(row.seeds) for row in verdict.comparisons if row.decision == "not decided"]
    spent = [look for look in verdict.looks if look <= reached]
    ahead = [look for look in verdict.looks if still and look > min(still)]
    return (
        f"Looks were declared at {_listed(verdict.looks)} seeds. "
        f"Spent: {_listed(spent)}. To come for open comparisons: {_listed(ahead)}."
    )


def _listed(looks: Sequence[int]) -> str:
    """Return "3, 5 and 10", or "none"."""
    words = list(map(str, looks)) or ["none"]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
