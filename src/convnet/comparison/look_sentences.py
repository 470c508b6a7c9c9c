"""Looks in words: the look that decided, the looks to come, and the jobs that early decisions save."""

from collections.abc import Sequence

from convnet.comparison.schema import Comparison, Verdict
from convnet.system.formats import listed, plural, two_digits
from convnet.system.language import mark, tr

TOO_LARGE = mark("0.0 to 4.0")  # at the looks before the last, in bench/results/looks_simulation.json


def look_sentence(row: Comparison, looks: Sequence[int]) -> str:
    """Return the look that decided a comparison, or the look that comes next.

    Args:
        row: the comparison.
        looks: the declared numbers of seeds, rising.
    """
    used = len(row.seeds)
    if row.decision != "not decided":
        decided = mark("The look at {seeds} seeds decided it ({place} of {all}).")
        place = {"place": looks.index(used) + 1, "all": len(looks)}
        return tr(decided, seeds=used, **place) + _caution(row, looks)
    if used < looks[0]:
        return tr("This is provisional: the first look is at {seeds} seeds.", seeds=looks[0])
    following = [look for look in looks if look > used]
    if following:
        return tr("The next look is at {seeds} seeds.", seeds=following[0])
    images = row.needed and row.needed.test_images
    if not images:
        return tr("The last look is over.")
    return tr("The last look is over. About {count:,} test images would decide it.", count=two_digits(images))


def about_images(count: int) -> str:
    """Return "about 1,300 test images"."""
    return tr("about {count:,} test images", count=two_digits(count))


def _caution(row: Comparison, looks: Sequence[int]) -> str:
    if row.decision == "no relevant difference" or len(row.seeds) == looks[-1]:
        return ""
    caution = mark("A difference that decides early is likely too large, by {range} points in simulated studies.")
    return f" {tr(caution, range=tr(TOO_LARGE))}"


def spent_sentence(verdict: Verdict) -> str:
    """Return the looks that are spent and to come, the jobs by variant, and the jobs saved against the last look."""
    looks, rows = verdict.looks, verdict.variants
    trained, most = sum(len(row.seeds) for row in rows), looks[-1] * len(rows)
    sentence = tr("{looks} {jobs} were trained", looks=looks_sentence(verdict), jobs=plural(trained, "job"))
    if trained < most:
        sentence += tr(", {count} fewer than at the last look for all variants", count=most - trained)
    if len({len(row.seeds) for row in rows}) > 1:
        by_variant = ", ".join(f"{row.variant} {len(row.seeds)}" for row in rows)
        sentence += tr(". Seeds by variant: {list}", list=by_variant)
    return f"{sentence}."


def looks_sentence(verdict: Verdict) -> str:
    """Return the declared looks: those that are spent, and those that may come for open comparisons."""
    reached = max((len(row.seeds) for row in verdict.comparisons), default=0)
    still = [len(row.seeds) for row in verdict.comparisons if row.decision == "not decided"]
    spent = [look for look in verdict.looks if look <= reached]
    ahead = [look for look in verdict.looks if still and look > min(still)]
    return tr(
        "Looks were declared at {looks} seeds. Spent: {spent}. To come for open comparisons: {ahead}.",
        looks=_listed(verdict.looks),
        spent=_listed(spent),
        ahead=_listed(ahead),
    )


def _listed(looks: Sequence[int]) -> str:
    """Return "3, 5 and 10", or "none"."""
    return listed(list(map(str, looks)) or [tr("none")])
