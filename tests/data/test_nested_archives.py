"""Archives inside an archive: read in place, one level deep, within the same limits."""

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from convnet.data.archive_base import ArchiveLimits
from convnet.data.archives import open_archive
from convnet.data.class_folders import read_layout
from convnet.data.image_faults import BadImage
from convnet.system.errors import UserError

IMAGES = {f"{label}/{number}.jpg": f"{label}{number}".encode() * 500 for label in "ab" for number in range(4)}


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(members: Mapping[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def stored(members: Mapping[str, bytes]) -> bytes:
    return zipped(members, zipfile.ZIP_STORED)


def plain_tar(members: Mapping[str, bytes]) -> bytes:
    return tarred(members, "w:")


def written(folder: Path, content: bytes) -> Path:
    path = folder / "download"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("outer", [zipped, stored, tarred, plain_tar])
@pytest.mark.parametrize(
    ("inner", "suffix"),
    [(zipped, ".zip"), (stored, ".ZIP"), (tarred, ".tar.gz"), (tarred, ".tgz"), (plain_tar, ".tar")],
)
def test_members_of_inner_archives_are_read(outer, inner, suffix, tmp_path):
    content = outer({f"train{suffix}": inner(IMAGES), f"test{suffix}": inner(IMAGES), "list.csv": b"id,label\n"})
    with open_archive(written(tmp_path, content)) as archive:
        names = [member.name for member in archive.members()]
        assert names == ["list.csv", *(f"{part}/{name}" for part in ("test", "train") for name in IMAGES)]
        assert archive.read("test/b/3.jpg") == IMAGES["b/3.jpg"]
        assert archive.read("train/a/0.jpg") == IMAGES["a/0.jpg"]
        found = dict(archive.read_all())
        assert {name: found[f"train/{name}"] for name in IMAGES} == IMAGES
        layout = read_layout(archive.members(), archive.folders())
    assert {(image.class_name, image.official_split) for image in layout.images} == {
        ("a", "train"), ("b", "train"), ("a", "test"), ("b", "test"),
    }  # fmt: skip


def test_archive_beside_images_stays_a_file(tmp_path):
    with open_archive(written(tmp_path, zipped(IMAGES | {"more.zip": zipped(IMAGES)}))) as archive:
        assert "more.zip" in [member.name for member in archive.members()]


def test_second_level_stays_a_file(tmp_path):
    with open_archive(written(tmp_path, zipped({"a.zip": zipped({"b.zip": zipped(IMAGES)})}))) as archive:
        assert [member.name for member in archive.members()] == ["a/b.zip"]


def test_file_that_only_looks_like_an_archive_stays_a_file(tmp_path):
    with open_archive(written(tmp_path, zipped({"a.zip": b"no archive", "b.zip": zipped(IMAGES)}))) as archive:
        assert archive.read("a.zip") == b"no archive"
        assert len(archive.members()) == 1 + len(IMAGES)


def test_damaged_inner_archive_is_named(tmp_path):
    with pytest.raises(UserError, match=r"train\.zip in the archive .* is damaged or cut off"):
        open_archive(written(tmp_path, zipped({"train.zip": zipped(IMAGES)[:-30]})))


def test_damaged_inner_member_costs_one_image(tmp_path):
    inner = stored(IMAGES).replace(IMAGES["a/1.jpg"], b"x" * len(IMAGES["a/1.jpg"]))
    with open_archive(written(tmp_path, stored({"train.zip": inner}))) as archive:
        faults = [name for name, content in archive.read_all() if isinstance(content, BadImage)]
    assert faults == ["train/a/1.jpg"]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"maximum_members": 12}, "holds more than"),
        ({"maximum_bytes": 10_000}, "brings the unpacked size above"),
        ({"ratio_floor": 100, "maximum_ratio": 5.0}, "unpack"),
    ],
)
def test_limits_hold_for_all_inner_archives_together(limits, message, tmp_path):
    content = stored({"a.zip": zipped(IMAGES), "b.zip": zipped(IMAGES)})
    with pytest.raises(UserError, match=message):
        open_archive(written(tmp_path, content), ArchiveLimits(**limits))


def test_same_name_in_a_folder_and_an_archive_is_refused(tmp_path):
    with pytest.raises(UserError, match="is there twice"):
        open_archive(written(tmp_path, stored({"a.zip": zipped({"1": b"x"}), "a/1": b"y"})))


def test_many_archives_in_a_compressed_tar_are_refused(tmp_path: Path) -> None:
    members = {"pad.bin": bytes(15_000_000)} | {f"{number}.zip": zipped(IMAGES) for number in range(100)}
    with pytest.raises(UserError, match=r"100 archives inside a tar\.gz takes too long; unpack it and give the folder"):
        open_archive(written(tmp_path, tarred(members)))
