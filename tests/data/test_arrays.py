import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from convnet.data.arrays import load_arrays, prepare_arrays
from convnet.data.decoding import DEFAULT_LIMITS, load_image
from convnet.data.manifest import build_manifest
from convnet.data.splits import SPLITS
from convnet.params.data import Split
from convnet.system.csv_tables import write_csv
from convnet.system.errors import UserError
from convnet.system.files import read_json
from helpers.tiny_dataset import encoded, picture, write_archive, write_dataset
from helpers.tiny_study import run_stage, write_params

RULES = Split(
    validation=0.2, test=0.2, test_from_validation=0.5, seed=0, near_duplicate_distance=8, repair_leaks=False,
    strict=False,
)  # fmt: skip
SIZE = (12, 16)  # height, width


def _members(count: int = 10) -> dict[str, bytes]:
    return {
        f"{name}/{index:03}.png": encoded(picture(1000 * label + index, (20 + index, 30)))
        for label, name in enumerate(("cat", "dog"))
        for index in range(count)
    }


def _prepared(folder: Path, archive: str = "a.zip", count: int = 10) -> tuple[dict[str, bytes], pd.DataFrame, Path]:
    members = _members(count) | {"cat/bad.png": b"no image", "cat/copy.png": encoded(picture(3, (23, 30)))}
    archives = write_dataset(folder / "archives", {archive: dict(reversed(members.items()))})
    rows, _ = build_manifest(archives, limits=DEFAULT_LIMITS, split=RULES)
    prepare_arrays(rows, archives, SIZE, DEFAULT_LIMITS, folder / "arrays")
    return members, rows, folder / "arrays"


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("archive", ["a.zip", "a.tar.gz"])
def test_arrays_hold_every_image_in_manifest_order(tmp_path: Path, archive: str) -> None:
    members, rows, folder = _prepared(tmp_path, archive)
    for split in SPLITS:
        arrays = load_arrays(folder, split)
        expected = rows[rows["split"] == split]
        assert arrays.members == expected["member"].tolist()
        assert arrays.labels.tolist() == [["cat", "dog"].index(name) for name in expected["class"]]
        assert arrays.groups.tolist() == expected["group"].tolist()
        assert (arrays.labels.dtype, arrays.groups.dtype, arrays.images.dtype) == (np.int64, np.int64, np.uint8)
        assert isinstance(arrays.images, np.memmap)
        assert arrays.images.shape == (len(expected), *SIZE, 3)
        for image, name in zip(arrays.images, expected["member"], strict=True):
            np.testing.assert_array_equal(image, load_image(members[name], name, SIZE, DEFAULT_LIMITS))


def test_first_image_is_what_pillow_makes_of_it(tmp_path: Path) -> None:
    members, _, folder = _prepared(tmp_path)
    arrays = load_arrays(folder, "train")
    image = Image.open(io.BytesIO(members[arrays.members[0]])).convert("RGB")
    np.testing.assert_array_equal(arrays.images[0], np.asarray(image.resize((16, 12), Image.Resampling.BILINEAR)))


def test_dataset_file_says_what_is_there(tmp_path: Path) -> None:
    _, rows, folder = _prepared(tmp_path)
    dataset = read_json(folder / "dataset.json")
    digest = dataset.pop("digest")
    assert len(digest) == 64
    assert dataset == {
        "dataset": "tiny", "kind": "rendered", "classes": ["cat", "dog"], "image_size": [12, 16],
        "images": {"grey_range": [0, 65535], "background": "white", "resize": "stretch"},
        "counts": {split: sum(rows["split"] == split) for split in SPLITS},
    }  # fmt: skip


def test_equal_input_gives_equal_bytes_in_one_process_or_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, several = _prepared(tmp_path / "a", count=110)
    monkeypatch.setattr("convnet.data.arrays.FEWEST_FOR_PROCESSES", 10_000)
    _, _, one = _prepared(tmp_path / "b", count=110)
    assert len(_files(one)) == 13
    assert _files(several) == _files(one)


def test_digest_changes_with_a_pixel_and_with_a_split(tmp_path: Path) -> None:
    members, rows, folder = _prepared(tmp_path)
    archives = tmp_path / "archives"
    before = read_json(folder / "dataset.json")["digest"]
    changed = picture(0, (20, 30))
    changed.putpixel((10, 10), (255, 0, 0))
    write_archive(archives / "a.zip", members | {"cat/000.png": encoded(changed)})
    assert prepare_arrays(rows, archives, SIZE, DEFAULT_LIMITS, folder)["digest"] != before
    write_archive(archives / "a.zip", members)
    assert prepare_arrays(rows, archives, SIZE, DEFAULT_LIMITS, folder)["digest"] == before
    rows.loc[0, "split"] = "test" if rows["split"][0] != "test" else "train"
    assert prepare_arrays(rows, archives, SIZE, DEFAULT_LIMITS, folder)["digest"] != before


def test_batch_larger_than_the_training_set_is_told_before_anything_is_packed(tmp_path: Path) -> None:
    archives = write_dataset(tmp_path / "archives", {"a.zip": _members()})
    rows, _ = build_manifest(archives, limits=DEFAULT_LIMITS, split=RULES)
    write_csv(tmp_path / "manifest.csv", rows)
    images = sum(rows["split"] == "train")
    command = ("prepare", "--dataset", "tiny", "archives", "manifest.csv", "arrays")
    for batch_size, code in ((images + 1, 2), (images, 0)):
        write_params(tmp_path, {"transfer.batch_size": batch_size, "sweep.enabled": False})
        done = run_stage(tmp_path, *command)
        assert done.returncode == code, done.stderr
        assert (tmp_path / "arrays").exists() == (code == 0)
        told = f"error: tiny/transfer: batch_size is {batch_size}, but there are only {images} training images"
        assert done.stderr.startswith(told) == (code == 2)


def test_image_that_is_gone_is_told_and_nothing_whole_is_left(tmp_path: Path) -> None:
    members, rows, folder = _prepared(tmp_path)
    write_archive(
        tmp_path / "archives" / "a.zip", {name: data for name, data in members.items() if "dog/00" not in name}
    )
    with pytest.raises(UserError, match="10 images of the manifest have left the archives"):
        prepare_arrays(rows, tmp_path / "archives", SIZE, DEFAULT_LIMITS, folder)
    with pytest.raises(UserError, match=r"dataset\.json is missing"):
        load_arrays(folder, "train")
    assert not [path for path in folder.rglob("*") if "partial" in path.name]


def test_image_that_is_damaged_since_is_told(tmp_path: Path) -> None:
    members, rows, folder = _prepared(tmp_path)
    write_archive(tmp_path / "archives" / "a.zip", members | {"dog/001.png": b"x"})
    with pytest.raises(UserError, match=r"dog/001\.png in a\.zip was accepted .* cannot be read now"):
        prepare_arrays(rows, tmp_path / "archives", SIZE, DEFAULT_LIMITS, folder)


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "groups.npy", "members.json"])
def test_missing_file_is_told(tmp_path: Path, name: str) -> None:
    _, _, folder = _prepared(tmp_path)
    (folder / "train" / name).unlink()
    with pytest.raises(UserError, match=f"{name} is missing; run `dvc repro`"):
        load_arrays(folder, "train")


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "groups.npy"])
@pytest.mark.parametrize("keep", [0, 5, 100, -8])
def test_shortened_array_is_told(tmp_path: Path, name: str, keep: int) -> None:
    _, _, folder = _prepared(tmp_path)
    path = folder / "train" / name
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=f"{name} is damaged"):
        load_arrays(folder, "train")


def test_array_of_another_run_is_told(tmp_path: Path) -> None:
    _, _, folder = _prepared(tmp_path)
    np.save(folder / "train" / "labels.npy", np.zeros(3, dtype=np.int64))
    with pytest.raises(UserError, match=r"labels\.npy is damaged \(int64 \(3,\) instead of int64 "):
        load_arrays(folder, "train")
