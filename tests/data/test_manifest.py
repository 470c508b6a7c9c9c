import csv
import hashlib
import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

import imagehash
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from convnet.data.decoding import Limits
from convnet.data.manifest import (
    COLUMNS,
    Row,
    SplitRules,
    build_manifest,
    duplicates_line,
    read_manifest,
    rejected_line,
    write_manifest,
)
from convnet.system.errors import UserError
from convnet.system.files import read_json, write_json
from helpers.tiny_dataset import encoded, picture, write_dataset, write_sources

RULES = SplitRules(
    validation=0.2, test=0.2, test_from_validation=0.5, seed=0, near_duplicate_distance=8, repair_leaks=False,
    strict=False,
)  # fmt: skip
ROW = Row("a.zip", "cat/1.png", "cat", "train", "", "0" * 64, "0" * 16, 0, 10, 8, 9, "RGB", "accepted", "")


def _members(count: int = 10, first: int = 0, folder: str = "") -> dict[str, bytes]:
    return {
        f"{folder}{name}/{index:03}.png": encoded(picture(first + 1000 * label + index))
        for label, name in enumerate(("cat", "dog"))
        for index in range(count)
    }


def test_rows_tell_what_the_files_are(tmp_path: Path) -> None:
    members = _members() | {"cat/grey.jpg": encoded(picture(5000, (31, 50)).convert("L"), "JPEG")}
    rows, summary = build_manifest(write_dataset(tmp_path, {"a.zip": members}), limits=Limits(), split=RULES)
    assert [row.member for row in rows] == sorted(members)
    row = next(row for row in rows if row.member == "cat/grey.jpg")
    assert (row.archive, row.class_name, row.verdict, row.reason) == ("a.zip", "cat", "accepted", "")
    assert (row.width, row.height, row.mode, row.bytes) == (31, 50, "L", len(members[row.member]))
    assert row.sha256 == hashlib.sha256(members[row.member]).hexdigest()
    assert row.phash == str(imagehash.phash(Image.open(io.BytesIO(members[row.member]))))
    assert row.group == rows.index(row)
    assert summary["counts"] == {
        "train": {"cat": 7, "dog": 6}, "validation": {"cat": 2, "dog": 2}, "test": {"cat": 2, "dog": 2},
    }  # fmt: skip
    assert summary["counts"] == {
        split: dict(Counter(row.class_name for row in rows if row.split == split))
        for split in ("train", "validation", "test")
    }
    assert summary["classes"] == ["cat", "dog"]
    assert summary["image_sizes"] == {"smallest": [50, 31], "median": [40, 48], "largest": [40, 48]}
    assert summary["bytes_total"] == sum(map(len, members.values()))
    assert rejected_line(summary) is None
    assert duplicates_line(summary) is None


def test_zip_and_tar_of_one_content_give_one_manifest(tmp_path: Path) -> None:
    members = _members()
    backwards = dict(reversed(members.items()))
    from_zip, _ = build_manifest(write_dataset(tmp_path / "z", {"a.zip": members}), limits=Limits(), split=RULES)
    from_tar, _ = build_manifest(write_dataset(tmp_path / "t", {"a.tar.gz": backwards}), limits=Limits(), split=RULES)
    assert [replace(row, archive="a.zip") for row in from_tar] == from_zip


def test_many_images_in_several_processes_give_the_same_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_dataset(tmp_path, {"a.zip": _members(110), "b.tar.gz": _members(10, 500, "more/")})
    in_processes = build_manifest(folder, limits=Limits(), split=RULES)
    monkeypatch.setattr("convnet.system.processes.FEWEST_FOR_PROCESSES", 10_000)
    assert build_manifest(folder, limits=Limits(), split=RULES) == in_processes


def test_damaged_and_foreign_files_are_rejected_with_a_reason(tmp_path: Path) -> None:
    jpeg = encoded(picture(7), "JPEG")
    members = _members() | {
        "cat/cut.jpg": jpeg[: len(jpeg) // 2],
        "cat/notes.txt": b"the cats were photographed in May",
        "dog/empty.png": b"",
        "dog/small.png": encoded(picture(8, (4, 40))),
        "dog/gif.png": encoded(picture(9), "GIF"),
    }
    rows, summary = build_manifest(write_dataset(tmp_path, {"a.zip": members}), limits=Limits(), split=RULES)
    rejected = {row.member: row for row in rows if not row.accepted}
    assert set(rejected) == {"cat/cut.jpg", "cat/notes.txt", "dog/empty.png", "dog/small.png"}
    for row in rejected.values():
        assert (row.split, row.phash, row.width, row.height, row.mode) == ("", "", 0, 0, "")
        assert row.reason
        assert row.sha256 == hashlib.sha256(members[row.member]).hexdigest()
    assert summary["rejected"] == [
        {"archive": "a.zip", "member": row.member, "reason": row.reason} for row in rejected.values()
    ]
    assert [note["member"] for note in summary["notes"]] == ["dog/gif.png"]
    line = rejected_line(summary)
    assert line is not None
    assert line.startswith("tiny: 4 of 25 files rejected, the first is cat/cut.jpg in a.zip: truncated")


def test_strict_names_the_first_rejected_file_and_how_many(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, {"a.zip": _members() | {"cat/bad.png": b"x", "dog/bad.png": b"x"}})
    with pytest.raises(UserError, match=r"^2 of 22 files are no usable images, the first is cat/bad\.png in a\.zip"):
        build_manifest(folder, limits=Limits(), split=replace(RULES, strict=True))


def test_class_without_a_usable_image_is_told(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, {"a.zip": _members() | {"bird/1.png": b"x"}})
    with pytest.raises(UserError, match="'bird' is empty"):
        build_manifest(folder, limits=Limits(), split=RULES)


def test_picture_in_no_class_folder_is_told_and_a_read_me_is_not(tmp_path: Path) -> None:
    loose = {"photo.JPG": encoded(picture(9), "JPEG"), "README.txt": b"about cats and dogs"}
    rows, summary = build_manifest(write_dataset(tmp_path, {"a.zip": _members() | loose}), limits=Limits(), split=RULES)
    assert len(rows) == 21
    assert summary["rejected"] == [{"archive": "a.zip", "member": "photo.JPG", "reason": "lies in no class folder"}]


def test_folders_give_the_official_division_and_a_source_overrides_them(tmp_path: Path) -> None:
    archives = {
        "a.zip": _members(6, 0, "train/") | _members(4, 100, "val/"),
        "b.zip": _members(3, 200, "train/") | _members(2, 300, "validation/"),
    }
    rows, summary = build_manifest(write_dataset(tmp_path, archives, {"b.zip": "test"}), limits=Limits(), split=RULES)
    assert all(row.split == row.official_split for row in rows)
    assert Counter((row.archive, row.split) for row in rows) == {
        ("a.zip", "train"): 12, ("a.zip", "validation"): 8, ("b.zip", "test"): 10,
    }  # fmt: skip
    assert summary["counts"]["test"] == {"cat": 5, "dog": 5}


def test_copies_are_grouped_and_counted(tmp_path: Path) -> None:
    members = _members()
    members["cat/copy.png"] = members["cat/003.png"]
    members["cat/mirror.png"] = encoded(ImageOps.mirror(picture(4)))
    members["dog/small.jpg"] = encoded(picture(2).resize((36, 30)), "JPEG", quality=60)  # shows a cat
    rows, summary = build_manifest(write_dataset(tmp_path, {"a.zip": members}), limits=Limits(), split=RULES)
    place = {row.member: index for index, row in enumerate(rows)}
    groups = {row.member: row.group for row in rows}
    assert groups["cat/copy.png"] == groups["cat/003.png"] == place["cat/003.png"]
    assert groups["cat/mirror.png"] == groups["cat/004.png"] == place["cat/004.png"]
    assert groups["dog/small.jpg"] == groups["cat/002.png"] == place["cat/002.png"]
    splits = {row.group: row.split for row in rows}
    assert all(row.split == splits[row.group] for row in rows)
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
    rows, summary = build_manifest(folder, limits=Limits(), split=RULES)
    assert summary["duplicates"]["across_splits"] == 1
    assert "repair_leaks" in (duplicates_line(summary) or "")
    assert all(row.split == row.official_split for row in rows)

    rows, summary = build_manifest(folder, limits=Limits(), split=replace(RULES, repair_leaks=True, strict=True))
    assert [(row.member, row.reason) for row in rows if not row.accepted] == [
        ("train/cat/005.png", "shows the same image as test/cat/leak.jpg in test, left out by split.repair_leaks")
    ]
    assert summary["duplicates"]["across_splits"] == 0
    assert summary["counts"]["train"] == {"cat": 7, "dog": 8}
    assert duplicates_line(summary) is None


def test_missing_archive_is_told(tmp_path: Path) -> None:
    write_sources(tmp_path, {"a.zip": None})
    with pytest.raises(UserError, match=r"a\.zip is missing"):
        build_manifest(tmp_path, limits=Limits(), split=RULES)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.text("'=+-@\t\r\n\",;%0Aé", max_size=8)


@given(archive=TEXT, member=TEXT, class_name=TEXT, reason=TEXT, number=st.integers(0, 2**62))
@example(archive="'=1", member="''@", class_name="=1", reason="'a", number=0)
def test_any_text_survives_writing_and_reading(
    tmp_path_factory: pytest.TempPathFactory, archive: str, member: str, class_name: str, reason: str, number: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "manifest.csv"
    rows = [ROW, replace(ROW, archive=archive, member=member, class_name=class_name, reason=reason, bytes=number)]
    write_manifest(rows, path)
    assert read_manifest(path) == rows


@given(name=TEXT)
def test_no_cell_begins_as_a_formula(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    path = tmp_path_factory.getbasetemp() / "manifest.csv"
    write_manifest([replace(ROW, member=name, reason=name)], path)
    with path.open(encoding="utf-8", newline="") as file:
        cells = list(csv.reader(file))[1]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)


def test_odd_member_names_reach_table_and_summary_as_they_are(tmp_path: Path) -> None:
    odd = ['cat/=HYPERLINK("x").png', "cat/'@a,b.png", "cat/été ☃.png", "cat/100%25.png"]
    members = _members() | {name: encoded(picture(6000 + index)) for index, name in enumerate(odd)}
    rows, summary = build_manifest(write_dataset(tmp_path, {"a.zip": members}), limits=Limits(), split=RULES)
    write_manifest(rows, tmp_path / "out" / "tiny.csv")
    write_json(tmp_path / "summary.json", summary)
    assert read_manifest(tmp_path / "out" / "tiny.csv") == rows
    assert read_json(tmp_path / "summary.json") == summary
    assert {row.member for row in rows} > {'cat/=HYPERLINK("x").png', "cat/'@a,b.png", "cat/été ☃.png"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "archive,member\n",
        ",".join(COLUMNS) + "\na.zip,1.png\n",
        ",".join(COLUMNS) + "\n" + ",".join(["x"] * len(COLUMNS)) + "\n",
        ",".join(COLUMNS) + '\n"a.zip',
    ],
)
def test_damaged_table_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tiny.csv"
    path.write_text(text)
    with pytest.raises(UserError, match="not a whole manifest"):
        read_manifest(path)


def test_missing_table_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing; run `dvc repro`"):
        read_manifest(tmp_path / "none.csv")


def test_official_horses_and_humans_keep_their_division(convnet_data: Path, tmp_path: Path) -> None:
    names = {"horse-or-human.zip": "train", "validation-horse-or-human.zip": "validation"}
    for name in names:
        (tmp_path / name).symlink_to(convnet_data / name)
    write_sources(tmp_path, dict(names))
    rows, summary = build_manifest(tmp_path, limits=Limits(), split=RULES)
    assert summary["counts"] == {
        "train": {"horses": 500, "humans": 527},
        "validation": {"horses": 64, "humans": 64},
        "test": {"horses": 64, "humans": 64},
    }
    # Scenes were rendered several times with slight turns: many near pairs, none across the official parts.
    assert summary["duplicates"]["near_pairs"] > 20
    assert summary["duplicates"]["across_splits"] == 0
    assert summary["duplicates"]["two_labels"] == []
    splits = {row.group: row.split for row in rows if row.official_split == "validation"}
    assert all(row.split == splits[row.group] for row in rows if row.official_split == "validation")
