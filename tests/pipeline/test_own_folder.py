"""A user's own images, as a folder, an archive or official archives, from download to packed arrays."""

import csv
import io
import json
import shutil
import subprocess
import zipfile
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.tiny_dataset import encoded, picture, write_archive
from helpers.tiny_study import run_stage, write_params

ARCHIVES, MANIFEST, SUMMARY = "data/archives/tiny", "data/splits/tiny.csv", "data/splits/tiny.summary.json"
ARRAYS = "data/arrays/tiny"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder as people have it: two classes, and what cameras, editors and systems leave beside the images."""
    folder = tmp_path / "my images"
    for number, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for i in range(10):
            (folder / name / f"{i:02}.png").write_bytes(encoded(picture(100 * number + i)))
    (folder / "cat" / "empty.jpg").write_bytes(b"")
    (folder / "cat" / "notes.jpg").write_text("buy film\n")
    (folder / "dog" / "print.jpg").write_bytes(encoded(picture(500).convert("CMYK"), "JPEG", quality=95))
    hidden = folder / "__MACOSX" / "cat"
    hidden.mkdir(parents=True)
    (hidden / "._00.png").write_bytes(b"\0\5\26\7")
    (folder / "dog" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    return folder


def test_bad_files_of_an_own_folder_are_named_in_the_manifest_and_in_one_line(tmp_path: Path, pictures: Path) -> None:
    _set_source(tmp_path, {"folder": str(pictures)})
    _run(tmp_path, "download")
    split = _run(tmp_path, "split")
    rows = _rows(tmp_path)
    rejected = {row["member"]: row for row in rows if row["verdict"] == "rejected"}
    assert set(rejected) == {"cat/empty.jpg", "cat/notes.jpg"}
    assert all(row["reason"] and not row["split"] for row in rejected.values())
    lines = [line for line in split.stderr.splitlines() if "rejected" in line]
    assert len(lines) == 1
    assert lines[0].startswith("tiny: 2 of 23 files rejected, the first is cat/empty.jpg in tiny.zip: ")
    summary = json.loads((tmp_path / SUMMARY).read_text("utf-8"))
    assert [entry["member"] for entry in summary["rejected"]] == ["cat/empty.jpg", "cat/notes.jpg"]


def test_every_good_file_of_an_own_folder_reaches_the_arrays(tmp_path: Path, pictures: Path) -> None:
    _set_source(tmp_path, {"folder": str(pictures)})
    for stage in ("download", "split", "prepare"):
        _run(tmp_path, stage)
    sources = json.loads((tmp_path / ARCHIVES / "sources.json").read_text("utf-8"))["sources"]
    assert [(entry["file"], entry["origin"]) for entry in sources] == [("tiny.zip", "folder")]
    with zipfile.ZipFile(tmp_path / ARCHIVES / "tiny.zip") as archive:
        assert not [name for name in archive.namelist() if "MACOSX" in name or "/." in name]
    members = _members(tmp_path)
    assert sorted(chain.from_iterable(members.values())) == sorted(
        [f"{name}/{i:02}.png" for name in ("cat", "dog") for i in range(10)] + ["dog/print.jpg"]
    )
    assert {split: len(names) for split, names in members.items()} == {"train": 13, "validation": 4, "test": 4}
    described = json.loads((tmp_path / ARRAYS / "dataset.json").read_text("utf-8"))
    assert described["classes"] == ["cat", "dog"]
    for split, names in members.items():
        images = np.load(tmp_path / ARRAYS / split / "images.npy")
        assert images.shape == (len(names), 16, 16, 3)
        labels = np.load(tmp_path / ARRAYS / split / "labels.npy")
        assert [described["classes"][label] for label in labels] == [name.split("/")[0] for name in names]


def test_cmyk_picture_keeps_its_colours(tmp_path: Path, pictures: Path) -> None:
    _set_source(tmp_path, {"folder": str(pictures)})
    for stage in ("download", "split", "prepare"):
        _run(tmp_path, stage)
    row = next(row for row in _rows(tmp_path) if row["member"] == "dog/print.jpg")
    assert (row["mode"], row["verdict"]) == ("CMYK", "accepted")
    members = _members(tmp_path)
    split = next(split for split, names in members.items() if "dog/print.jpg" in names)
    stored = np.load(tmp_path / ARRAYS / split / "images.npy")[members[split].index("dog/print.jpg")]
    expected = np.asarray(picture(500).resize((16, 16), Image.Resampling.BILINEAR))
    # An inverted image, the usual fault with CMYK, is over 100 away.
    assert np.abs(stored.astype(int) - expected).mean() < 20


def test_strict_refuses_a_folder_with_a_bad_file(tmp_path: Path, pictures: Path) -> None:
    _set_source(tmp_path, {"folder": str(pictures)}, {"split.strict": True})
    _run(tmp_path, "download")
    split = _run(tmp_path, "split", check=False)
    assert split.returncode == 2
    assert len(split.stderr.splitlines()) == 1
    assert "2 of 23 files" in split.stderr
    assert "cat/empty.jpg" in split.stderr
    assert not (tmp_path / MANIFEST).exists()


def test_equal_folders_give_equal_archives(tmp_path: Path, pictures: Path) -> None:
    _set_source(tmp_path, {"folder": str(pictures)})
    _run(tmp_path, "download")
    first = (tmp_path / ARCHIVES / "tiny.zip").read_bytes()
    again = tmp_path / "moved" / "my images"
    shutil.copytree(pictures, again, copy_function=shutil.copyfile)  # other dates, and written in another order
    _set_source(tmp_path, {"folder": str(again)})
    shutil.rmtree(tmp_path / "data")
    _run(tmp_path, "download")
    assert (tmp_path / ARCHIVES / "tiny.zip").read_bytes() == first


@pytest.mark.parametrize("name", ["pictures.zip", "pictures.tar.gz"])
def test_archive_may_stand_in_place_of_a_folder(tmp_path: Path, name: str) -> None:
    members = {f"all/{kind}/{i}.png": encoded(picture(50 * k + i)) for k, kind in enumerate("ab") for i in range(10)}
    write_archive(tmp_path / name, members)
    _set_source(tmp_path, {"folder": str(tmp_path / name)})
    for stage in ("download", "split", "prepare"):
        _run(tmp_path, stage)
    assert sorted(chain.from_iterable(_members(tmp_path).values())) == sorted(members)


def test_archive_that_changed_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "pictures.zip"
    members = {f"{kind}/{i}.png": encoded(picture(50 * k + i)) for k, kind in enumerate("ab") for i in range(10)}
    write_archive(path, members)
    _set_source(tmp_path, {"folder": str(path)})
    _run(tmp_path, "download")
    write_archive(path, members | {"a/more.png": encoded(picture(999))})
    shutil.rmtree(tmp_path / "data")  # as DVC does before it runs a stage again
    _run(tmp_path, "download")
    assert (tmp_path / ARCHIVES / "pictures.zip").read_bytes() == path.read_bytes()


def test_two_archives_of_one_name_are_not_mixed_up(tmp_path: Path) -> None:
    for number, folder in enumerate(("first", "second")):
        (tmp_path / folder).mkdir()
        members = {f"{kind}/{i}.png": encoded(picture(70 * number + i)) for kind in "ab" for i in range(4)}
        write_archive(tmp_path / folder / "pictures.zip", members)
    for folder in ("first", "second"):
        _set_source(tmp_path, {"folder": str(tmp_path / folder / "pictures.zip")})
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        _run(tmp_path, "download")
        official = tmp_path / folder / "pictures.zip"
        assert (tmp_path / ARCHIVES / "pictures.zip").read_bytes() == official.read_bytes()


def test_official_training_and_validation_folders_are_kept_and_test_is_cut_from_validation(tmp_path: Path) -> None:
    folder, number = tmp_path / "divided", 0
    for split, count in (("training", 8), ("val", 6)):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                number += 1
                (folder / split / name / f"{i}.png").write_bytes(encoded(picture(number)))
    _set_source(tmp_path, {"folder": str(folder)})
    for stage in ("download", "split", "prepare"):
        _run(tmp_path, stage)
    divided = Counter((row["member"].split("/")[0], row["official_split"], row["split"]) for row in _rows(tmp_path))
    assert divided == {
        ("training", "train", "train"): 16,
        ("val", "validation", "validation"): 6,
        ("val", "validation", "test"): 6,
    }


@pytest.mark.parametrize(
    ("path", "what"),
    [("nowhere", "nowhere"), ("one", "only the class"), ("flat", "no class found"), ("empty", "empty")],
)
def test_folder_that_is_no_dataset_ends_with_one_sentence(tmp_path: Path, path: str, what: str) -> None:
    for name in ("one/cat", "flat", "empty/cat", "empty/dog"):
        (tmp_path / name).mkdir(parents=True)
        if name != "empty/dog":
            for i in range(4):
                (tmp_path / name / f"{i}.png").write_bytes(encoded(picture(i)))
    _set_source(tmp_path, {"folder": str(tmp_path / path)})
    done = _run(tmp_path, "download", check=False)
    if done.returncode == 0:
        done = _run(tmp_path, "split", check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert what in done.stderr


REAL = {
    "cats_vs_dogs": {"train": 2000, "validation": 500, "test": 500},
    "horses_or_humans": {"train": 1027, "validation": 128, "test": 128},
    "rock_paper_scissors": {"train": 2520, "validation": 186, "test": 186},
}


@pytest.mark.slow
@pytest.mark.parametrize("dataset", REAL)
def test_course_dataset_is_divided_as_the_course_does(tmp_path: Path, convnet_data: Path, dataset: str) -> None:
    write_params(tmp_path, {"run.datasets": [dataset], "run.feature_variants": [], "run.fine_tune_variants": []})
    archives, manifest, summary = f"data/archives/{dataset}", "manifest.csv", "summary.json"
    download = run_stage(tmp_path, "download", "--dataset", dataset, archives)
    assert download.returncode == 0, download.stderr
    # The archives here stand in for the official ones and differ from what params.yaml pins: the user must know.
    for source in json.loads((tmp_path / archives / "sources.json").read_text("utf-8"))["sources"]:
        assert source["origin"] == "redirected"
        assert source["bytes"] == (convnet_data / source["file"]).stat().st_size
        assert f"{dataset}: {source['file']}: not the official file: pinned" in download.stderr
    split = run_stage(tmp_path, "split", "--dataset", dataset, archives, manifest, summary)
    assert split.returncode == 0, split.stderr
    with (tmp_path / manifest).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["split"] for row in rows) == REAL[dataset]
    assert not [row["member"] for row in rows if row["split"] == "train" and row["official_split"] != "train"]
    assert not [row["member"] for row in rows if row["split"] != "train" and row["official_split"] != "validation"]


def test_odd_files_of_the_real_world_end_in_the_manifest(tmp_path: Path, convnet_data: Path) -> None:
    folder = tmp_path / "odd"
    shutil.copytree(convnet_data.parent / "odd_images", folder / "odd", copy_function=shutil.copyfile)
    (folder / "odd").chmod(0o755)
    (folder / "even").mkdir()
    for i in range(10):
        (folder / "even" / f"{i}.png").write_bytes(encoded(picture(i)))
    _set_source(tmp_path, {"folder": str(folder)})
    for stage in ("download", "split", "prepare"):
        _run(tmp_path, stage)
    rows = {row["member"]: row for row in _rows(tmp_path)}
    given = {f"odd/{path.name}" for path in (folder / "odd").iterdir() if not path.name.startswith(".")}
    assert given <= set(rows)
    assert {rows[name]["verdict"] for name in given} == {"accepted", "rejected"}
    assert all(row["reason"] for row in rows.values() if row["verdict"] == "rejected")


def _set_source(folder: Path, source: dict[str, Any], changes: dict[str, Any] | None = None) -> None:
    write_params(folder, {"datasets.tiny.source": source, "datasets.tiny.kind": "photographs", **(changes or {})})


def _run(folder: Path, stage: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    paths = {
        "download": [ARCHIVES],
        "split": [ARCHIVES, MANIFEST, SUMMARY],
        "prepare": [ARCHIVES, MANIFEST, ARRAYS],
    }
    done = run_stage(folder, stage, "--dataset", "tiny", *paths[stage])
    assert not check or done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done


def _rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / MANIFEST).read_text("utf-8"), newline="")))


def _members(folder: Path) -> dict[str, list[str]]:
    splits = ("train", "validation", "test")
    return {split: json.loads((folder / ARRAYS / split / "members.json").read_text("utf-8")) for split in splits}
