"""The archives of real situations beside CONVNET_DATA, where they exist."""

import importlib.util
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from convnet.data.archives import open_archive
from convnet.data.class_folders import Reading, read_layout
from convnet.data.decoding import DEFAULT_LIMITS, decode
from convnet.data.image_faults import BadImage
from convnet.data.label_names import NamePattern
from convnet.data.manifest import build_manifest
from convnet.params.data import Images
from convnet.system.errors import UserError
from convnet.system.files import write_json
from helpers.tiny_dataset import RULES

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


def manifest_of(path: Path, folder: Path, limits: Images = DEFAULT_LIMITS, **reading: Any) -> tuple[Any, dict]:
    if not path.is_file():
        pytest.skip(f"{path.name} is not in {path.parent}")
    folder.mkdir(exist_ok=True)
    shutil.copyfile(path, folder / path.name)
    sources = {"dataset": "own", "kind": "photographs", "sources": [{"file": path.name, "split": None}]}
    write_json(folder / "sources.json", sources | ({"reading": reading} if reading else {}))
    return build_manifest(folder, limits=limits, split=RULES)


def test_inspection_images_are_no_copies_and_keep_their_shares(field: Path, tmp_path: Path) -> None:
    manifest, summary = manifest_of(field / "inspection.tgz", tmp_path)
    assert (summary["duplicates"]["exact_pairs"], summary["duplicates"]["near_pairs"]) == (0, 0)
    assert manifest["split"].value_counts().to_dict() == {"train": 36, "validation": 12, "test": 12}


def test_clips_of_a_fixed_camera_are_proposed_as_groups(field: Path, tmp_path: Path) -> None:
    _, summary = manifest_of(field / "static_cam.tgz", tmp_path)
    assert any("--group-from-name '{group}_{number}'" in line for line in summary["layout"])
    manifest, summary = manifest_of(
        field / "static_cam.tgz", tmp_path, groups={"by_folder": False, "from_name": "{group}_{number}"}
    )
    assert summary["groups"] == 4
    assert (manifest.groupby("group_name")["split"].nunique() == 1).all()


def test_heic_class_names_the_package(field: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("pillow_heif"):
        pytest.skip("the extra `heic` is installed")
    with pytest.raises(UserError, match=r"none of the 12 files of class 'cat' .* pip install 'convnet\[heic\]'"):
        manifest_of(field / "heic_class.tgz", tmp_path)


@pytest.mark.parametrize("background", ["white", "black", "mean"])
def test_white_icons_vanish_on_white_only(field: Path, tmp_path: Path, background: str) -> None:
    limits = DEFAULT_LIMITS.model_copy(update={"background": background})
    manifest, summary = manifest_of(field / "white_icons.tgz", tmp_path, limits)
    lost = [line for line in summary["remarks"] if line.startswith("40 images have one colour only")]
    assert bool(lost) == (background != "black")
    assert summary["duplicates"]["near_pairs"] == 0
    assert len(manifest) - manifest["sha256"].nunique() == summary["duplicates"]["exact_pairs"]


def test_xrays_of_12_bits_use_their_own_range(field: Path, tmp_path: Path) -> None:
    _, summary = manifest_of(field / "xray12.tgz", tmp_path)
    assert any("set images.grey_range to auto" in line for line in summary["remarks"])
    manifest, summary = manifest_of(
        field / "xray12.tgz", tmp_path, DEFAULT_LIMITS.model_copy(update={"grey_range": "auto"})
    )
    assert summary["remarks"] == ["16-bit grey values 0 to 1,020 become 0 to 255"]
    assert (manifest["contrast"] > 100).all()


def test_ppm_is_read(field: Path) -> None:
    if not (field / "ppm_new.tgz").is_file():
        pytest.skip(f"ppm_new.tgz is not in {field}")
    with open_archive(field / "ppm_new.tgz") as archive:
        found = [decode(content, name) for name, content in archive.read_all() if isinstance(content, bytes)]
    assert [(image.format, image.note) for image in found] == 5 * [("PPM", None)]


def test_large_scan_names_the_setting(field: Path) -> None:
    if not (field / "scan108.png").is_file():
        pytest.skip(f"scan108.png is not in {field}")
    with pytest.raises(BadImage, match=r"108,000,000 pixels, more than images\.maximum_pixels, 50,000,000"):
        decode((field / "scan108.png").read_bytes(), "scan108.png")
