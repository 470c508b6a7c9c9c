import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnet.data.archives import open_archive
from convnet.data.class_folders import read_layout
from convnet.data.member_names import escape_name, unescape_name
from convnet.data.packing import pack_folder
from convnet.system.errors import UserError


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    folder = tmp_path / "pets"
    for name, data in {"cats/1.jpg": b"one", "cats/2.jpg": b"two", "dogs/1.jpg": b"three" * 1000}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def packed_names(folder: Path, destination: Path) -> list[str]:
    pack_folder(folder, destination)
    with zipfile.ZipFile(destination) as archive:
        return archive.namelist()


def test_packed_folder_is_an_archive_of_its_files(pets, tmp_path):
    assert pack_folder(pets, tmp_path / "out" / "pets.zip") is None
    with open_archive(tmp_path / "out" / "pets.zip") as archive:
        assert [member.name for member in archive.members()] == ["cats/1.jpg", "cats/2.jpg", "dogs/1.jpg"]
        assert archive.read("dogs/1.jpg") == b"three" * 1000


def test_archive_is_stored_and_dated_1980(pets, tmp_path):
    pack_folder(pets, tmp_path / "pets.zip")
    with zipfile.ZipFile(tmp_path / "pets.zip") as archive:
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            assert info.date_time == (1980, 1, 1, 0, 0, 0)


def test_equal_folders_give_equal_bytes(pets, tmp_path):
    pack_folder(pets, tmp_path / "first.zip")
    twin = tmp_path / "elsewhere" / "twin"
    for name in ("dogs/1.jpg", "cats/2.jpg", "cats/1.jpg"):  # another order, other dates and permissions
        (twin / name).parent.mkdir(parents=True, exist_ok=True)
        (twin / name).write_bytes((pets / name).read_bytes())
        (twin / name).chmod(0o755)
        os.utime(twin / name, (10**9, 10**9))
    pack_folder(twin, tmp_path / "second.zip")
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()


def test_hidden_and_system_files_are_left_out(pets, tmp_path):
    for name in (".git/config", "__MACOSX/cats/._1.jpg", "cats/.DS_Store", "cats/Thumbs.db", "dogs/._1.jpg"):
        (pets / name).parent.mkdir(parents=True, exist_ok=True)
        (pets / name).write_bytes(b"")
    assert packed_names(pets, tmp_path / "a.zip") == ["cats/1.jpg", "cats/2.jpg", "dogs/1.jpg"]


def test_empty_class_folder_is_kept(pets, tmp_path):
    (pets / "birds").mkdir()
    pack_folder(pets, tmp_path / "a.zip")
    with open_archive(tmp_path / "a.zip") as archive:
        assert read_layout(archive.members(), archive.folders()).empty_classes == ["birds"]


def test_link_inside_is_followed_and_other_links_are_skipped(pets, tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    (pets / "cats/3.jpg").symlink_to("../dogs/1.jpg")
    (pets / "cats/4.jpg").symlink_to(tmp_path / "secret")
    (pets / "cats/5.jpg").symlink_to("nowhere")
    (pets / "cats/6.jpg").symlink_to("6.jpg")
    (pets / "more cats").symlink_to(pets / "cats")
    (pets / "all").symlink_to("/")
    note = pack_folder(pets, tmp_path / "a.zip")
    assert note == "links and special files skipped: 5, for example 'all'"
    with open_archive(tmp_path / "a.zip") as archive:
        assert archive.read("cats/3.jpg") == b"three" * 1000
        names = [member.name for member in archive.members()]
    assert names == ["cats/1.jpg", "cats/2.jpg", "cats/3.jpg", "dogs/1.jpg"]


def test_class_folder_of_skipped_links_is_seen_as_empty(pets, tmp_path):
    (pets / "birds").mkdir()
    (pets / "birds/1.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    assert "birds/" in packed_names(pets, tmp_path / "a.zip")


def test_linked_folder_itself_is_packed(pets, tmp_path):
    (tmp_path / "link").symlink_to(pets)
    assert len(packed_names(tmp_path / "link", tmp_path / "a.zip")) == 3


def test_pipe_is_skipped_and_not_waited_for(pets, tmp_path):
    os.mkfifo(pets / "cats/pipe")
    assert pack_folder(pets, tmp_path / "a.zip") == "links and special files skipped: 1, for example 'cats/pipe'"


def test_odd_names_are_escaped_reversibly_and_reported(pets, tmp_path):
    odd = [b"new\nline.jpg", b"latin-\xe4.jpg", b"back\\slash.jpg", b"50%0A.jpg"]
    for name in odd:
        (pets / "dogs" / os.fsdecode(name)).write_bytes(name)
    note = pack_folder(pets, tmp_path / "a.zip")
    assert note == "names percent-escaped: 4, for example 'dogs/50%250A.jpg'"
    with open_archive(tmp_path / "a.zip") as archive:
        names = [member.name for member in archive.members() if "%" in member.name]
        assert names == ["dogs/50%250A.jpg", "dogs/back%5Cslash.jpg", "dogs/latin-%E4.jpg", "dogs/new%0Aline.jpg"]
        for name in names:
            assert os.fsencode(unescape_name(name)) == b"dogs/" + archive.read(name)


def test_plain_names_stay_as_they_are(pets, tmp_path):
    for name in ("100%.jpg", "Kätzchen.jpg", '<b>&"cats".jpg', "12:30.jpg", "narrow\u202fspace.jpg"):
        (pets / "dogs" / name).write_bytes(b"")
        assert f"dogs/{name}" in packed_names(pets, tmp_path / "a.zip")


def test_name_like_a_drive_letter_can_be_read_again(pets, tmp_path):
    (pets / "c:at").mkdir()
    (pets / "c:at/1.jpg").write_bytes(b"")
    pack_folder(pets, tmp_path / "a.zip")
    with open_archive(tmp_path / "a.zip") as archive:
        assert "c%3Aat/1.jpg" in {member.name for member in archive.members()}


@given(st.binary(min_size=1).filter(lambda name: b"\0" not in name))
def test_every_file_name_survives_escaping(raw):
    name = os.fsdecode(raw)
    escaped = escape_name(name)
    assert os.fsencode(unescape_name(escaped)) == raw
    assert len(escaped.splitlines()) == 1
    escaped.encode("utf-8")


@pytest.fixture
def open_folder():
    """A folder that everybody may enter: root may do anything, so a test run as root becomes somebody else."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def everything_in(folder):
    """Return kind, permissions, dates and content of everything below a folder, itself included."""
    return {
        path: (path.lstat().st_mode, path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in [folder, *folder.rglob("*")]
    }


def test_read_only_folder_is_packed_and_stays_as_it_is(pets, open_folder):
    folder = open_folder / "pets"
    shutil.copytree(pets, folder)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = everything_in(folder)
    code = f"""
import os
from pathlib import Path
from convnet.data.packing import pack_folder
if os.geteuid() == 0:
    os.setuid(65534)
try:
    Path({str(folder)!r}, "new").touch()
except PermissionError:
    pack_folder(Path({str(folder)!r}), Path({str(open_folder)!r}, "a.zip"))
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    after = everything_in(folder)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)  # so that it can be removed
    assert after == before
    with open_archive(open_folder / "a.zip") as archive:
        assert [member.name for member in archive.members()] == ["cats/1.jpg", "cats/2.jpg", "dogs/1.jpg"]


@pytest.mark.parametrize("name", ["cats/1.jpg", "cats"])
def test_unreadable_file_or_folder_is_named(open_folder, name):
    path = open_folder / "pets" / name
    (open_folder / "pets/cats").mkdir(parents=True)
    (open_folder / "pets/cats/1.jpg").write_bytes(b"one")
    path.chmod(0)
    code = f"""
import os
from pathlib import Path
from convnet.system.errors import UserError
from convnet.data.packing import pack_folder
if os.geteuid() == 0:
    os.setuid(65534)
try:
    pack_folder(Path({str(open_folder)!r}, "pets"), Path({str(open_folder)!r}, "a.zip"))
except UserError as error:
    print(error)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    message = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    path.chmod(0o755)
    assert f"{path} cannot be read (Permission denied)" in message
    assert not (open_folder / "a.zip").exists()


def test_missing_folder_and_file_instead_of_folder_are_refused(pets, tmp_path):
    with pytest.raises(UserError, match=r"the folder .*none is missing"):
        pack_folder(tmp_path / "none", tmp_path / "a.zip")
    with pytest.raises(UserError, match=r"1\.jpg is a file and no folder"):
        pack_folder(pets / "cats/1.jpg", tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


@pytest.fixture
def deep_folder(tmp_path):
    """A class folder in which `a` is nested 1,100 times: deeper than Python's stack, and so than shutil.rmtree."""
    deepest = tmp_path / "deep" / "cats" / Path(*["a"] * 1100)
    subprocess.run(["mkdir", "-p", deepest], check=True)
    yield deepest
    subprocess.run(["rm", "-rf", tmp_path / "deep"], check=True)


@pytest.mark.parametrize("name", [None, "1.jpg"])
def test_folder_nested_deeper_than_the_stack_is_refused(deep_folder, tmp_path, name):
    if name:
        (deep_folder / name).write_bytes(b"one")
    with pytest.raises(UserError) as caught:
        pack_folder(tmp_path / "deep", tmp_path / "a.zip")
    assert str(caught.value).startswith(f"{tmp_path}/deep/cats/a/a/a/")
    assert str(caught.value).endswith(
        f"... is more than 100 folders deep: move it nearer to {tmp_path}/deep, or out of it"
    )
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.parametrize("empty", [False, True])
def test_deepest_folder_that_is_packed_can_be_read_again(tmp_path, empty):
    inside = "a/" * (101 if empty else 100)
    (tmp_path / "pets" / inside).mkdir(parents=True)
    if not empty:
        (tmp_path / "pets" / inside / "1.jpg").write_bytes(b"one")
    pack_folder(tmp_path / "pets", tmp_path / "a.zip")
    with open_archive(tmp_path / "a.zip") as archive:
        assert [*archive.folders(), *(member.name for member in archive.members())] == [
            inside[:-1] if empty else f"{inside}1.jpg"
        ]


def test_name_that_escaping_makes_too_long_is_refused(tmp_path):
    inside = "/".join(["\n" * 200] * 8)
    (tmp_path / "pets" / inside).mkdir(parents=True)
    (tmp_path / "pets" / inside / "1.jpg").write_bytes(b"one")
    with pytest.raises(UserError, match=r"has a name of more than 4,096 bytes: move it nearer to"):
        pack_folder(tmp_path / "pets", tmp_path / "a.zip")


def test_archive_written_into_the_folder_does_not_hold_itself(pets):
    assert packed_names(pets, pets / "pets.zip") == ["cats/1.jpg", "cats/2.jpg", "dogs/1.jpg"]


def test_packing_takes_no_memory_for_a_large_file(tmp_path):
    (tmp_path / "films/cats").mkdir(parents=True)
    with (tmp_path / "films/cats/1.mov").open("wb") as file:
        file.truncate(100 * 2**20)
    code = f"""
import resource
from pathlib import Path
from convnet.data.packing import pack_folder
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pack_folder(Path({str(tmp_path)!r}, "films"), Path({str(tmp_path)!r}, "a.zip"))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert int(subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)) < 30  # MiB


@pytest.mark.parametrize("configured", [False, True])
def test_links_into_the_cache_of_dvc_are_followed(configured, pets, tmp_path):
    cache = tmp_path / ("shared cache" if configured else ".dvc/cache")
    (tmp_path / ".dvc").mkdir()
    if configured:
        (tmp_path / ".dvc/config.local").write_text("[cache]\n    type = symlink\n    dir = ../shared cache\n")
    cached = cache / "files/md5/ab/cdef0123456789abcdef0123456789"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"cached")
    (cache / "secret.jpg").write_bytes(b"no name of a cached file")
    (pets / "cats/3.jpg").symlink_to(cached)
    (pets / "cats/4.jpg").symlink_to(cache / "secret.jpg")
    assert pack_folder(pets, tmp_path / "a.zip") == "links and special files skipped: 1, for example 'cats/4.jpg'"
    with open_archive(tmp_path / "a.zip") as archive:
        assert archive.read("cats/3.jpg") == b"cached"


def test_class_of_skipped_links_is_not_called_empty(tmp_path: Path) -> None:
    for name in ("cats/1.jpg", "cats/2.jpg"):
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pets" / name).write_bytes(b"x")
    (tmp_path / "pets/birds").mkdir()
    (tmp_path / "pets/birds/1.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    pack_folder(tmp_path / "pets", tmp_path / "a.zip")
    with open_archive(tmp_path / "a.zip") as archive:
        assert archive.specials == {"birds/1.jpg"}
        assert "birds" in archive.folders()
