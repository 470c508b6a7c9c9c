"""Progress of long work: a bar with rate and time left on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import TypeVar

from tqdm import tqdm

from convnet.system.errors import printable
from convnet.system.interrupts import stop_if_asked

T = TypeVar("T")

_seconds_between_lines: ContextVar[float | None] = ContextVar("seconds_between_lines", default=10.0)


def show_progress_every(seconds: float | None) -> None:
    """Set how often lines come in this process; None: neither lines nor bars, because another process shows them."""
    _seconds_between_lines.set(seconds)


def progress(items: Iterable[T], *, total: int, label: str, unit: str = "images") -> Iterator[T]:
    """Yield from `items` while showing how far the work is. Between them, Ctrl-C stops it.

    Args:
        items: what is worked on, one at a time.
        total: how many items are expected.
        label: what the work is called, for example `"verify pets"`.
        unit: what items are called, in the plural.
    """
    items = _until_asked(items)
    seconds = _seconds_between_lines.get()
    if seconds is None:
        yield from items
        return
    label = printable(label)  # it may hold the name of a file or class
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=label, unit=f" {unit}", dynamic_ncols=True, leave=False)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= seconds and done < total:
            rate = done / (now - start)
            left = (total - done) / rate
            print(f"{label}: {done}/{total} {unit}, {rate:.1f}/s, {left:.0f} s left", file=sys.stderr, flush=True)
            last = now


def _until_asked(items: Iterable[T]) -> Iterator[T]:
    for item in items:
        yield item
        stop_if_asked()
