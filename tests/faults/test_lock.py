"""Two runs of the real dvc at once in one folder: the second is told who is at work, and harms nothing."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.clones import Clone
from helpers.tiny_run import start, write_tiny_params

LIMIT = 120  # seconds; every wait ends there


@pytest.fixture
def held(tmp_path: Path, clone_project: Callable[[Path], Clone]) -> Clone:
    """A copy of the project whose stages say that they have begun, and wait until a file called go is there."""
    clone = start(clone_project(tmp_path / "clone"))
    write_tiny_params(clone.path)
    programs = tmp_path / "programs"
    programs.mkdir()
    python = programs / "python"
    python.write_text(
        "#!/bin/sh\n"
        f"echo $$ > {shlex.quote(str(tmp_path / 'writing'))}\n"
        f"mv {shlex.quote(str(tmp_path / 'writing'))} {shlex.quote(str(tmp_path / 'begun'))}\n"
        f"while [ ! -e {shlex.quote(str(tmp_path / 'go'))} ]; do sleep 0.1; done\n"
        f'exec {shlex.quote(sys.executable)} "$@"\n'
    )
    python.chmod(0o755)
    path = os.pathsep.join([str(programs), clone.environment["PATH"]])
    return replace(clone, environment=clone.environment | {"PATH": path})


def test_second_dvc_repro_is_told_which_process_is_at_work(held: Clone, tmp_path: Path) -> None:
    with subprocess.Popen(
        ["dvc", "repro", "download@pets"], cwd=held.path, env=held.environment, stdout=subprocess.DEVNULL
    ) as first:
        try:
            end = time.monotonic() + LIMIT
            while not (tmp_path / "begun").exists():
                assert time.monotonic() < end
                assert first.poll() is None
                time.sleep(0.1)
            second = held.run("dvc", "repro", "download@pets", check=False)
        finally:
            (tmp_path / "go").touch()
        assert first.wait(LIMIT) == 0
    assert second.returncode != 0
    assert "Traceback" not in second.stderr
    assert re.search(
        rf"source_code' is busy, it is being blocked by:\s+\(PID {first.pid}\): \S*dvc repro", second.stderr
    )
    assert (held.path / "data" / "archives" / "pets" / "pets.zip").is_file()
    assert "didn't change, skipping" in held.run("dvc", "repro", "download@pets").stdout


def test_lock_of_a_killed_dvc_repro_is_taken_over(held: Clone, tmp_path: Path) -> None:
    with subprocess.Popen(
        ["dvc", "repro", "download@pets"], cwd=held.path, env=held.environment, stdout=subprocess.DEVNULL
    ) as first:
        end = time.monotonic() + LIMIT
        while not (tmp_path / "begun").exists():
            assert time.monotonic() < end
            time.sleep(0.1)
        first.kill()
    # A stage ends by itself when its dvc is gone (test_faults_signals), but this one is a shell yet.
    os.kill(int((tmp_path / "begun").read_text()), signal.SIGKILL)
    assert str(first.pid) in (held.path / ".dvc" / "tmp" / "rwlock").read_text()
    (tmp_path / "go").touch()
    held.run("dvc", "repro", "download@pets")
    assert (held.path / "data" / "archives" / "pets" / "pets.zip").is_file()
