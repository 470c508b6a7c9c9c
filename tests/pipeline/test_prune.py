"""`convnet prune` deletes the outputs of unlisted datasets and variants, and nothing else."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from helpers.clones import Clone
from helpers.tiny_run import change_params, start, write_tiny_params

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # DVC's own


@pytest.fixture
def finished(clone: Clone) -> Clone:
    """A copy of the project with something at every place where a run of two datasets leaves its outputs."""
    start(clone)
    write_tiny_params(clone.path, {"run.datasets": ["pets", "hands"]})
    with Repo(str(clone.path)) as repo:
        outs = {stage.name: [Path(out.fs_path).relative_to(clone.path) for out in stage.outs]
                for stage in repo.index.stages}  # fmt: skip
    for out in [out for of_stage in outs.values() for out in of_stage]:
        file = clone.path / out if out.suffix else clone.path / out / "content.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"made by the stage of {out}\n")
    stages = {name: {"cmd": name, "outs": [{"path": str(out)} for out in found]} for name, found in outs.items()}
    (clone.path / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    return clone


def contents(clone: Clone) -> dict[Path, bytes | None]:
    """Return every folder (None) and file below what a run writes."""
    paths = [path for top in ("data", "models", "reports") for path in (clone.path / top).rglob("*")]
    return {path.relative_to(clone.path): path.read_bytes() if path.is_file() else None for path in paths}


def prune(clone: Clone, *options: str) -> "subprocess.CompletedProcess[str]":
    return clone.run(sys.executable, "-m", "convnet.cli.main", "prune", *options, check=False)


def test_mistyped_variant_is_refused_before_anything_is_deleted(finished: Clone) -> None:
    before = contents(finished)
    change_params(finished.path, {"run.pixel_variants": ["basline", "half_dropped"]})
    done = prune(finished)
    assert done.returncode == 2
    assert done.stderr.startswith("error: params.yaml: run.pixel_variants names 'basline'")
    assert "did you mean 'baseline'" in done.stderr
    assert done.stdout == ""
    assert contents(finished) == before


def test_dry_run_lists_and_prune_deletes_all_outputs_of_a_removed_dataset_and_nothing_else(finished: Clone) -> None:
    before = contents(finished)
    change_params(finished.path, {"run.datasets": ["pets"]})
    listed = prune(finished, "--dry-run")
    assert contents(finished) == before
    done = prune(finished)
    assert done.returncode == 0, done.stderr
    assert done.stdout == listed.stdout.replace("would delete", "deleted")
    after = contents(finished)
    gone = {path for path in before if "hands" in str(path)}
    assert {path.parts[0] for path in gone} == {"data", "models"}
    assert after == {path: content for path, content in before.items() if path not in gone}
    assert not [path for path, content in after.items() if b"hands" in (content or b"")]
    deleted = re.findall(r"^deleted (\S+)$", done.stdout, re.MULTILINE)
    assert len(deleted) == len(done.stdout.splitlines())
    assert {"data/splits/hands.csv", "models/hands", "models/best/hands"} <= set(deleted)


def test_output_that_is_a_link_into_dvcs_cache_is_deleted_without_its_target(finished: Clone) -> None:
    """As `cache.type symlink` leaves a file and a folder; a link that leads nowhere is a leftover too."""
    cache = finished.path / ".dvc" / "cache" / "files" / "md5"
    (cache / "folder").mkdir(parents=True)
    (cache / "file").write_text("cached")
    (cache / "folder" / "content.txt").write_text("cached")
    links = {"data/splits/hands.csv": "file", "models/hands": "folder", "data/features/hands": "gone"}
    for name, target in links.items():
        path = finished.path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.symlink_to(cache / target)
    change_params(finished.path, {"run.datasets": ["pets"]})
    done = prune(finished)
    assert done.returncode == 0, done.stderr
    assert not [name for name in links if os.path.lexists(finished.path / name)]
    assert sorted(path.name for path in cache.rglob("*")) == ["content.txt", "file", "folder"]
    assert set(links) <= set(re.findall(r"^deleted (\S+)$", done.stdout, re.MULTILINE))


def test_nothing_is_left_over_where_nothing_was_taken_out(finished: Clone) -> None:
    before = contents(finished)
    done = prune(finished)
    assert (done.returncode, done.stdout) == (0, "")
    assert contents(finished) == before
