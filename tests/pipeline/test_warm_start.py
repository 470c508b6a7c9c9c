"""Stages served by a process that has its libraries loaded: the same to see from outside, and ended like any other."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from convnet.pipeline import warm_client, warm_start
from convnet.pipeline.warm_start import warm_server

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system has no /proc")

# Says who and where it is, then does what its first argument says.
SCRIPT = """
import json, os, signal, sys, time

if __name__ == "__main__":
    print(json.dumps({
        "arguments": sys.argv, "folder": os.getcwd(), "path": sys.path[0], "word": os.environ.get("WORD"),
        "warm": "keras" in sys.modules, "input": sys.stdin.read(), "pid": os.getpid(),
        "interruptible": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    }), flush=True)
    what = sys.argv[1]
    if what == "raise":
        raise ValueError("a fault")
    if what == "exit":
        sys.exit(int(sys.argv[2]))
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "wait":
        open("waiting", "w").close()
        time.sleep(600)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "stages").mkdir()
    for name in ("heavy", "light"):
        (tmp_path / "stages" / f"{name}.py").write_text(SCRIPT)
    lists = tmp_path / warm_start.SOURCE_CODE
    lists.mkdir(parents=True)
    (lists / "heavy.txt").write_text("0  convnet/device.py\n")
    (lists / "light.txt").write_text("0  convnet/params.py\n")
    return tmp_path


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    with warm_server() as served:
        yield served


def start(project: Path, environment: dict[str, str], *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        ["sh", "-c", 'exec python "$@"', "sh", *words],
        cwd=project,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(project: Path, environment: dict[str, str], *words: str) -> tuple[dict[str, object], str, int]:
    process = start(project, environment, *words)
    said, errors = process.communicate("a word\n", timeout=100)
    return json.loads(said), errors, process.returncode


def test_stage_without_tensorflow_does_not_wait_for_it(project: Path) -> None:
    with warm_server() as environment:
        seen, _, code = run(project, environment, "stages/light.py", "end")
        assert not seen["warm"]
        assert code == 0
        assert run(project, environment, "stages/heavy.py", "end")[0]["warm"]
        assert run(project, environment, "stages/light.py", "end")[0]["warm"]  # it is loaded now


def test_stage_is_as_if_started_by_itself(project: Path, environment: dict[str, str]) -> None:
    seen, errors, code = run(project, {**environment, "WORD": "caf\udce9"}, "stages/heavy.py", "end", "ä b")
    assert seen["arguments"] == ["stages/heavy.py", "end", "ä b"]
    assert (seen["folder"], seen["path"]) == (str(project), str(project / "stages"))
    assert (seen["word"], seen["input"]) == ("caf\udce9", "a word\n")
    assert seen["warm"]
    assert seen["interruptible"]
    assert (errors, code) == ("", 0)


@pytest.mark.parametrize(("words", "expected"), [(("exit", "2"), 2), (("exit", "0"), 0), (("kill",), 128 + 9)])
def test_exit_code_is_passed_on(
    project: Path, environment: dict[str, str], words: tuple[str, ...], expected: int
) -> None:
    assert run(project, environment, "stages/heavy.py", *words)[2] == expected


def test_fault_is_shown(project: Path, environment: dict[str, str]) -> None:
    _, errors, code = run(project, environment, "stages/heavy.py", "raise")
    assert "ValueError: a fault" in errors
    assert code == 1


def test_what_is_no_script_is_run_by_python_itself(project: Path, environment: dict[str, str]) -> None:
    process = start(project, environment, "-c", "import sys; print(sys.executable)")
    assert process.communicate(timeout=100)[0].strip() == sys.executable


def test_without_a_server_python_runs_the_stage(project: Path) -> None:
    with warm_server() as environment:
        stand_in = Path(environment["PATH"].split(os.pathsep)[0], "python").read_text()
        gone = {**environment, "PATH": f"{project}{os.pathsep}{os.environ['PATH']}"}
    (project / "python").write_text(stand_in)
    (project / "python").chmod(0o700)
    seen, errors, code = run(project, gone, "stages/heavy.py", "end")
    assert not seen["warm"]
    assert (errors, code) == ("", 0)


def test_libraries_that_cannot_be_loaded_are_left_to_the_stage_to_tell(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "none_of_them")
    with warm_server() as environment:
        for _ in range(2):
            seen, errors, code = run(project, environment, "stages/heavy.py", "end")
            assert not seen["warm"]
            assert (errors, code) == ("", 0)


def test_folder_too_deep_for_a_socket_has_no_server(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("deep" * 30)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with warm_server() as environment:
        assert warm_client.SOCKET not in environment
        assert not run(project, environment, "stages/heavy.py", "end")[0]["warm"]


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def begin_waiting(project: Path, environment: dict[str, str]) -> tuple["subprocess.Popen[str]", int]:
    process = start(project, environment, "stages/heavy.py", "wait")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    stage = json.loads(process.stdout.readline())["pid"]
    wait_for((project / "waiting").exists)
    return process, stage


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_stage_ends_with_the_process_that_dvc_started(
    project: Path, environment: dict[str, str], number: signal.Signals
) -> None:
    process, stage = begin_waiting(project, environment)
    with process:
        process.send_signal(number)
        assert process.wait(60) == -number
    wait_for(lambda: gone(stage))


def test_stage_ends_when_dvc_is_killed(project: Path, environment: dict[str, str]) -> None:
    # A shell stands between, as dvc does, and is killed.
    with subprocess.Popen(
        ["sh", "-c", "python stages/heavy.py wait & echo $!; wait"],
        cwd=project,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as shell:
        assert shell.stdout is not None
        client = int(shell.stdout.readline())
        stage = json.loads(shell.stdout.readline())["pid"]
        shell.kill()
    wait_for(lambda: gone(client) and gone(stage))


def test_server_outlives_a_client_that_was_killed_while_it_asked(project: Path, environment: dict[str, str]) -> None:
    for sent in (b"", (100).to_bytes(warm_client.SIZE_BYTES) + b"half a request"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(environment[warm_client.SOCKET])
            connection.sendall(sent)
    assert run(project, environment, "stages/heavy.py", "end")[0]["warm"]


def test_server_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    lines = (
        "import time",
        "from convnet import warm_start",
        "made = warm_start.subprocess.Popen",
        "def tell(*words, **more):",
        "    process = made(*words, **more)",
        "    print(process.pid, flush=True)",
        "    return process",
        "warm_start.subprocess.Popen = tell",
        "with warm_start.warm_server():",
        "    time.sleep(600)",
    )
    with subprocess.Popen([sys.executable, "-c", "\n".join(lines)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        server = int(process.stdout.readline())
        process.kill()
    wait_for(lambda: gone(server))


@pytest.fixture
def with_dvc(project: Path) -> dict[str, str]:
    """An environment whose dvc runs what stands after `repro` as a stage."""
    dvc = project / "programs" / "dvc"
    dvc.parent.mkdir()
    dvc.write_text('#!/bin/sh\n[ "$1" = repro ] || exit 9\nshift\npython "$@"\n')
    dvc.chmod(0o700)
    return {**os.environ, "PATH": f"{dvc.parent}{os.pathsep}{os.environ['PATH']}"}


def start_repro(project: Path, environment: dict[str, str], *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "convnet.pipeline.warm_repro", *words],
        cwd=project,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(("words", "expected"), [(("exit", "3"), 3), (("end",), 0)])
def test_stages_of_a_warm_repro_start_warm_and_it_ends_as_dvc_does(
    project: Path, with_dvc: dict[str, str], words: tuple[str, ...], expected: int
) -> None:
    process = start_repro(project, with_dvc, "stages/heavy.py", *words)
    said, _ = process.communicate(timeout=100)
    assert json.loads(said)["warm"]
    assert process.returncode == expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_warm_repro_that_is_interrupted_ends_with_all_it_started(
    project: Path, with_dvc: dict[str, str], number: signal.Signals
) -> None:
    with start_repro(project, with_dvc, "stages/heavy.py", "wait") as process:
        assert process.stdout is not None
        stage = json.loads(process.stdout.readline())["pid"]
        wait_for((project / "waiting").exists)
        os.killpg(process.pid, number)
        assert process.wait(60) != 0
    wait_for(lambda: gone(stage))


def test_declining_is_no_exit_code() -> None:
    assert warm_client.DECLINED not in {warm_client.ended(code) for code in range(256)}
