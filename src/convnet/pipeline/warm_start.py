"""Stages that start with their libraries loaded: the import of TensorFlow is paid for once instead of by each.

Every stage is a process of its own, and most of them need TensorFlow, whose import takes several seconds of a
processor. `make repro` therefore keeps a server per chain of stages that imports the libraries once and is forked for
each stage; to DVC, a script called `python` (warm_client.py) stands in for the stage. What a stage computes does not
depend on it, and a bare `dvc repro` does without.

Only the import may come before a fork, since a fork has none of the threads that TensorFlow starts with its first
operation. Stages that do without TensorFlow are never made to wait for it.
"""

import importlib
import json
import os
import runpy
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from convnet.backend.device import load_keras
from convnet.pipeline import warm_client

SOURCE_CODE = Path("data/source_code")  # outputs of the stage of that name: by script, the files it needs
ALSO_LOADED = ("numpy", "pydantic", "scipy.optimize")


@contextmanager
def warm_server() -> Iterator[dict[str, str]]:
    """Run a server while the context is open; yield the environment in which `python` is served by it."""
    with TemporaryDirectory(prefix="convnet-") as name:
        folder = Path(name)
        stand_in = folder / "python"
        words = [shlex.quote(word) for word in (sys.executable, "-ISE", warm_client.__file__)]
        stand_in.write_text(f'#!/bin/sh\nexec {" ".join(words)} "$@"\n')
        stand_in.chmod(0o700)
        with socket.socket(socket.AF_UNIX) as listener:
            try:
                listener.bind(str(folder / "socket"))
            except OSError:  # the path is too long for a socket: the stages start by themselves
                yield dict(os.environ)
                return
            listener.listen()
            # It ends with its standard input, however this process ends.
            words = [sys.executable, "-m", "convnet.pipeline.warm_start", str(listener.fileno())]
            server = subprocess.Popen(words, stdin=subprocess.PIPE, pass_fds=[listener.fileno()])
        try:
            yield {
                **os.environ,
                "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
                warm_client.SOCKET: str(folder / "socket"),
                warm_client.PYTHON: sys.executable,
            }
        finally:
            server.kill()
            server.communicate()


def serve(listener: socket.socket) -> None:
    """Answer requests until standard input ends, or the libraries turn out not to be such that one can fork."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the stages
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # each tells its client how it ended; nobody waits for them here
    loaded = False
    with selectors.DefaultSelector() as waiting:
        for source in (listener, sys.stdin):
            waiting.register(source, selectors.EVENT_READ)
        while all(key.fileobj is listener for key, _ in waiting.select()):
            connection, _ = listener.accept()
            with connection, suppress(ConnectionError):  # the client was killed
                request, streams = _receive(connection)
                to_load = not loaded and _needs_tensorflow(request)
                loaded = loaded or (to_load and _load())
                if not loaded:
                    connection.sendall(warm_client.DECLINED)
                    if to_load:
                        return  # all stages start by themselves from now on, and tell what is wrong, if anything
                elif os.fork() == 0:
                    listener.close()
                    _run(connection, request, streams)
                for stream in streams:
                    os.close(stream)


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Return arguments, environment and folder of a stage, and its standard input, output and error."""
    size, streams, _, _ = socket.recv_fds(connection, warm_client.SIZE_BYTES, 3)
    text = b""
    while not text or len(text) < int.from_bytes(size):
        if not (part := connection.recv(1 << 16)):
            raise ConnectionError
        text += part
    return json.loads(text), streams


def _needs_tensorflow(request: dict[str, Any]) -> bool:
    script = Path(request["arguments"][0])
    needed = Path(request["folder"], SOURCE_CODE, f"{script.stem}.txt")
    return needed.is_file() and "convnet/backend/device.py" in needed.read_text("utf-8")


def _load() -> bool:
    """Import the libraries; return whether that went well and this process may still be forked."""
    for name in ALSO_LOADED:
        importlib.import_module(name)
    threads = _threads()  # of the BLAS libraries, which see to it that they survive a fork
    try:
        load_keras()
    except Exception:  # whatever it is, it meets the stage too, which says it in one sentence
        return False
    return _threads() == threads


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def _run(connection: socket.socket, request: dict[str, Any], streams: list[int]) -> None:
    """Be the stage, in this process, to its end."""
    code = 1
    try:
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        sys.argv = request["arguments"]
        sys.path[0] = str(Path(sys.argv[0]).parent.resolve())
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # whoever read it is gone
                stream.flush()
        with suppress(OSError):
            connection.sendall(warm_client.ended(code))
        os._exit(code)


def _end_with(connection: socket.socket) -> None:
    """End this process when its client has been killed."""
    with suppress(OSError):
        connection.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        serve(inherited)
