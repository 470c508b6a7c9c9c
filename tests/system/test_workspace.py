"""The workspace behind a copy that DVC makes of a project."""

from pathlib import Path

import pytest

from convnet.jobs.job import find_store
from convnet.system.workspace import find_workspace, in_workspace

COPY = Path("/a/project/.dvc/tmp/exps/tmpx1")


@pytest.mark.parametrize("copy", [COPY, COPY / "in" / "a subfolder of the repository"])
def test_copy_has_the_workspace_that_dvc_copied(copy: Path) -> None:
    assert find_workspace(copy) == Path("/a/project")


@pytest.mark.parametrize("project", ["/a/project", "/a/.dvc/tmp/project", "/exps/tmp/.dvc"])
def test_other_folders_are_their_own_workspace(project: str) -> None:
    assert find_workspace(Path(project)) == Path(project)


def test_store_of_a_copy_is_that_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONVNET_JOBS", raising=False)
    assert find_store(Path("/a/project")) == Path(".jobs")
    assert find_store(COPY) == Path("/a/project/.jobs")
    for project in (Path("/a/project"), COPY):
        monkeypatch.setenv("CONVNET_JOBS", "/a/store")
        assert find_store(project) == Path("/a/store")
        monkeypatch.setenv("CONVNET_JOBS", "../store")  # one place for the project and its copies
        assert find_store(project) == Path("/a/project/../store")


def test_missing_file_is_looked_for_in_the_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "tmpx1"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    assert in_workspace(Path("photos")) == tmp_path / "photos"
    assert in_workspace(Path("/photos")) == Path("/photos")
    (copy / "photos").mkdir()
    assert in_workspace(Path("photos")) == Path("photos")
    monkeypatch.chdir(tmp_path)
    assert in_workspace(Path("missing")) == Path("missing")
