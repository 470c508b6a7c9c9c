"""Stands in for `python` before DVC: hands a stage to the server of warm_start.py and waits for its end.

Nothing but the standard library is imported, for this runs before each stage.
"""

import json
import os
import signal
import socket
import sys
from pathlib import Path

SOCKET = "CONVNET_WARM_SOCKET"
PYTHON = "CONVNET_WARM_PYTHON"
SIZE_BYTES = 8  # before each request
DECLINED = b"declined"
KILLED = 128 + signal.SIGKILL
SECONDS_BETWEEN_LOOKS = 1.0


def ended(code: int) -> bytes:
    """Return what the server says of a stage that ended with an exit code."""
    return f"ended {code}".encode()


def ask(arguments: list[str]) -> int | None:
    """Have the server run a script with its arguments; return its exit code, or None: the server does not do it."""
    parent = os.getppid()
    request = {"arguments": arguments, "environment": dict(os.environ), "folder": str(Path.cwd())}
    text = json.dumps(request).encode()
    try:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(os.environ[SOCKET])
        socket.send_fds(connection, [len(text).to_bytes(SIZE_BYTES)], [0, 1, 2])
        connection.sendall(text)
    except OSError:  # it is gone
        return None
    connection.settimeout(SECONDS_BETWEEN_LOOKS)
    while True:
        try:
            answer = connection.recv(64)
        except TimeoutError:
            if os.getppid() != parent:  # dvc was killed: the stage ends with this process
                return KILLED
            continue
        if answer == DECLINED:
            return None
        return int(answer.split()[1]) if answer else KILLED


def main() -> None:
    """Be the command that dvc started."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the stage gets it too, and says how it ends
    code = ask(sys.argv[1:]) if sys.argv[1:2] and sys.argv[1].endswith(".py") else None
    if code is None:
        signal.signal(signal.SIGINT, before)
        os.execv(os.environ[PYTHON], [os.environ[PYTHON], *sys.argv[1:]])
    sys.exit(code)


if __name__ == "__main__":
    main()
