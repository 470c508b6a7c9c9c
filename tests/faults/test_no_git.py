"""A source archive without a git history: the pipeline and the tests work in it as they are."""

import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.clones import Clone, make, with_environment
from helpers.tiny_run import start, write_tiny_params

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def archive(tmp_path: Path, clone_project: Callable[[Path], Clone]) -> Clone:
    """A copy of the project as an archive of its sources has it: no history, nothing made."""
    archive = with_environment(start(clone_project(tmp_path / "archive")))
    shutil.rmtree(archive.path / ".git")
    return archive


def test_pipeline_runs_without_git_and_says_once_what_is_missing(archive: Clone) -> None:
    write_tiny_params(archive.path)
    said = make(archive, "--assume-old=.venv/.stamp", "scm").stderr
    assert said.count("no git history here: dvc repro, metrics show and plots show work") == 1
    done = archive.run("dvc", "repro", "prepare@pets")
    assert len(re.findall(r"^Running stage ", done.stdout, re.MULTILINE)) == 5
    assert (archive.path / "data" / "arrays" / "pets" / "dataset.json").is_file()
    again = archive.run("dvc", "repro", "prepare@pets")
    assert "Running stage" not in again.stdout
    assert "git" not in (done.stderr + again.stderr)
    assert make(archive, "--assume-old=.venv/.stamp", "scm").stderr == ""


def test_make_test_needs_no_history(archive: Clone) -> None:
    chosen = (
        "tests/system/test_files.py",
        # Copies the project and commits it, so it makes a history of its own.
        "tests/pipeline/test_makefile.py::test_git_history_that_comes_later_is_used",
    )
    options = archive.environment | {"PYTEST_ADDOPTS": shlex.join(["-p", "no:cacheprovider", *chosen])}
    done = make(replace(archive, environment=options), "--assume-old=.venv/.stamp", "test")
    assert re.search(r"=+ \d+ passed", done.stdout), done.stdout
    assert not (archive.path / ".git").exists()
