"""Sides: what is measured against each other, each in a process of its own, taking turns."""

import multiprocessing
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from convnet.system.processes import stay_with_parent
from convnet.system.progress import progress

Result = TypeVar("Result")
SECONDS_BETWEEN_LOOKS = 0.05


class Side:
    """A process of its own for one side, so that neither inherits the other's settings; idle while the other works."""

    def __init__(self, prepare: Callable[[], None], environment: Mapping[str, str] | None = None) -> None:
        """Start it; `prepare` runs there first, before anything is timed. Both are importable by name."""
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=stay_with_parent)
        before = dict(os.environ)
        os.environ.update(environment or {})
        try:
            self._pool.submit(prepare).result()  # it starts here
        finally:
            os.environ.clear()
            os.environ.update(before)

    def __call__(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Return `function(*arguments)` as that process computes it."""
        return self._pool.submit(function, *arguments).result()

    def __enter__(self) -> Self:
        """Return the running side."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        self._pool.shutdown(cancel_futures=True)


def alternate(sides: Mapping[str, Callable[[int], Result]], repeats: int, label: str) -> dict[str, list[Result]]:
    """Call every side with the number of the repeat, `repeats` times, in turns.

    Every other repeat goes through the sides backwards: whatever grows or falls over time meets all of them alike.
    """
    found: dict[str, list[Result]] = {name: [] for name in sides}
    turns = [
        (repeat, name) for repeat in range(repeats) for name in (list(sides) if repeat % 2 == 0 else list(sides)[::-1])
    ]
    for repeat, name in progress(turns, total=len(turns), label=label, unit="turns"):
        found[name].append(sides[name](repeat))
    return found


@dataclass(frozen=True)
class Watched:
    """What a command cost: seconds on the clock and on processors, and the largest resident memory of its tree."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str


def watch(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str] | None = None) -> Watched:
    """Run a command and watch it and all its children.

    Resident memory is summed over the processes, so pages they share count more than once: an upper bound.

    Raises:
        RuntimeError: the command failed; the message holds the end of what it wrote.
    """
    before = os.times()
    start = time.perf_counter()
    process = subprocess.Popen(
        list(map(str, command)),
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    peak = [0]
    ended = threading.Event()
    looker = threading.Thread(target=_look, args=(process.pid, peak, ended))
    looker.start()
    output, _ = process.communicate()
    seconds = time.perf_counter() - start
    ended.set()
    looker.join()
    after = os.times()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {process.returncode}: {output[-2000:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Watched(seconds, cpu, peak[0], output)


def _look(pid: int, peak: list[int], ended: threading.Event) -> None:
    while not ended.wait(SECONDS_BETWEEN_LOOKS):
        peak[0] = max(peak[0], sum(_resident(process) for process in _tree(pid)))


def _tree(pid: int) -> list[int]:
    """Return a process and all below it, as far as they still exist."""
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        for children in Path(f"/proc/{found[-1]}/task").glob("*/children"):
            try:
                waiting += map(int, children.read_text().split())
            except OSError:
                continue
    return found


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
