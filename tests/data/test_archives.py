import copy
import gzip
import io
import os
import re
import stat
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnet.data.archive_base import ArchiveLimits
from convnet.data.archives import open_archive
from convnet.data.image_faults import BadImage
from convnet.system.errors import UserError

KINDS = ["zip", "tar", "tgz"]
CONTENT = {"pets/cats/1.jpg": b"one", "pets/dogs/2.jpg": b"two" * 500, "pets/read me.txt": b""}


def make(path: Path, content: Mapping[str, bytes] = CONTENT, kind: str = "zip", folders: tuple[str, ...] = ()) -> Path:
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for folder in folders:
                archive.writestr(f"{folder}/", b"")
            for name, data in content.items():
                archive.writestr(name, data)
        return path
    with tarfile.open(path, "w:gz" if kind == "tgz" else "w:") as archive:
        for folder in folders:
            info = tarfile.TarInfo(folder)
            info.type = tarfile.DIRTYPE
            archive.addfile(info)
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def make_tar(path: Path, *infos: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as archive:
        for info in infos:
            archive.addfile(info)
    return path


def make_zip(path: Path, info: zipfile.ZipInfo, data: bytes = b"data") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, data)
    return path


def refusal(path: Path, limits: ArchiveLimits | None = None) -> str:
    with pytest.raises(UserError) as caught:
        open_archive(path, limits or ArchiveLimits()).close()
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_members_are_listed_sorted_and_read(tmp_path, kind):
    path = make(tmp_path / "any.suffix", dict(reversed(CONTENT.items())), kind, folders=("pets", "pets/birds"))
    with open_archive(path) as archive:
        assert [member.name for member in archive.members()] == sorted(CONTENT)
        assert {member.name: member.bytes for member in archive.members()}["pets/dogs/2.jpg"] == 1500
        assert archive.folders() == ["pets", "pets/birds"]
        assert {name: archive.read(name) for name in CONTENT} == CONTENT
        assert list(archive.read_all()) == list(reversed(CONTENT.items()))
        assert list(archive.read_all()) == list(reversed(CONTENT.items()))


@pytest.mark.parametrize("kind", KINDS)
def test_archive_without_members_is_open_and_empty(tmp_path, kind):
    with open_archive(make(tmp_path / "a", {}, kind)) as archive:
        assert archive.members() == []
        assert list(archive.read_all()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_unpacked(tmp_path, kind):
    path = make(tmp_path / "a", CONTENT, kind)
    with open_archive(path) as archive:
        list(archive.read_all())
    assert list(tmp_path.rglob("*")) == [path]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["..", "absolute", "link", "cut off", "lying"])
def test_nothing_is_unpacked_from_a_hostile_archive(tmp_path, kind, fault):
    """Neither beside the archive nor where its members point to."""
    target = tmp_path / "target"
    path = tmp_path / "inside" / "a"
    path.parent.mkdir()
    names = {"..": "../1.jpg", "absolute": f"{target}/1.jpg"}
    content = CONTENT | {names.get(fault, "cats/1.jpg"): b"owned" * 500}
    make_with_link(path, kind, str(target)) if fault == "link" else make(path, content, kind)
    if fault == "cut off":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 4])
    if fault == "lying":
        path.write_bytes(path.read_bytes().replace(struct.pack("<I", 2500), struct.pack("<I", 9)))
    before = sorted(tmp_path.rglob("*"))
    try:
        with open_archive(path) as archive:
            list(archive.read_all())
    except UserError:
        pass
    else:
        assert fault in ("absolute", "link", "lying")
    assert sorted(tmp_path.rglob("*")) == before


def make_with_link(path: Path, kind: str, target: str) -> None:
    """Write an archive with a link out of it and a file to be written through that link."""
    if kind == "zip":
        info = zipfile.ZipInfo("cats")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        make_zip(path, info, target.encode())
        return
    link = tarfile.TarInfo("cats")
    link.type, link.linkname = tarfile.SYMTYPE, target
    make_tar(path, link, tarfile.TarInfo("cats/1.jpg"))
    if kind == "tgz":
        path.write_bytes(gzip.compress(path.read_bytes()))


def read_one(path: Path, name: str) -> bytes:
    with open_archive(path) as archive:
        return archive.read(name)


@pytest.mark.parametrize("kind", KINDS)
def test_worker_process_opens_the_path_itself(tmp_path, kind):
    path = make(tmp_path / "a", CONTENT, kind)
    with ProcessPoolExecutor(1) as pool:
        assert pool.submit(read_one, path, "pets/cats/1.jpg").result() == b"one"


@pytest.mark.parametrize("kind", KINDS)
def test_leading_dot_folder_is_dropped(tmp_path, kind):
    with open_archive(make(tmp_path / "a", {"./pets//cats/1.jpg": b"1"}, kind)) as archive:
        assert archive.members()[0].name == "pets/cats/1.jpg"
        assert archive.read("pets/cats/1.jpg") == b"1"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("../cats/1.jpg", "leads out of the archive by '..'"),
        ("cats/../../1.jpg", "leads out of the archive by '..'"),
        ("cats/..", "leads out of the archive by '..'"),
    ],
)
def test_name_that_leads_elsewhere_is_refused(tmp_path, kind, name, fault):
    message = refusal(make(tmp_path / "bad", {"cats/0.jpg": b"", name: b""}, kind))
    assert fault in message
    assert str(tmp_path / "bad") in message
    assert repr(name) in message


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("a/" * 101 + "1.jpg", "is more than 100 folders deep"),
        ("a/" * 7000 + "1.jpg", "has a name of more than 4,096 bytes"),
        ("ä" * 2049, "has a name of more than 4,096 bytes"),
    ],
)
def test_name_that_no_folder_could_hold_is_refused_in_a_short_sentence(tmp_path, kind, name, fault):
    message = refusal(make(tmp_path / "bad", {"cats/0.jpg": b"", name: b""}, kind))
    assert fault in message
    assert repr(name[:100])[:-1] in message
    assert len(message) < 500


@pytest.mark.parametrize("kind", KINDS)
def test_longest_and_deepest_name_is_read(tmp_path, kind):
    names = ["a/" * 100 + "1.jpg", "b" * 4092 + ".jpg"]
    with open_archive(make(tmp_path / "a", dict.fromkeys(names, b""), kind, ("c/" * 100 + "c",))) as archive:
        assert [member.name for member in archive.members()] == names
        assert archive.folders() == ["c/" * 100 + "c"]


@pytest.mark.parametrize("kind", KINDS)
def test_folder_that_leads_elsewhere_is_refused(tmp_path, kind):
    assert "leads out" in refusal(make(tmp_path / "bad", {}, kind, folders=("../cats",)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("/etc/1.jpg", "etc/1.jpg"),
        ("C:/cats/1.jpg", "C%3A/cats/1.jpg"),
        ("c:1.jpg", "c%3A1.jpg"),
        ("cats\\1.jpg", "cats%5C1.jpg"),
        ("..\\1.jpg", "..%5C1.jpg"),
    ],
)
def test_name_of_another_system_is_a_name(tmp_path, kind, name, read):
    with open_archive(make(tmp_path / "a", {name: b"1"}, kind)) as archive:
        assert list(archive.read_all()) == [(read, b"1")]


def test_null_character_in_zip_name_is_escaped(tmp_path):
    path = make(tmp_path / "a.zip", {"cats/1.jpg@exe": b"1"})
    path.write_bytes(path.read_bytes().replace(b"@", b"\0"))
    assert read_one(path, "cats/1.jpg%00exe") == b"1"


def assert_one_special(path: Path) -> None:
    with open_archive(path) as archive:
        assert archive.specials == {"cats/1.jpg"} == {member.name for member in archive.members()}
        (name, fault), *more = archive.read_all()
        assert (name, str(fault), more) == ("cats/1.jpg", "a link or device, not a file", [])
        with pytest.raises(BadImage, match="a link or device"):
            archive.read("cats/1.jpg")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"V"]
)
def test_link_or_device_in_tar_is_a_bad_image(tmp_path, kind):
    info = tarfile.TarInfo("cats/1.jpg")
    info.type, info.linkname = kind, "/etc/passwd"
    assert_one_special(make_tar(tmp_path / "a.tar", info))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_link_or_device_in_zip_is_a_bad_image(tmp_path, kind):
    info = zipfile.ZipInfo("cats/1.jpg")
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    assert_one_special(make_zip(tmp_path / "a.zip", info, b"/etc/passwd"))


def set_zip_field(path: Path, in_local: int, in_central: int, value: int) -> None:
    """Change a 16-bit field of the first member in its two headers."""
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, in_local, value)
    struct.pack_into("<H", data, data.index(b"PK\x01\x02") + in_central, value)
    path.write_bytes(data)


def test_encrypted_zip_is_refused(tmp_path):
    set_zip_field(make(tmp_path / "bad.zip"), 6, 8, 1)
    assert "'pets/cats/1.jpg' is encrypted" in refusal(tmp_path / "bad.zip")


def test_unknown_compression_is_refused(tmp_path):
    set_zip_field(make(tmp_path / "bad.zip"), 8, 10, 9)
    assert "'pets/cats/1.jpg' is compressed by method 9" in refusal(tmp_path / "bad.zip")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_unpacks_without_bound_is_refused(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w", method) as archive:
        archive.writestr("cats/1.jpg", b"one")
    message = refusal(tmp_path / "bad.zip")
    assert f"{tmp_path / 'bad.zip'} is rejected: its member 'cats/1.jpg' is compressed by method {method}" in message
    assert message.endswith("pack the images again with the usual method, deflate")


def test_zip_member_without_a_name_is_refused(tmp_path):
    path = make(tmp_path / "bad.zip", {"@": b""})
    path.write_bytes(path.read_bytes().replace(b"@", b"."))
    assert "its member '.' has no name" in refusal(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("second", ["cats/1.jpg", "./cats//1.jpg"])
def test_repeated_member_is_refused(tmp_path, kind, second):
    path = tmp_path / "bad"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("cats/1.jpg", b"1")
            archive.writestr(second, b"2")
    else:
        make_tar(path, tarfile.TarInfo("cats/1.jpg"), tarfile.TarInfo(second))
        path.write_bytes(gzip.compress(path.read_bytes()) if kind == "tgz" else path.read_bytes())
    assert f"{second!r} is there twice" in refusal(path)


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_bomb_by_ratio_is_refused(tmp_path, kind):
    path = make(tmp_path / "bomb", {"cats/1.bmp": bytes(3_000_000)}, kind)
    limits = ArchiveLimits(ratio_floor=2_000_000)
    assert "'cats/1.bmp' unpacks from" in refusal(path, limits)
    # Below the floor the same ratio is a small drawing in one colour.
    open_archive(path, ArchiveLimits(ratio_floor=4_000_000)).close()


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_bomb_of_many_members_is_refused_though_each_is_small(tmp_path, kind):
    content = {f"cats/{number}.bmp": bytes(500_000) for number in range(10)}
    path = make(tmp_path / "bomb", content, kind)
    message = refusal(path, ArchiveLimits(ratio_floor=1_000_000))
    assert "which no image" in message
    if kind == "zip":
        packed = path.stat().st_size
        assert f"its 10 members together unpack from {packed:,} to 5,000,000 bytes" in message
    open_archive(path, ArchiveLimits(ratio_floor=6_000_000)).close()


def test_bomb_of_members_that_share_their_bytes_is_refused(tmp_path):
    # As in Fifield's zip bomb: every entry of the directory leads to the same data, so each ratio looks harmless.
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cats/0.bmp", os.urandom(50_000))
        for number in range(1, 400):
            info = copy.copy(archive.filelist[0])
            info.filename = f"cats/{number}.bmp"
            archive.filelist.append(info)
            archive.NameToInfo[info.filename] = info
        archive._didModify = True
    assert path.stat().st_size < 100_000
    assert "its 400 members together unpack from" in refusal(path)


def test_zeros_behind_the_end_of_a_tar_are_a_bomb_too(tmp_path):
    path = tmp_path / "bomb.tgz"
    path.write_bytes(gzip.compress(gzip.decompress(make(path, CONTENT, "tgz").read_bytes()) + bytes(5_000_000)))
    assert "which no image does" in refusal(path, ArchiveLimits(ratio_floor=2_000_000))


@pytest.mark.parametrize("kind", KINDS)
def test_too_many_members_are_refused(tmp_path, kind):
    path = make(tmp_path / "a", CONTENT, kind)
    assert "more than 2 files" in refusal(path, ArchiveLimits(maximum_members=2))
    open_archive(path, ArchiveLimits(maximum_members=3)).close()


@pytest.mark.parametrize("kind", KINDS)
def test_folders_are_members_too(tmp_path, kind):
    path = make(tmp_path / "a", CONTENT, kind, tuple(f"class {number}" for number in range(7)))
    assert refusal(path, ArchiveLimits(maximum_members=9)) == (
        f"the archive {path} holds more than 9 files and folders: "
        "pack only the images, or divide them among several archives"
    )
    open_archive(path, ArchiveLimits(maximum_members=10)).close()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", KINDS)
def test_folder_that_is_there_often_counts_each_time(tmp_path, kind):
    path = make(tmp_path / "a", {}, kind, ("cats",) * 10)
    assert "more than 9 files and folders" in refusal(path, ArchiveLimits(maximum_members=9))
    with open_archive(path) as archive:
        assert archive.folders() == ["cats"]


def test_bomb_of_folders_is_refused_before_all_are_read(tmp_path):
    path = make(tmp_path / "a.tgz", {}, "tgz", tuple(f"class {number}" for number in range(3000)))
    message = refusal(path, ArchiveLimits(ratio_floor=1_000_000, maximum_ratio=10))
    assert re.search("its member 'class [0-9]+' unpacks from", message)


@pytest.mark.parametrize("kind", KINDS)
def test_too_large_total_is_refused(tmp_path, kind):
    path = make(tmp_path / "a", CONTENT, kind)
    assert "above 1,502 bytes" in refusal(path, ArchiveLimits(maximum_bytes=1502))
    open_archive(path, ArchiveLimits(maximum_bytes=1503)).close()


@pytest.mark.parametrize("kind", KINDS)
def test_huge_member_costs_only_itself(tmp_path, kind):
    limits = ArchiveLimits(maximum_member_bytes=1000)
    with open_archive(make(tmp_path / "a", CONTENT, kind), limits) as archive:
        results = dict(archive.read_all())
        assert results["pets/cats/1.jpg"] == b"one"
        assert str(results["pets/dogs/2.jpg"]) == "1,500 bytes, more than the allowed 1,000"
        with pytest.raises(BadImage, match="1,500 bytes"):
            archive.read("pets/dogs/2.jpg")


def test_tar_header_that_claims_gigabytes_takes_no_memory(tmp_path):
    # A sparse file of zeros behind a header that says "4 GB of extended header follow".
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 4 * 2**30
    path = tmp_path / "bomb.tar"
    with path.open("wb") as file:
        file.write(info.tobuf())
        file.truncate(5 * 2**30)
    code = f"""
from pathlib import Path
from convnet.data.archives import open_archive
from convnet.system.errors import UserError
try:
    open_archive(Path({str(path)!r}))
except UserError as error:
    print(error)
    # Not getrusage: a child begins with the peak of the process it was forked from.
    print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024)
"""
    message, peak = subprocess.check_output(
        [sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, text=True
    ).splitlines()
    assert "a header is too long" in message
    assert int(peak) < 500  # MiB


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_that_unpacks_to_more_than_it_says_takes_no_memory(tmp_path, method):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", method) as archive, archive.open("cats/1.jpg", "w") as member:
        for _ in range(100):
            member.write(bytes(2**20))
    declare(path, 100)
    code = f"""
from pathlib import Path
from convnet.data.archives import open_archive
from convnet.system.errors import UserError
# Not getrusage: a child begins with the peak of the process it was forked from.
peak = lambda: int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024
before = peak()
try:
    with open_archive(Path({str(path)!r})) as archive:
        print(*archive.read_all())
except UserError as error:
    print(error)
print(peak() - before)
"""
    said, growth = subprocess.check_output(
        [sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, text=True
    ).splitlines()
    assert "Bad CRC-32" in said or "is compressed by method" in said
    assert int(growth) < 50  # MiB


def declare(path: Path, size: int) -> None:
    """Let the directory of a ZIP archive say that its first member has `size` bytes when unpacked."""
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 24, size)
    path.write_bytes(data)


def test_member_with_less_than_it_says_ends_early(tmp_path):
    path = make(tmp_path / "a.zip", {"cats/1.jpg": b"one"})
    declare(path, 100)
    with open_archive(path) as archive, pytest.raises(BadImage, match="it ends early"):
        archive.read("cats/1.jpg")


def test_member_of_several_pieces_is_whole(tmp_path):
    content = os.urandom(3 * 2**20 + 5)
    assert read_one(make(tmp_path / "a.zip", {"cats/1.jpg": content}), "cats/1.jpg") == content


def test_member_that_lies_about_its_size_is_bad_by_itself(tmp_path):
    path = make(tmp_path / "a.zip", {"cats/1.jpg": bytes(100_000), "cats/2.jpg": b"two"})
    declare(path, 100)
    with open_archive(path) as archive:
        results = dict(archive.read_all())
    assert isinstance(results["cats/1.jpg"], BadImage)
    assert results["cats/2.jpg"] == b"two"


def test_wrong_checksum_costs_one_member(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cats/1.jpg", b"the content of one")
        archive.writestr("cats/2.jpg", b"two")
    path.write_bytes(path.read_bytes().replace(b"content", b"contemt"))
    with open_archive(path) as archive:
        with pytest.raises(BadImage, match="damaged in the archive: Bad CRC-32"):
            archive.read("cats/1.jpg")
        results = dict(archive.read_all())
    assert "Bad CRC-32" in str(results["cats/1.jpg"])
    assert results["cats/2.jpg"] == b"two"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncated_archive_is_refused(tmp_path, kind, share):
    path = make(tmp_path / "cut", {f"cats/{i}.jpg": bytes(range(256)) * 20 for i in range(20)}, kind)
    data = path.read_bytes()
    # The last 10 KB of a plain tar are padding, which nobody misses.
    path.write_bytes(data[: int(share * (len(data) - (10240 if kind == "tar" else 0)))])
    assert "is damaged or cut off" in refusal(path)


def test_tar_cut_between_two_members_is_refused(tmp_path):
    path = make(tmp_path / "cut.tar", {"cats/1.jpg": bytes(512), "cats/2.jpg": bytes(512)}, "tar")
    path.write_bytes(path.read_bytes()[:1024])
    assert "the end mark is missing" in refusal(path)


def test_damaged_zip_directory_is_refused(tmp_path):
    path = make(tmp_path / "bad.zip")
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02")] = 0
    path.write_bytes(data)
    assert "is damaged or cut off" in refusal(path)


def test_wrong_gzip_checksum_is_refused(tmp_path):
    path = make(tmp_path / "bad.tgz", CONTENT, "tgz")
    data = bytearray(path.read_bytes())
    data[-6] ^= 1
    path.write_bytes(data)
    assert "CRC check failed" in refusal(path)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "is an empty file"),
        (b"<html><body>404</body></html>", "is an HTML page"),
        (b"cats, dogs", "is a text file"),
        (b"Rar!\x1a\x07\x00", "is a RAR archive"),
        (b"\xff\xd8\xff\xe0", "is a JPEG image"),
        (b"\x93\x88\x00\x01", "is of an unknown kind"),
    ],
)
def test_what_is_no_archive_is_named(tmp_path, data, kind):
    (tmp_path / "pets.zip").write_bytes(data)
    assert f"pets.zip {kind} and no ZIP or tar archive" in refusal(tmp_path / "pets.zip")


def test_gzip_of_something_else_is_refused(tmp_path):
    (tmp_path / "pets.tgz").write_bytes(gzip.compress(b"a long letter " * 100))
    assert "is damaged or cut off" in refusal(tmp_path / "pets.tgz")


def test_missing_archive_and_folder_are_refused(tmp_path):
    assert "is missing" in refusal(tmp_path / "none.zip")
    assert "cannot be read" in refusal(tmp_path)


def test_old_tar_without_magic_is_recognised(tmp_path):
    path = make(tmp_path / "old.tar", {"cats/1.jpg": b"1"}, "tar")
    data = bytearray(path.read_bytes())
    data[257:265] = bytes(8)
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    path.write_bytes(data)
    assert read_one(path, "cats/1.jpg") == b"1"


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_all_languages_are_kept(tmp_path, kind):
    names = ["Kätzchen/Öl 1.jpg", "猫/二.jpg", '<b>&"cats"/it\'s.jpg']
    with open_archive(make(tmp_path / "a", dict.fromkeys(names, b""), kind)) as archive:
        assert sorted(member.name for member in archive.members()) == sorted(names)


def test_utf8_name_without_its_flag_is_read_as_macos_meant_it(tmp_path):
    path = make(tmp_path / "mac.zip", {"Kätzchen/1.jpg": b"1"})
    set_zip_field(path, 6, 8, 0)
    assert read_one(path, "Kätzchen/1.jpg") == b"1"


def test_old_dos_name_is_read_by_its_code_page(tmp_path):
    path = make(tmp_path / "dos.zip", {"K@tzchen/1.jpg": b"1"})
    path.write_bytes(path.read_bytes().replace(b"K@", b"K\x84"))
    assert read_one(path, "Kätzchen/1.jpg") == b"1"


def test_tar_name_that_no_table_could_hold_is_percent_escaped(tmp_path):
    info = tarfile.TarInfo("cats\n/a\udcff.jpg")
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as archive:
        archive.addfile(info)
    with open_archive(tmp_path / "a.tar") as archive:
        assert [member.name for member in archive.members()] == ["cats%0A/a%FF.jpg"]
        assert archive.read("cats%0A/a%FF.jpg") == b""


@pytest.mark.parametrize("kind", KINDS)
@given(
    changes=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=5),
    cut=st.integers(0, 9),
)
def test_damaged_archive_is_refused_or_read(tmp_path_factory, kind, changes, cut):
    path = make(tmp_path_factory.getbasetemp() / f"fuzz.{kind}", CONTENT, kind)
    data = bytearray(path.read_bytes())
    for position, value in changes:
        data[position % len(data)] = value
    path.write_bytes(data[: len(data) - (cut - 5 if cut > 5 else 0)])
    try:
        with open_archive(path) as archive:
            results = list(archive.read_all())
    except UserError:
        return
    assert all(isinstance(result, (bytes, BadImage)) for _, result in results)


@pytest.mark.parametrize(
    ("name", "members"),
    [("rps.zip", 2520), ("rps-test-set.zip", 372), ("horse-or-human.zip", 1027), ("cats_and_dogs_filtered.zip", None)],
)
def test_real_archive_is_listed_and_read(name, members, convnet_data):
    with open_archive(convnet_data / name) as archive:
        names = [member.name for member in archive.members()]
        assert members in (None, len(names))
        assert archive.read(names[0])[:2] == b"\xff\xd8"


@pytest.mark.parametrize(
    ("value", "fault"), [(b"1" * 40_000, "a header is too long"), (b"x" + b"1" * 9_000, "a number of 100 digits")]
)
def test_extended_header_of_digits_is_refused_in_no_time(tmp_path: Path, value: bytes, fault: str) -> None:
    # tarfile searches it in a time that grows with the square of the digits.
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, len(value)
    padding = bytes(-len(value) % 512)
    path = tmp_path / "digits.tar.gz"
    path.write_bytes(gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + value + padding + bytes(1024)))
    start = time.process_time()
    with pytest.raises(UserError, match=fault):
        open_archive(path)
    assert time.process_time() - start < 1


def test_long_names_and_many_attributes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "names.tar.gz"
    name = "/".join(["folder" * 10] * 20) + "/1.png"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        for index in range(3):
            info = tarfile.TarInfo(f"{index}/{name}")
            info.pax_headers = {f"LIBARCHIVE.xattr.{i}": "value" * 20 for i in range(20)}
            tar.addfile(info, io.BytesIO(b""))
    with open_archive(path) as archive:
        assert [member.name for member in archive.members()] == [f"{index}/{name}" for index in range(3)]


def test_more_members_than_the_bytes_can_hold_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for number in range(21_000):
            archive.addfile(tarfile.TarInfo(f"c/{number}"))
    with pytest.raises(UserError, match="holds more than 20,000 files and folders"):
        open_archive(path)


def test_backslashes_of_a_windows_archive_are_folders(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("pets\\cat\\1.jpg", "pets\\dog\\1.jpg"):
            info = zipfile.ZipInfo("x")
            info.filename, info.create_system = name, 0
            archive.writestr(info, b"x")
    with open_archive(path) as opened:
        assert [member.name for member in opened.members()] == ["pets/cat/1.jpg", "pets/dog/1.jpg"]
