"""The archives of real situations beside CONVNET_DATA, where they exist."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from convnet.data.archives import open_archive
from convnet.data.class_folders import Reading, read_layout
from convnet.data.label_names import NamePattern
from convnet.system.errors import UserError

BY_NAME = Reading(label=NamePattern.parse("{label}.{number}", "label", "--label-from-name"))
READ = {
    "cat_and_dog.tgz": (Reading(), {"train": 40, "test": 20}),
    "dogs-vs-cats.zip": (BY_NAME, {"train": 16}),
    "dogs_vs_cats.tgz": (BY_NAME, {"train": 40}),
    "hh_course.tgz": (Reading(), {"train": 24, "validation": 12}),
    "inspection_split.tgz": (Reading(), {"train": 40, "test": 16}),
    "patients.tgz": (Reading(group_by_folder=True), {None: 48}),
    "rockpaperscissors.tgz": (Reading(ignore=("rps-cv-images",)), {None: 24}),
    "split_words.tgz": (Reading(), {"train": 24, "validation": 10, "test": 10}),
    "train_test_unknown.tgz": (Reading(), {"train": 40}),
    "wrapped.zip": (Reading(), {None: 16}),
}
REFUSED = {"patients.tgz": "--group-by-folder", "rockpaperscissors.tgz": "--ignore rps-cv-images"}
PROPOSED = ("dogs-vs-cats.zip", "dogs_vs_cats.tgz")


@pytest.fixture(scope="module")
def field(convnet_data: Path) -> Path:
    folder = convnet_data.resolve().parent / "field"
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist: it holds the archives of real situations")
    return folder


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("unpacked", [False, True])
def test_situation_is_read_or_refused_with_the_option(name: str, unpacked: bool, field: Path, tmp_path: Path) -> None:
    if not (field / name).is_file():
        pytest.skip(f"{name} is not in {field}")
    path = field / name
    if unpacked:  # as a folder that the download stage packs
        folder = tmp_path / "unpacked"
        shutil.unpack_archive(path, folder, "zip" if name.endswith(".zip") else "gztar")
        path = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", folder))
    with open_archive(path) as archive:
        members, folders = archive.members(), archive.folders()
    if name in REFUSED:
        with pytest.raises(UserError, match=REFUSED[name]):
            read_layout(members, folders)
    if name in PROPOSED:
        assert "--label-from-name '{label}.{number}'" in (read_layout(members, folders).proposal or "")
    reading, counts = READ[name]
    layout = read_layout(members, folders, reading)
    assert Counter(image.official_split for image in layout.images) == counts
    assert layout.empty_classes == []
