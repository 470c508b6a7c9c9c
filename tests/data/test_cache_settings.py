import subprocess
import sys
from pathlib import Path

from helpers.tiny_study import PROJECT


def test_table_changed_in_place_is_not_up_to_date(tmp_path: Path) -> None:
    """A file that shares its inode with the cache would change there too, and pass as unchanged."""

    def dvc(*arguments: str) -> str:
        command = [sys.executable, "-m", "dvc", *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    dvc("init", "--quiet")
    (tmp_path / ".dvc" / "config").write_text((PROJECT / ".dvc" / "config").read_text())
    (tmp_path / "dvc.yaml").write_text("stages: {table: {cmd: printf right > table.csv, outs: [table.csv]}}")
    dvc("repro", "--quiet")
    table = tmp_path / "table.csv"
    table.chmod(0o644)
    with table.open("r+") as file:
        file.write("wrong")
    dvc("repro", "--quiet")
    assert table.read_text() == "right"
    table.unlink()
    dvc("checkout", "--quiet")
    assert table.read_text() == "right"
