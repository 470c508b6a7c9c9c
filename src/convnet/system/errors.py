"""The one exception a user is meant to read, and how a command ends on it."""

import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import ParamSpec

from convnet.system.interrupts import EXIT_CODE, STOPPED, safe_interrupts

P = ParamSpec("P")


class UserError(Exception):
    """A fault the user can correct: at most three short sentences: what is wrong, where, what to type."""


def printable(text: str) -> str:
    """Return `text` with control characters escaped, so a file name cannot drive the terminal."""
    if text.isprintable():  # nearly always, and far quicker
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def command(main: Callable[P, None]) -> Callable[P, None]:
    """Wrap a command's `main`: a UserError becomes one sentence on stderr and exit code 2, Ctrl-C exit code 130.

    A stage that dvc started ends when dvc ends.
    """

    @functools.wraps(main)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        if "DVC_STAGE" in os.environ:
            threading.Thread(target=_end_with_dvc, args=(os.getppid(),), daemon=True).start()
        try:
            with safe_interrupts():
                main(*args, **kwargs)
        except UserError as error:
            print(f"error: {printable(str(error))}", file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt:
            print(STOPPED, file=sys.stderr)
            sys.exit(EXIT_CODE)

    return wrapped


def _end_with_dvc(dvc: int) -> None:
    """End this process when the dvc that started it is gone, so that no stage outlives a stopped dvc."""
    while os.getppid() == dvc:
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)
