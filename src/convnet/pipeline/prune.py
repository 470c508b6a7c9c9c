"""Find and delete the outputs of datasets and variants that params.yaml no longer runs; DVC leaves them in place.

Only outputs that dvc.lock lists are deleted. Their entries stay there, so a name that is listed again comes back from
DVC's cache without training.
"""

import os
import shutil
from pathlib import Path

import yaml
from dvc.repo import Repo


def find_leftovers(project: Path) -> list[str]:
    """Return the existing outputs that dvc.lock lists and dvc.yaml no longer makes, sorted."""
    lock = project / "dvc.lock"
    if not lock.is_file():
        return []
    with Repo(str(project)) as repo:
        wanted = {_place(Path(out.fs_path)) for out in repo.index.outs}
    stages = yaml.safe_load(lock.read_text("utf-8"))["stages"].values()
    listed = {str(out["path"]) for stage in stages for out in stage.get("outs", ())}
    return [name for name in sorted(listed) if _is_left_over(project.resolve(), name, wanted)]


def delete(project: Path, names: list[str]) -> None:
    """Delete outputs of the project, and the folders around them that are then empty."""
    for name in names:
        path = _place(project.resolve() / name)
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        folder = path.parent
        while folder != project.resolve() and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent


def _is_left_over(project: Path, name: str, wanted: set[Path]) -> bool:
    """Return whether the output exists inside the project, neither in nor around an output that is still made."""
    path = _place(project / name)
    if not path.is_relative_to(project) or not os.path.lexists(path):
        return False
    return not any(path.is_relative_to(out) or out.is_relative_to(path) for out in wanted)


def _place(path: Path) -> Path:
    """Return the output's own path: with `cache.type symlink` it is a link into DVC's cache, and the cache stays."""
    path = Path(os.path.normpath(path))
    return path.parent.resolve() / path.name
