"""Processes of a session, and how to end them."""

import os
import signal
import subprocess
import time
from pathlib import Path


def hear_control_c() -> None:
    """Before a command starts: a test run in the background ignores Ctrl-C, and what it starts would too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def processes_of(session: int) -> list[int]:
    """Return the living processes of a session, from /proc."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def end_by(kind: signal.Signals, leader: "subprocess.Popen[str]") -> str:
    """Send a signal to a command that leads its session; return what it said once no process of it is left."""
    if kind is signal.SIGINT:
        os.killpg(leader.pid, kind)  # as Ctrl-C does
    else:
        leader.send_signal(kind)  # as a supervisor does: to the command alone
    _, errors = leader.communicate(timeout=60)
    assert_all_end(leader.pid)
    return errors


def assert_all_end(session: int, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while (left := processes_of(session)) and time.monotonic() < end:
        time.sleep(0.05)
    assert left == []
