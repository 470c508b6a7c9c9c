"""What make says and does on machines that lack something; the targets themselves run in every check."""

import shutil
from pathlib import Path

import pytest

from helpers.clones import Clone, make, with_environment

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def fake_python(folder: Path, script: str) -> str:
    path = folder / "fake-python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return f"PYTHON={path}"


def test_missing_python_is_one_sentence(clone: Clone) -> None:
    done = make(clone, "PYTHON=no-such-python", check=False)
    assert done.returncode != 0
    assert done.stderr.splitlines()[0].startswith("make: no-such-python was not found: install Python")


def test_unsupported_python_is_one_sentence(clone: Clone, tmp_path: Path) -> None:
    python = fake_python(tmp_path, 'test "$1" != --version || echo Python 3.9.2\ntest "$1" != -c')
    done = make(clone, python, check=False)
    assert done.returncode != 0
    assert done.stderr.splitlines()[0].startswith("make: Python 3.9.2 is not supported: name Python 3.11")


def test_missing_venv_module_is_one_sentence(clone: Clone, tmp_path: Path) -> None:
    python = fake_python(tmp_path, 'case "$2" in *ensurepip*) exit 1;; esac')
    done = make(clone, python, check=False)
    assert done.returncode != 0
    assert "cannot make virtual environments: install its venv module" in done.stderr.splitlines()[0]


def test_source_archive_without_git_works_and_says_once_what_is_missing(clone: Clone) -> None:
    with_environment(clone)
    shutil.rmtree(clone.path / ".git")
    assert clone.run("dvc", "status", check=False).returncode != 0
    # --assume-old: the environment is this interpreter's, so it is not made again.
    first, second = (make(clone, "--assume-old=.venv/.stamp", "scm") for _ in range(2))
    assert "no git history here" in first.stderr
    assert second.stderr == ""
    clone.run("dvc", "config", "--list")
    assert "no_scm" in (clone.path / ".dvc" / "config.local").read_text()


def test_git_history_that_comes_later_is_used(clone: Clone) -> None:
    with_environment(clone)
    clone.run("dvc", "config", "--local", "core.no_scm", "true")
    make(clone, "--assume-old=.venv/.stamp", "scm")
    assert "no_scm" not in (clone.path / ".dvc" / "config.local").read_text()
