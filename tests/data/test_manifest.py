import hashlib
import io
from collections import Counter
from pathlib import Path
from typing import Any

import imagehash
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from PIL import Image, ImageOps

from convnet.data.decoding import DEFAULT_LIMITS
from convnet.data.manifest import COLUMNS, build_manifest
from convnet.data.split_summary import duplicates_line, rejected_line
from convnet.params.data import Split
from convnet.system.csv_tables import read_csv, write_csv
from convnet.system.errors import UserError
from convnet.system.files import read_json, write_json
from helpers.tiny_dataset import encoded, picture, write_dataset, write_sources

RULES = Split(
    validation=0.2, test=0.2, test_from_validation=0.5, seed=0, near_duplicate_distance=8, repair_leaks=False,
    strict=False,
)  # fmt: skip


def built(archives: Path, split: Split = RULES) -> tuple[pd.DataFrame, dict[str, Any]]:
    return build_manifest(archives, limits=DEFAULT_LIMITS, split=split)


def _cells(manifest: pd.DataFrame, column: str) -> dict[str, object]:
    """One column by member name."""
    return dict(zip(manifest["member"], manifest[column].tolist(), strict=True))


def _members(count: int = 10, first: int = 0, folder: str = "") -> dict[str, bytes]:
    return {
        f"{folder}{name}/{index:03}.png": encoded(picture(first + 1000 * label + index))
        for label, name in enumerate(("cat", "dog"))
        for index in range(count)
    }


def test_rows_tell_what_the_files_are(tmp_path: Path) -> None:
    members = _members() | {"cat/grey.jpg": encoded(picture(5000, (31, 50)).convert("L"), "JPEG")}
    rows, summary = built(write_dataset(tmp_path, {"a.zip": members}))
    assert rows["member"].tolist() == sorted(members)
    name = "cat/grey.jpg"
    index = sorted(members).index(name)
    row = rows.iloc[index]
    assert row[["archive", "class", "verdict", "reason"]].tolist() == ["a.zip", "cat", "accepted", ""]
    assert row[["width", "height", "mode", "bytes"]].tolist() == [31, 50, "L", len(members[name])]
    assert row["sha256"] == hashlib.sha256(members[name]).hexdigest()
    assert row["phash"] == str(imagehash.phash(Image.open(io.BytesIO(members[name]))))
    assert row["group"] == index
    assert summary["counts"] == {
        "train": {"cat": 7, "dog": 6}, "validation": {"cat": 2, "dog": 2}, "test": {"cat": 2, "dog": 2},
    }  # fmt: skip
    assert summary["counts"] == {
        split: dict(Counter(rows.loc[rows["split"] == split, "class"])) for split in ("train", "validation", "test")
    }
    assert summary["classes"] == ["cat", "dog"]
    assert summary["image_sizes"] == {"smallest": [50, 31], "median": [40, 48], "largest": [40, 48]}
    assert summary["bytes_total"] == sum(map(len, members.values()))
    assert rejected_line(summary) is None
    assert duplicates_line(summary) is None


def test_zip_and_tar_of_one_content_give_one_manifest(tmp_path: Path) -> None:
    members = _members()
    backwards = dict(reversed(members.items()))
    from_zip, _ = built(write_dataset(tmp_path / "z", {"a.zip": members}))
    from_tar, _ = built(write_dataset(tmp_path / "t", {"a.tar.gz": backwards}), RULES)
    assert_frame_equal(from_tar.assign(archive="a.zip").astype(COLUMNS), from_zip)


def test_many_images_in_several_processes_give_the_same_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_dataset(tmp_path, {"a.zip": _members(110), "b.tar.gz": _members(10, 500, "more/")})
    in_processes, summary = built(folder)
    monkeypatch.setattr("convnet.data.inspection.FEWEST_FOR_PROCESSES", 10_000)
    alone, same = built(folder)
    assert_frame_equal(alone, in_processes)
    assert same == summary


def test_damaged_and_foreign_files_are_rejected_with_a_reason(tmp_path: Path) -> None:
    jpeg = encoded(picture(7), "JPEG")
    members = _members() | {
        "cat/cut.jpg": jpeg[: len(jpeg) // 2],
        "cat/notes.txt": b"the cats were photographed in May",
        "dog/empty.png": b"",
        "dog/small.png": encoded(picture(8, (4, 40))),
        "dog/gif.png": encoded(picture(9), "GIF"),
    }
    rows, summary = built(write_dataset(tmp_path, {"a.zip": members}))
    rejected = rows[rows["verdict"] == "rejected"]
    assert set(rejected["member"]) == {"cat/cut.jpg", "cat/notes.txt", "dog/empty.png", "dog/small.png"}
    for row in rejected.to_dict("records"):
        assert [row[name] for name in ("split", "phash", "width", "height", "mode")] == ["", "", 0, 0, ""]
        assert row["reason"]
        assert row["sha256"] == hashlib.sha256(members[row["member"]]).hexdigest()
    assert summary["rejected"] == rejected[["archive", "member", "reason"]].to_dict("records")
    assert [note["member"] for note in summary["notes"]] == ["dog/gif.png"]
    line = rejected_line(summary)
    assert line is not None
    assert line.startswith("tiny: 4 of 25 files rejected, the first is cat/cut.jpg in a.zip: truncated")


def test_strict_names_the_first_rejected_file_and_how_many(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, {"a.zip": _members() | {"cat/bad.png": b"x", "dog/bad.png": b"x"}})
    with pytest.raises(UserError, match=r"^2 of 22 files are not usable as images, the first is cat/bad\.png in"):
        built(folder, RULES.model_copy(update={"strict": True}))


def test_class_without_a_usable_image_is_told(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, {"a.zip": _members() | {"bird/1.png": b"x"}})
    with pytest.raises(UserError, match=r"none of the 1 files of class 'bird' .* is 1\.png: text file"):
        built(folder)


def test_picture_in_no_class_folder_is_told_and_a_read_me_is_not(tmp_path: Path) -> None:
    loose = {"photo.JPG": encoded(picture(9), "JPEG"), "README.txt": b"about cats and dogs"}
    rows, summary = built(write_dataset(tmp_path, {"a.zip": _members() | loose}), RULES)
    assert len(rows) == 21
    assert summary["rejected"] == [{"archive": "a.zip", "member": "photo.JPG", "reason": "is in no class folder"}]


def test_folders_give_the_official_division_and_a_source_overrides_them(tmp_path: Path) -> None:
    archives = {
        "a.zip": _members(6, 0, "train/") | _members(4, 100, "val/"),
        "b.zip": _members(3, 200, "train/") | _members(2, 300, "validation/"),
    }
    rows, summary = built(write_dataset(tmp_path, archives, {"b.zip": "test"}), RULES)
    assert rows["split"].tolist() == rows["official_split"].tolist()
    assert Counter(zip(rows["archive"], rows["split"], strict=True)) == {
        ("a.zip", "train"): 12, ("a.zip", "validation"): 8, ("b.zip", "test"): 10,
    }  # fmt: skip
    assert summary["counts"]["test"] == {"cat": 5, "dog": 5}


def test_copies_are_grouped_and_counted(tmp_path: Path) -> None:
    members = _members()
    members["cat/copy.png"] = members["cat/003.png"]
    members["cat/mirror.png"] = encoded(ImageOps.mirror(picture(4)))
    members["dog/small.jpg"] = encoded(picture(2).resize((36, 30)), "JPEG", quality=60)  # shows a cat
    rows, summary = built(write_dataset(tmp_path, {"a.zip": members}))
    place = {name: index for index, name in enumerate(rows["member"])}
    groups = _cells(rows, "group")
    assert groups["cat/copy.png"] == groups["cat/003.png"] == place["cat/003.png"]
    assert groups["cat/mirror.png"] == groups["cat/004.png"] == place["cat/004.png"]
    assert groups["dog/small.jpg"] == groups["cat/002.png"] == place["cat/002.png"]
    assert (rows.groupby("group")["split"].nunique() == 1).all()
    assert summary["duplicates"] == {
        "exact_pairs": 1,
        "near_pairs": 2,
        "groups": [
            ["cat/002.png", "dog/small.jpg"],
            ["cat/003.png", "cat/copy.png"],
            ["cat/004.png", "cat/mirror.png"],
        ],
        "across_splits": 0,
        "two_labels": [["cat/002.png", "dog/small.jpg"]],
    }
    line = duplicates_line(summary)
    assert line == "tiny: 1 pairs of one image have two labels, the first is cat/002.png and dog/small.jpg"


def test_leak_is_reported_and_repaired_only_on_demand(tmp_path: Path) -> None:
    train, test = _members(8, 0, "train/"), _members(4, 100, "test/")
    test["test/cat/leak.jpg"] = encoded(picture(5), "JPEG", quality=40)  # train/cat/005.png
    folder = write_dataset(tmp_path, {"a.zip": train | test | _members(4, 200, "validation/")})
    rows, summary = built(folder)
    assert summary["duplicates"]["across_splits"] == 1
    assert "repair_leaks" in (duplicates_line(summary) or "")
    assert rows["split"].tolist() == rows["official_split"].tolist()

    rows, summary = built(folder, RULES.model_copy(update={"repair_leaks": True, "strict": True}))
    assert rows.loc[rows["verdict"] == "rejected", ["member", "reason"]].to_numpy().tolist() == [
        ["train/cat/005.png", "shows the same image as test/cat/leak.jpg in test, left out by split.repair_leaks"]
    ]
    assert summary["duplicates"]["across_splits"] == 0
    assert summary["counts"]["train"] == {"cat": 7, "dog": 8}
    assert duplicates_line(summary) is None


def test_missing_archive_is_told(tmp_path: Path) -> None:
    write_sources(tmp_path, {"a.zip": None})
    with pytest.raises(UserError, match=r"a\.zip is missing"):
        built(tmp_path)


def test_odd_member_names_reach_table_and_summary_as_they_are(tmp_path: Path) -> None:
    odd = ['cat/=HYPERLINK("x").png', "cat/'@a,b.png", "cat/été ☃.png", "cat/100%25.png"]
    members = _members() | {name: encoded(picture(6000 + index)) for index, name in enumerate(odd)}
    rows, summary = built(write_dataset(tmp_path, {"a.zip": members}))
    write_csv(tmp_path / "out" / "tiny.csv", rows)
    write_json(tmp_path / "summary.json", summary)
    assert_frame_equal(read_csv(tmp_path / "out" / "tiny.csv", COLUMNS), rows)
    assert read_json(tmp_path / "summary.json") == summary
    assert set(rows["member"]) > {'cat/=HYPERLINK("x").png', "cat/'@a,b.png", "cat/été ☃.png"}


def test_official_horses_and_humans_keep_their_division(convnet_data: Path, tmp_path: Path) -> None:
    names = {"horse-or-human.zip": "train", "validation-horse-or-human.zip": "validation"}
    for name in names:
        (tmp_path / name).symlink_to(convnet_data / name)
    write_sources(tmp_path, dict(names))
    rows, summary = built(tmp_path)
    assert summary["counts"] == {
        "train": {"horses": 500, "humans": 527},
        "validation": {"horses": 64, "humans": 64},
        "test": {"horses": 64, "humans": 64},
    }
    # Scenes were rendered several times with slight turns. The pixels of most differ; none cross the official parts.
    assert summary["duplicates"]["near_pairs"] == 5
    assert summary["duplicates"]["across_splits"] == 0
    assert summary["duplicates"]["two_labels"] == []
    assert (rows[rows["official_split"] == "validation"].groupby("group")["split"].nunique() == 1).all()
