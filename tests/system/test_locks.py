"""The lock between processes; flock holds between open files, so threads show the same as processes here."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from convnet.system.locks import locked


def test_never_two_inside_although_the_lock_file_is_removed_each_time(tmp_path: Path) -> None:
    path = tmp_path / "folder" / ".pets.zip.lock"
    inside, most, guard = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with locked(path, waiting="waiting"):
                with guard:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0.001)  # long enough for another one to come in if it could
                with guard:
                    inside -= 1

    with ThreadPoolExecutor(6) as pool:
        for result in [pool.submit(work) for _ in range(6)]:
            result.result(60)
    assert most == 1
    assert not path.exists()


def test_lock_is_let_go_after_an_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lock"
    with pytest.raises(ValueError, match="inside"), locked(path, waiting="waiting"):
        raise ValueError("inside")
    with locked(path, waiting="waiting"):
        assert path.exists()
    assert capfd.readouterr().err == ""


def test_work_goes_on_where_no_lock_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convnet.system.locks.fcntl", None)
    with locked(tmp_path / "lock", waiting="waiting"):
        pass
    assert not (tmp_path / "lock").exists()
