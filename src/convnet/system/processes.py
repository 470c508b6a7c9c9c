"""Work shared among processes: results in order, bounded memory, nobody left behind."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from convnet.system.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

ITEMS_PER_TASK = 16  # sent together, because each message between processes costs time
FEWEST_FOR_PROCESSES = 200  # below, starting processes takes longer than the work


def usable_cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_in_processes(
    function: Callable[[Item], Result], items: Iterable[Item], processes: int, items_per_task: int = ITEMS_PER_TASK
) -> Iterator[Result]:
    """Yield `function(item)` for every item, in order.

    Items are drawn only a little ahead of the results, so that a long stream of large ones never fills the memory.

    Args:
        function: importable by name, because every process imports it.
        items: what to work on; picklable when there is more than one process.
        processes: how many work at once; with 1 everything happens in this process.
        items_per_task: how many one process takes at a time; 1 where each is long work.

    Raises:
        UserError: a process was killed, most often for lack of memory.
    """
    if processes == 1:
        yield from map(function, items)
        return
    # Fresh interpreters instead of forks: a fork copies locks that another thread holds at that moment.
    context = multiprocessing.get_context("spawn")
    others = multiprocessing.active_children()
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=stay_with_parent)
    ahead: deque[Future[list[Result]]] = deque()
    remaining = iter(items)
    try:
        while task := list(islice(remaining, items_per_task)):
            with shielded():  # the pool starts its processes here
                ahead.append(pool.submit(_map, function, task))
            if len(ahead) > 2 * processes:
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process was killed, most likely because the memory ran out; close other programs, or lower "
            "images.maximum_pixels in params.yaml, and run the same command again"
        ) from error
    except (GeneratorExit, KeyboardInterrupt):  # nobody wants the rest, which may take minutes
        for process in multiprocessing.active_children():
            if process not in others:
                process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _map(function: Callable[[Item], Result], items: list[Item]) -> list[Result]:
    return [function(item) for item in items]


@contextmanager
def shielded() -> Iterator[None]:
    """Start processes inside that Ctrl-C never reaches, not even while their interpreter is still starting.

    They inherit the mask; once one runs, `stay_with_parent` keeps Ctrl-C away from it.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows: Ctrl-C while it starts ends it, and the job resumes later
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def stay_with_parent() -> None:
    """Leave Ctrl-C to the parent, and end when the parent ends, even by a kill that runs no cleanup."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
