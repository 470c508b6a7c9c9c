"""Ctrl-C, also while Keras works.

An exception that begins inside C code of TensorFlow or NumPy may be lost there, become another one, or end the process
with a segmentation fault. Each was seen in a training of small images. So with Keras it waits for a safe place.
"""

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

EXIT_CODE = 130  # as shells report the end by SIGINT
STOPPED = "stopped; finished work is kept, run the same command to go on"
SECONDS_TO_STOP = 5.0  # a step of a large network takes up to 3

_asked = threading.Event()


@contextmanager
def safe_interrupts() -> Iterator[None]:
    """Inside, Ctrl-C raises KeyboardInterrupt at once, but where Keras is loaded in the next `stop_if_asked`.

    If none comes within `SECONDS_TO_STOP`, or at a second Ctrl-C, the process ends there and then, as by a kill. Where
    Ctrl-C is ignored, that stays so.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
        stop_if_asked()
    finally:
        _asked.clear()
        signal.signal(signal.SIGINT, signal.default_int_handler)


def stop_if_asked() -> None:
    """Raise KeyboardInterrupt if Ctrl-C was pressed; long work calls this where an exception does no harm."""
    if _asked.is_set():
        raise KeyboardInterrupt


def _interrupt(*_: object) -> None:
    if "keras" not in sys.modules:
        raise KeyboardInterrupt
    signal.signal(signal.SIGINT, _end)
    _asked.set()
    # A thread of `threading` takes a lock, which the interrupted code may hold.
    _thread.start_new_thread(_end_later, ())


def _end_later() -> None:
    time.sleep(SECONDS_TO_STOP)
    if _asked.is_set():
        _end()


def _end(*_: object) -> None:
    os.write(2, f"{STOPPED}\n".encode())  # `print` fails inside another one
    os._exit(EXIT_CODE)
