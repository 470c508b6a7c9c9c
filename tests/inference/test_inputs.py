"""Which files of a folder are taken for the images of a user."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from convnet.data.image_faults import BadImage
from convnet.inference.inputs import find_places, folder_files, read_places
from convnet.inference.outputs import check_file
from convnet.system.errors import UserError
from convnet.system.files import atomic_path
from helpers.tiny_dataset import encoded, picture, write_archive


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    folder = tmp_path / "pets"
    for name in ("cats/1.png", "cats/2.png", "dogs/1.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(picture(1)))
    (tmp_path / "secret.png").write_bytes(encoded(picture(2)))
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "1.png").write_bytes(encoded(picture(3)))
    return folder


def test_files_and_folders_are_listed_sorted_without_hidden_ones(pets: Path) -> None:
    for name in ("cats/.DS_Store", ".git/config", "dogs/Thumbs.db"):
        (pets / name).parent.mkdir(exist_ok=True)
        (pets / name).write_bytes(b"")
    (pets / "dogs" / "puppies").mkdir()
    assert folder_files(pets) == (["cats/1.png", "cats/2.png", "dogs/1.png"], ["cats", "dogs", "dogs/puppies"])


def test_link_inside_is_followed_and_links_that_lead_out_are_skipped_and_told(
    pets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pets / "cats" / "3.png").symlink_to("../dogs/1.png")
    (pets / "cats" / "out\x1b[2J.png").symlink_to(pets.parent / "secret.png")
    (pets / "cats" / "up.png").symlink_to("../../secret.png")
    (pets / "cats" / "nowhere.png").symlink_to("none.png")
    (pets / "cats" / "itself.png").symlink_to("itself.png")
    (pets / "more").symlink_to(pets.parent / "secrets")
    files, folders = folder_files(pets)
    assert files == ["cats/1.png", "cats/2.png", "cats/3.png", "dogs/1.png"]
    assert folders == ["cats", "dogs"]
    told = capsys.readouterr().err
    assert told == f"{pets}: links and special files skipped: 5, for example 'cats/itself.png'\n"


def test_what_links_lead_to_outside_is_never_read(pets: Path) -> None:
    (pets / "cats" / "out.png").symlink_to(pets.parent / "secret.png")
    contents = [content for _, content in read_places(find_places([pets]))]
    assert contents == [encoded(picture(1))] * 3


def test_folder_and_file_that_are_named_may_be_links(pets: Path) -> None:
    (pets.parent / "folder").symlink_to(pets)
    (pets.parent / "file.png").symlink_to("secret.png")
    places = find_places([pets.parent / "folder", pets.parent / "file.png"])
    assert [Path(place.path).name for place in places] == ["1.png", "2.png", "1.png", "file.png"]
    assert [content for _, content in read_places(places)][-1] == encoded(picture(2))


@pytest.mark.parametrize("named", [True, False])
def test_file_larger_than_a_picture_takes_no_memory_though_it_begins_like_a_tar(tmp_path: Path, named: bool) -> None:
    """It says that an extended header of 300 MiB follows, which `tarfile.is_tarfile` reads in one piece."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 300 * 2**20
    with (tmp_path / "x.jpg").open("wb") as file:
        file.write(info.tobuf())
        file.truncate(310 * 2**20)
    code = f"""
from pathlib import Path
from convnet.inference.inputs import find_places, read_places
# Not getrusage: a child begins with the peak of the process it was forked from.
peak = lambda: int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024
before = peak()
print(*(content for _, content in read_places(find_places([Path({str(tmp_path / "x.jpg" if named else tmp_path)!r})]))))
print(peak() - before)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    said, growth = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).splitlines()
    assert ("is damaged or cut off" if named else "an archive inside a folder is not opened") in said
    assert int(growth) < 50  # MiB


def test_large_file_that_is_no_archive_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "x.jpg").open("wb") as file:
        file.write(b"\xff\xd8\xff")
        file.truncate(310 * 2**20)
    ((_, content),) = read_places(find_places([tmp_path / "x.jpg"]))
    assert isinstance(content, BadImage)
    assert str(content) == "325,058,560 bytes, more than the allowed 268,435,456"


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_archive_inside_a_folder_is_told_and_not_opened(pets: Path, suffix: str) -> None:
    write_archive(pets / f"more{suffix}", {"cats/9.png": encoded(picture(9))})
    (pets / f"more{suffix}").rename(pets / "more.png")
    contents = dict(read_places(find_places([pets])))
    told = [str(content) for content in contents.values() if isinstance(content, BadImage)]
    assert told == ["an archive inside a folder is not opened; give its path"]


def test_output_is_a_regular_file_or_a_new_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "file.csv").write_text("x")
    (tmp_path / "link.csv").symlink_to(tmp_path / "file.csv")
    (tmp_path / "broken.csv").symlink_to(tmp_path / "nowhere")
    for bad in (Path("/dev/null"), tmp_path / "pipe", tmp_path / "null", tmp_path):
        with pytest.raises(UserError, match=r"--output .* is a"):
            check_file(bad)
    for good in ("file.csv", "link.csv", "broken.csv", "new/out.csv"):
        check_file(tmp_path / good)
    with atomic_path(tmp_path / "link.csv") as temporary:  # a link into DVC's cache must not change the cache
        temporary.write_text("new")
    assert (tmp_path / "file.csv").read_text() == "x"
