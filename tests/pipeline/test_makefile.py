"""What make prints and does on machines that lack something; the targets themselves run in every check."""

import re
import shutil
from pathlib import Path

import pytest

from helpers.clones import Clone, make, with_environment
from helpers.tiny_study import PROJECT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

# What make 3.81, bash 3.2 and the tools of macOS do not know, by the NEWS of GNU make and of bash; an example of each.
NEWER = {
    r"^\.(ONESHELL|SHELLFLAGS|RECIPEPREFIX|EXTRA_PREREQS|WAIT|NOTINTERMEDIATE)\b": ".ONESHELL:",  # make 3.82 to 4.4
    r"^(.*:\s*)?(private|undefine)\s": "private A = b",  # 3.82
    r"^define\s+\S+\s*[:+?!]?=": "define A =",  # 3.82
    r"^[\w.-]+\s*(!=|:::?=)": "A != date",  # 4.0, 4.4
    r"\$[({](file|guile|let|intcmp)\s": "$(file >a)",  # 4.0 to 4.4
    r"\$[({]\.SHELLSTATUS": "$(.SHELLSTATUS)",  # 4.2
    r"^[^\t#][^=]*&:": "a b &: c",  # 4.3
    r"\$[({][a-z]+\s[^)]*\\?#": "$(shell a#b)",  # read differently since 4.3
    r"\bMAKE\)?.*\s--?(output-sync|trace|eval|shuffle|O)\b": "$(MAKE) --output-sync",  # 3.82 to 4.4
    r"\b(mapfile|readarray|coproc)\b|\b(declare|local|typeset) -[a-z]*[Ang]\b|\bwait -n\b": "declare -A a",  # bash 4
    r"\$\$\{\w+(,|\^|@)": "$${a,,}",  # bash 4
    r"\|&|&>>|;;&|\bglobstar\b|%\(": "a |& b",  # bash 4
    r"\b(nproc|realpath|timeout)\s|\breadlink -f|\bsed -i |\bgrep -\w*P|\bxargs -\w*r|\bdate -d|\bstat -c": "nproc ",
}


def newer(text: str) -> list[str]:
    """The lines that need a newer make or bash than macOS has, or tools of GNU."""
    return [line for line in text.splitlines() if any(re.search(pattern, line) for pattern in NEWER)]


def test_make_and_bash_of_macos_know_all_that_the_makefile_uses() -> None:
    assert newer((PROJECT / "Makefile").read_text("utf-8")) == []


def test_each_newer_feature_would_be_found() -> None:
    assert [newer(example) for example in NEWER.values()] == [[example] for example in NEWER.values()]
    assert all(re.search(pattern, example) for pattern, example in NEWER.items())


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
