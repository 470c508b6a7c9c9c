"""One process at a time: a lock that the kernel releases when its holder dies."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from convnet.system.errors import printable

try:
    import fcntl
except ImportError:  # Windows: nothing waits, and two runs in one folder are the user's care
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(path: Path, *, waiting: str) -> Iterator[None]:
    """Hold the lock file `path`; wait as long as another process holds it. The lock file is removed at the end.

    Args:
        path: the lock file; its folder is made if it is missing.
        waiting: what is printed to stderr when another process holds the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("w") as file:
            _lock(file, waiting)
            if not _is_still_at(path, file):
                continue  # the holder before us removed the file we waited on: lock the new one
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _lock(file: IO[str], waiting: str) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(printable(waiting), file=sys.stderr, flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)


def _is_still_at(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
