"""Delete what earlier runs made of datasets and variants that params.yaml no longer runs; DVC leaves it in place.

Nothing reads it, but it takes space, old metrics stand in git beside new ones, and the stages that depend on a whole
folder would run again when it goes later. So `make repro` calls this first. Only what dvc.lock lists, that is what DVC
made, is deleted; the entries stay, so a name taken up again comes back from DVC's cache without training.
"""

import os
import shutil
from pathlib import Path

import yaml
from dvc.repo import Repo

from convnet.params.load import load_params
from convnet.system.errors import command


def remove_leftovers(project: Path) -> list[str]:
    """Delete the outputs that dvc.lock still lists and dvc.yaml no longer makes; return their paths, sorted."""
    lock = project / "dvc.lock"
    if not lock.is_file():
        return []
    project = project.resolve()
    with Repo(str(project)) as repo:
        wanted = {_place(Path(out.fs_path)) for out in repo.index.outs}
    stages = yaml.safe_load(lock.read_text("utf-8"))["stages"].values()
    listed = {str(out["path"]) for stage in stages for out in stage.get("outs", ())}
    removed = []
    for name in sorted(listed):
        path = _place(project / name)
        # Never outside the project, and nothing that lies in, or around, an output that is still made.
        if not path.is_relative_to(project) or not os.path.lexists(path):
            continue
        if any(path.is_relative_to(out) or out.is_relative_to(path) for out in wanted):
            continue
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        _remove_emptied(path.parent, project)
        removed.append(name)
    return removed


def _place(path: Path) -> Path:
    """Return where an output itself lies: with `cache.type symlink` it is a link into DVC's cache, which stays."""
    path = Path(os.path.normpath(path))
    return path.parent.resolve() / path.name


def _remove_emptied(folder: Path, project: Path) -> None:
    """Delete `folder` and those around it as far as they are empty: models/<dataset> bears the dataset's name too."""
    while folder != project and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


@command
def main() -> None:
    """Delete the leftovers of the project in this folder and name them.

    Raises:
        UserError: params.yaml has a mistake; a mistyped name must not cost the results of the right one.
    """
    load_params()
    for name in remove_leftovers(Path()):
        print(f"removed {name}: params.yaml no longer names it")


if __name__ == "__main__":
    main()
