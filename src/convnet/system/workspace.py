"""The workspace of a project: DVC runs experiments in a copy of it, which lacks the files that git ignores."""

from pathlib import Path

COPIES = (".dvc", "tmp", "exps")  # `dvc exp run --temp` and `--queue` make each copy in a folder there


def find_workspace(project: Path) -> Path:
    """Return the project that DVC copied to `project`, or `project` itself where it is not a copy."""
    for folder in project.parents:
        if folder.parts[-len(COPIES) :] == COPIES:
            return folder.parents[len(COPIES) - 1]
    return project


def in_workspace(path: Path) -> Path:
    """Return a relative path in the workspace; an existing one, and an absolute one, as they are."""
    here = Path.cwd()
    workspace = find_workspace(here)
    return path if path.is_absolute() or path.exists() or workspace == here else workspace / path
