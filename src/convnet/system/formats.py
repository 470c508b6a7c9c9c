"""Numbers as people read them."""

from collections.abc import Sequence

from convnet.system.language import tr


def percent(share: float) -> str:
    """Return a share in percent: 0.8512 -> "85.1 %"."""
    return f"{100 * share:.1f} %"


def points(share: float) -> str:
    """Return a difference of shares in signed percentage points: 0.0615 -> "+6.2"; never "-0.0"."""
    text = f"{100 * share:+.1f}"
    return "0.0" if float(text) == 0 else text


def points_interval(lower: float, upper: float) -> str:
    """Return the ends of an interval: "+4.2 to +15.7". No end is rounded to zero: 0.0003 -> "+0.03"."""
    return tr("{lower} to {upper}", lower=_end(lower), upper=_end(upper))


def _end(share: float) -> str:
    rounded = points(share)
    return f"{100 * share:+.1g}" if rounded == "0.0" and abs(share) > 1e-6 else rounded


def plural(count: int, noun: str) -> str:
    """Return "1 seed", "5 seeds", "1,200 seeds"."""
    return f"{count:,} {tr(noun if count == 1 else f'{noun}s')}"


def listed(words: Sequence[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    *first, last = words
    return tr("{first} and {last}", first=", ".join(first), last=last) if first else last


def two_digits(count: int) -> int:
    """Round up to two significant digits: a plan is only that exact."""
    unit = int(10 ** max(len(str(count)) - 2, 0))
    return -(-count // unit) * unit


def p_value(p: float) -> str:
    """Return "< 0.001" or "0.034"; beside the 5 % that decide, a fourth digit shows the side: "0.0496"."""
    return "< 0.001" if p < 0.001 else f"{p:.{4 if 0.0495 <= p < 0.0505 else 3}f}"


def p_words(p: float) -> str:
    """Return "p < 0.001" or "p = 0.034"."""
    return f"p {p_value(p)}" if p < 0.001 else f"p = {p_value(p)}"
