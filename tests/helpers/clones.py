"""Copies of the project, to run dvc and git in."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

# What git ignores or what a copy must make itself.
NOT_COPIED = {
    *(".git", ".venv", ".jobs", "data", "models", "dvc_plots"),
    *("cache", "tmp", "config.local", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"),
}


@dataclass(frozen=True)
class Clone:
    """A copy of the project with its own git history and DVC cache."""

    path: Path
    environment: dict[str, str]

    def run(self, *command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the copy, with this interpreter's programs and the copy's `convnet`."""
        done = subprocess.run(command, cwd=self.path, env=self.environment, capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            pytest.fail(f"{' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done


def clone_environment(target: Path) -> dict[str, str]:
    """Return the environment in which commands of a copy of the project run."""
    elsewhere = target.parent / f"{target.name}-home"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_"))}
    return environment | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(target / "src"),
        # Nothing of this machine's user: no identity, no settings, no shared caches.
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **{
            f"GIT_{role}_{field}": "convnet@example.org"
            for role in ("AUTHOR", "COMMITTER")
            for field in ("NAME", "EMAIL")
        },
        "DVC_GLOBAL_CONFIG_DIR": str(elsewhere / "global"),
        "DVC_SYSTEM_CONFIG_DIR": str(elsewhere / "system"),
        "DVC_SITE_CACHE_DIR": str(elsewhere / "cache"),
        "DVC_NO_ANALYTICS": "1",
    }


def clone_project(target: Path) -> Clone:
    def not_copied(folder: str, names: list[str]) -> set[str]:
        # Only DVC's own folder holds what is called cache and tmp there.
        return NOT_COPIED.intersection(names) if Path(folder) in {PROJECT, PROJECT / ".dvc"} else {"__pycache__"}

    shutil.copytree(PROJECT, target, ignore=not_copied)
    clone = Clone(target, clone_environment(target))
    clone.run("git", "init", "--quiet", "--initial-branch", "main")
    clone.run("git", "add", "--all")
    clone.run("git", "commit", "--quiet", "--message", "copy")
    return clone


def make(clone: Clone, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return clone.run("make", *arguments, check=check)


def with_environment(clone: Clone) -> Clone:
    (clone.path / ".venv").symlink_to(sys.prefix)
    return clone
