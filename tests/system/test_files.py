import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from convnet.system.errors import UserError
from convnet.system.files import (
    atomic_path,
    canonical_json,
    file_digest,
    json_digest,
    link,
    read_json,
    write_json,
    write_text,
)

# A new interpreter writes a file and is killed before it is renamed.
KILLED_WRITER = """
import os, signal, sys
from pathlib import Path
from convnet.system.files import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half of the new con")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_file_digest_is_sha256(tmp_path: Path) -> None:
    content = os.urandom(300_000)
    (tmp_path / "file").write_bytes(content)
    assert file_digest(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_equal_values_give_equal_json_whatever_the_order() -> None:
    assert canonical_json({"b": [1, 2.5], "a": "ü"}) == canonical_json({"a": "ü", "b": [1, 2.5]})
    assert json_digest({"b": 1, "a": 2}) == json_digest({"a": 2, "b": 1})
    assert json_digest([1, 2]) != json_digest([2, 1])
    assert json.loads(canonical_json({"a": "ü"})) == {"a": "ü"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_json_without_nan_and_infinity(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"loss": value})


def test_atomic_write_replaces_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    write_text(path, "old")
    write_text(path, "new")
    assert path.read_text("utf-8") == "new"
    assert [found.name for found in path.parent.iterdir()] == ["file.txt"]


def test_fault_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def write_half() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("power")

    with pytest.raises(RuntimeError, match="power"):
        write_half()
    assert path.read_text("utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_kill_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")
    done = subprocess.run([sys.executable, "-c", KILLED_WRITER, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text("utf-8") == "old"


def test_full_disk_is_one_sentence_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def fill_the_disk() -> None:
        with atomic_path(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UserError, match=r"the disk is full while writing .*file\.txt"):
        fill_the_disk()
    assert path.read_text("utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("size", "written", "told"), [(0, 5000, 5000), (123_456, 5000, 123_456), (5, 5000, 5000)])
def test_full_disk_tells_the_bytes_that_will_be_written_where_they_are_known(
    tmp_path: Path, size: int, written: int, told: int
) -> None:
    def fill_the_disk() -> None:
        with atomic_path(tmp_path / "file", size) as temporary:
            temporary.write_bytes(bytes(written))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UserError, match=rf"\(at least {told:,} bytes needed, [\d,]+ free\)"):
        fill_the_disk()


def test_other_faults_of_the_disk_are_not_called_full(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_path(tmp_path / "file"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        fail()


def test_written_file_has_the_permissions_of_an_ordinary_one(tmp_path: Path) -> None:
    write_text(tmp_path / "ours", "")
    (tmp_path / "ordinary").write_text("")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_temporary_file_has_the_suffix_that_writers_look_at(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "picture.png") as temporary:
        assert temporary.suffix == ".png"
        assert temporary.parent == tmp_path


def test_json_comes_back_as_written(tmp_path: Path) -> None:
    value = {"name": "Kätzchen", "numbers": [1, 2.5, None, True]}
    write_json(tmp_path / "file.json", value)
    assert read_json(tmp_path / "file.json") == value


def test_undecodable_file_name_is_written(tmp_path: Path) -> None:
    write_text(tmp_path / "names.txt", "caf\udce9.jpg")
    assert (tmp_path / "names.txt").read_bytes() == b"caf\xe9.jpg"


def test_missing_json_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.json is missing; run `dvc repro`"):
        read_json(tmp_path / "none.json")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"{'a': 1}"])
def test_damaged_json_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.json is not valid JSON"):
        read_json(tmp_path / "bad.json")


def test_link_replaces_a_file_without_writing_into_it(tmp_path: Path) -> None:
    source, target, kept = (tmp_path / name for name in ("source", "target", "kept"))
    source.write_text("new")
    target.write_text("old")
    kept.hardlink_to(target)
    link(source, target)
    assert (target.read_text(), kept.read_text()) == ("new", "old")
