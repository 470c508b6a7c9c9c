"""Labels from tables: CSV or JSON lines beside a folder or an archive."""

from pathlib import Path

import pandas as pd
import pytest

from convnet.data.label_tables import Labelled, apply_table, read_labelled, read_table, write_table
from convnet.params.data import LabelSource
from convnet.system.errors import UserError

FILES = [
    ("a.zip", name) for name in ("photos/x/1.jpg", "photos/x/2.jpg", "photos/y/1.jpg", "photos/y/3.jpg", "notes.txt")
]


def applied(folder: Path, text: str, name: str = "labels.csv", **settings: str) -> Labelled:
    path = folder / name
    path.write_text(text, "utf-8")
    return apply_table(read_table(path, LabelSource(table=str(path), **settings)), FILES)


def labels(found: Labelled) -> dict[str, str]:
    return {member: image.class_name for (_, member), image in found.images.items()}


ALL = {"photos/x/1.jpg": "cat", "photos/x/2.jpg": "dog", "photos/y/1.jpg": "cat", "photos/y/3.jpg": "dog"}


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("file,label\nx/1.jpg,cat\nx/2.jpg,dog\ny/1.jpg,cat\n3.jpg,dog\n", {}),
        ("\ufefffile;label\r\nx\\1.jpg;cat\r\n./x/2.jpg;dog\r\ny/1.jpg;cat\r\ny/3.jpg;dog\r\n", {}),
        ("label\tfile\ncat\tphotos/x/1.jpg\ndog\tphotos/x/2.jpg\ncat\ty/1.jpg\ndog\ty/3.jpg\n", {}),
        (
            'id,breed,other\nx/1,cat,"a,b"\nx/2,dog,\ny/1,cat,\ny/3.JPG,dog,\n'.replace(".JPG", ""),
            {"file_column": "id", "label_column": "breed", "suffix": ".jpg"},
        ),
        (
            '{"file": "x/1.jpg", "label": "cat"}\n\n{"file": "x/2.jpg", "label": "dog", "split": null}\n'
            '{"file": "y/1.jpg", "label": "cat"}\n{"file": "y/3.jpg", "label": "dog"}\n',
            {},
        ),
    ],
)
def test_table_gives_the_labels(text: str, settings: dict[str, str], tmp_path: Path) -> None:
    found = applied(tmp_path, text, **settings)
    assert labels(found) == ALL
    assert found.notes == []


ROWS = [("x/1", "cat"), ("x/2", "dog"), ("y/1", "cat"), ("y/3", "dog")]


@pytest.mark.parametrize(
    "content",
    [
        "FILE,Label\n" + "\n".join(f"{file}.jpg,{label}" for file, label in ROWS),
        "file,label\n" + "\n".join(f"{file},{label}" for file, label in ROWS),
        "file,label\n" + "\n".join(f"{file}.JPG,{label}" for file, label in ROWS),
        "file|label\n" + "\n".join(f"{file}.jpg|{label}" for file, label in ROWS),
        "file, label\n" + "\n".join(f'"{file}.jpg", "{label}"' for file, label in ROWS),
        "sep=;\r\nfile;label\r\n" + "\r\n".join(f"{file}.jpg;{label}" for file, label in ROWS),
        "\n\nfile,label\n\n" + "\n\n".join(f"{file}.jpg,{label}  " for file, label in ROWS) + "\n\n",
        "file,label\n" + "\n".join(f"C:\\Users\\me\\{file}.jpg,{label}" for file, label in ROWS),
        "file,label\n" + "\n".join(f"/media/card/{file}.jpg,{label}" for file, label in ROWS),
        "file,label\n" + "\n".join(f"../elsewhere/{file}.jpg,{label}" for file, label in ROWS),
        "[" + ",".join(f'{{"file": "{file}.jpg", "label": "{label}"}}' for file, label in ROWS) + "]",
        ("file\tlabel\r\n" + "\r\n".join(f"{file}.jpg\t{label}" for file, label in ROWS)).encode("utf-16"),
    ],
)
def test_tables_of_spreadsheets_and_of_other_machines_are_read(content: str | bytes, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = apply_table(read_table(path, LabelSource(table=str(path))), FILES)
    assert labels(found) == ALL
    assert found.notes == []


def test_split_in_a_column_of_another_letter_case_counts(tmp_path: Path) -> None:
    found = applied(tmp_path, "File,Label,Split\nx/1.jpg,cat,Test\n")
    assert [image.official_split for image in found.images.values()] == ["test"]


def test_suffix_may_lack_its_point(tmp_path: Path) -> None:
    assert len(applied(tmp_path, "file,label\nx/1,cat\n", suffix="jpg").images) == 1


def test_row_of_another_folder_is_not_taken_for_a_file_of_the_same_name(tmp_path: Path) -> None:
    found = applied(tmp_path, "file,label\nz/3.jpg,cat\nz/2.jpg,cat\n")
    assert labels(found) == {}
    assert found.notes[0] == "2 files of the table are missing, the first is 'z/3.jpg'"


def test_split_and_group_are_read(tmp_path: Path) -> None:
    found = applied(
        tmp_path,
        "file,label,split,group\nx/1.jpg,cat,Training,p1\nx/2.jpg,dog,val,p2\ny/1.jpg,cat,TEST,p3\n3.jpg,dog,,\n",
    )
    assert [(image.official_split, image.group) for image in found.images.values()] == [
        ("train", "p1"), ("validation", "p2"), ("test", "p3"), (None, ""),
    ]  # fmt: skip


def test_every_fault_has_one_line_with_count_and_first_name(tmp_path: Path) -> None:
    rows = [
        "x/1.jpg,cat,train", "x/1.jpg,cat,train", "x/2.jpg,dog,trial", "gone.jpg,cat,", "lost.jpg,dog,", "1.jpg,cat,",
        "y/1.jpg,cat,", "y/1.jpg,dog,",
    ]  # fmt: skip
    found = applied(tmp_path, "file,label,split\n" + "\n".join(rows) + "\n")
    assert labels(found) == {"photos/x/1.jpg": "cat"}
    assert found.notes == [
        "1 files of the table have two rows; the first one counts, the first is 'x/1.jpg'",
        "1 files of the table have the unknown split 'trial', the first is 'x/2.jpg'",
        "2 files of the table are missing, the first is 'gone.jpg'",
        "1 files of the table name several files, the first is '1.jpg'",
        "1 files of the table have two labels, the first is 'y/1.jpg'",
        "1 files are not in the table, the first is 'photos/y/3.jpg'",
    ]


def test_dropped_and_empty_labels_leave_images_out(tmp_path: Path) -> None:
    found = applied(tmp_path, "file,label\nx/1.jpg,cat\nx/2.jpg,drop\ny/1.jpg,\ny/3.jpg,dog\n")
    assert labels(found) == {"photos/x/1.jpg": "cat", "photos/y/3.jpg": "dog"}
    assert found.notes == [
        "1 files of the table are dropped by the table, the first is 'x/2.jpg'",
        "1 files of the table have no label, the first is 'y/1.jpg'",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,label\n1.jpg,cat\n", r"has no column 'file', only id, label: name the column with --file-column"),
        (b"", "has no rows"),
        (b"file,label\n", "has no rows"),
        (b"file,label,label\n1.jpg,a,b\n", "has two columns 'label'"),
        (b"file,breed\n1.jpg,cat\n", r"has no column 'label'.*--label-column"),
        (b"file,label\n\xff\xfe,cat\n", "is not UTF-8 text"),
        (b'{"file": "1.jpg"\n', "line 1 of the table .* is not JSON"),
        (b'{"file": 1}\n[1]\n', "line 2 of the table .* is not a JSON object"),
    ],
)
def test_unreadable_table_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_table(path, LabelSource(table=str(path)))


def test_written_table_gives_the_same_labels(tmp_path: Path) -> None:
    names = ["cat/=1+1.jpg", "cat/'quoted'.jpg", "dog/a,b.jpg", "dog/Bäume.jpg"]
    manifest = pd.DataFrame(
        {
            "member": names,
            "class": ["cat", "cat", "=dog", "=dog"],
            "official_split": "",
            "group_name": ["", "p", "", ""],
        }
    )
    path = tmp_path / "labels.csv"
    write_table(path, manifest)
    found = apply_table(read_table(path, LabelSource(table=str(path))), [("a.zip", name) for name in names])
    assert labels(found) == dict(zip(names, manifest["class"], strict=True))
    assert [image.group for image in found.images.values()] == ["", "p", "", ""]
    assert found.notes == []
    with pytest.raises(UserError, match=r"exists: read it with --labels"):
        write_table(path, manifest)


@pytest.mark.parametrize(
    "text",
    [
        ",file,label\n" + "".join(f"{n},{file}.jpg,{label}\n" for n, (file, label) in enumerate(ROWS)),
        "file,label\n" + "".join(f"{file}.JPEG,{label}\n" for file, label in ROWS),
        "file,label\n" + "".join(f"\\\\nas\\train\\{file},{label}\n".replace("/", "\\") for file, label in ROWS),
        "file,label\n" + "".join(f'{file}.jpg,"{{""class"":""{label}""}}"\n' for file, label in ROWS),
        "[" + ",".join(f'{{"file": "{file}.jpg", "label": ["{label}"]}}' for file, label in ROWS) + "]",
    ],
)
def test_tables_of_programs_are_read(text: str, tmp_path: Path) -> None:
    found = applied(tmp_path, text)
    assert labels(found) == ALL
    assert found.notes == []


@pytest.mark.parametrize("cell", ['["cat", "dog"]', '{"a": "cat", "b": "dog"}', '[{"label": "cat"}]'])
def test_several_labels_in_a_cell_are_refused(cell: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has the label .*: write one name per image into 'label'"):
        applied(tmp_path, f'[{{"file": "3.jpg", "label": {cell}}}]', "labels.json")


@pytest.mark.parametrize("empty", ["", "NaN", "null", "<NA>", "#N/A"])
def test_empty_cell_of_a_program_is_no_label(empty: str, tmp_path: Path) -> None:
    found = applied(tmp_path, f"file,label\n3.jpg,{empty}\nx/2.jpg,None\n")
    assert labels(found) == {"photos/x/2.jpg": "None"}
    assert "1 files of the table have no label, the first is '3.jpg'" in found.notes


@pytest.mark.parametrize(
    ("column", "wanted"), [("set", "split"), ("Data_Split", "split"), ("patient_id", "group"), ("Case", "group")]
)
def test_column_of_another_name_is_reported(column: str, wanted: str, tmp_path: Path) -> None:
    found = applied(tmp_path, f"file,label,{column},note\n3.jpg,cat,train,x\n")
    assert f"the column {column!r} of the table is not read: name it {wanted} to use it" in found.notes
    assert not any("'note'" in line for line in found.notes)


def test_abbreviated_splits_are_read(tmp_path: Path) -> None:
    found = applied(tmp_path, "file,label,split\nx/1.jpg,cat,tr\nx/2.jpg,cat,VA\n3.jpg,cat,te\n")
    assert sorted(str(image.official_split) for image in found.images.values()) == ["test", "train", "validation"]


def test_table_that_labels_no_file_gives_the_reasons(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("file,label\n7.jpg,cat\n8.jpg,dog\n")
    with pytest.raises(UserError, match=r"labels no file: 2 files of the table are missing, the first is '7\.jpg'; 4 "):
        read_labelled(path, LabelSource(table=str(path)), FILES)


def test_rows_of_many_folders_with_one_file_name_are_found(tmp_path: Path) -> None:
    files = [("a.zip", f"photos/{number}/image.jpg") for number in range(5_000)]
    path = tmp_path / "labels.csv"
    path.write_text("file,label\n" + "".join(f"{number}/image.jpg,{number % 2}\n" for number in range(5_000)))
    assert len(read_labelled(path, LabelSource(table=str(path)), files).images) == 5_000


def test_many_rows_that_name_many_files_take_no_time_that_grows_with_the_square(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("file,label\n" + "1.jpg,cat\n" * 30_000)
    with pytest.raises(UserError, match="1 files of the table name several"):
        read_labelled(path, LabelSource(table=str(path)), [("a.zip", f"{n}/1.jpg") for n in range(5_000)])
