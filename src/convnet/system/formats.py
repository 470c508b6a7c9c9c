"""Numbers as people read them."""


def percent(share: float) -> str:
    """Return a share in percent: 0.8512 -> "85.1 %"."""
    return f"{100 * share:.1f} %"


def points(share: float) -> str:
    """Return a difference of shares in signed percentage points: 0.0615 -> "+6.2"; never "-0.0"."""
    text = f"{100 * share:+.1f}"
    return "0.0" if float(text) == 0 else text


def plural(count: int, noun: str) -> str:
    """Return "1 seed", "5 seeds", "1,200 seeds"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def p_value(p: float) -> str:
    """Return "< 0.001" or "0.034"."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_words(p: float) -> str:
    """Return "p < 0.001" or "p = 0.034"."""
    return f"p {p_value(p)}" if p < 0.001 else f"p = {p_value(p)}"
