"""Label tables: CSV or JSON lines with a file, its label, and optionally its split and group."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from convnet.data.class_folders import ImageMember, may_be_image
from convnet.data.folder_checks import normalised, reject_twin_names
from convnet.data.member_names import is_clutter
from convnet.data.part_names import abbreviated_part, part_of
from convnet.data.table_files import FileIndex, Key
from convnet.data.table_text import read_rows
from convnet.params.data import LabelSource
from convnet.params.section import SplitName
from convnet.system.csv_cells import plain_text
from convnet.system.csv_tables import write_csv
from convnet.system.errors import UserError

DROP = "drop"  # in place of a label: leave the image out
COLUMNS_SHOWN = 10
SHOWN = 60  # characters of a cell in a message
NO_LABEL = {"nan", "null", "<na>", "n/a", "#n/a"}  # as programs write an empty cell
# Other names of the columns that may be beside file and label.
OTHER_NAMES = {
    "split": re.compile(r"(?:data[ _-]?)?(?:set|subset|fold|part|partition|phase|splits?|usage)", re.IGNORECASE),
    "group": re.compile(
        r"(?:patient|subject|person|case|scene|clip|video|camera|site|series|study|groups?)(?:[ _-]?(?:id|name|no))?",
        re.IGNORECASE,
    ),
}


@dataclass(frozen=True)
class LabelRow:
    """One row of a table; empty texts where a column is missing."""

    file: str
    label: str
    split: str
    group: str


@dataclass(frozen=True)
class LabelTable:
    """The rows of a table, and sentences on columns that are not read."""

    rows: list[LabelRow]
    notes: list[str]


@dataclass(frozen=True)
class Labelled:
    """The files with a label, image files without one, and one sentence on each kind of fault."""

    images: dict[Key, ImageMember]
    outside: list[Key]
    notes: list[str]


def read_labelled(path: Path, settings: LabelSource, files: Iterable[Key]) -> Labelled:
    """Give files the labels of a table, by `read_table` and `apply_table`.

    Raises:
        UserError: the table cannot be read, or labels no file.
    """
    found = apply_table(read_table(path, settings), files)
    if not found.images:
        raise UserError(f"the table {path} labels no file: {'; '.join(found.notes)}")
    return found


def read_table(path: Path, settings: LabelSource) -> LabelTable:
    """Read a label table.

    Args:
        path: the table: CSV with commas, semicolons or tabs and a header, or JSON lines.
        settings: its columns, and the suffix that its file names lack.

    Raises:
        UserError: the table is missing, not text, empty, or lacks a column.
    """
    columns, rows = read_rows(path)
    if not rows:
        raise UserError(f"the table {path} has no rows: write one row per image below the header")
    file = _column(path, columns, settings.file_column, "--file-column")
    label = _column(path, columns, settings.label_column, "--label-column")
    split, group = (_column(path, columns, name) for name in OTHER_NAMES)
    read = [
        LabelRow(
            _with_suffix(_file_cell(row, file), settings.suffix),
            normalised(_label_cell(path, row, label)),
            _cell(row, split),
            _cell(row, group),
        )
        for row in rows
    ]
    unread = [name for name in columns if name not in (file, label, split, group)]
    return LabelTable(read, [note for name in unread if (note := _other_name(name))])


def apply_table(table: LabelTable, files: Iterable[Key]) -> Labelled:
    """Give files the labels of a table.

    A row's file is the end of a member's path: `1.jpg` or `cats/1.jpg`. Rows on files that are not there, and files
    without a row, are counted.

    Args:
        table: from `read_table`.
        files: archive and member of every file.

    Raises:
        UserError: two labels look alike.
    """
    places = [key for key in files if not any(map(is_clutter, key[1].split("/")))]
    index, rows = FileIndex(places), table.rows
    drop = index.folders_to_drop([row.file for row in rows])
    images: dict[Key, ImageMember] = {}
    named: set[Key] = set()
    faults: dict[str, list[str]] = {}
    for row in rows:
        found = index.find_without(row.file, drop)
        if len(found) != 1:
            faults.setdefault("name several files" if found else "are missing", []).append(row.file)
            continue
        key, fault = found[0], None
        split, known = _split(row.split)
        image = ImageMember(key[1], row.label, split, row.group)
        if key in named:
            fault = "have two rows; the first one counts" if images.get(key, image) == image else "have two labels"
            if fault == "have two labels":
                images.pop(key, None)
        elif row.label.lower() == DROP:
            fault = "are dropped by the table"
        elif not row.label:
            fault = "have no label"
        elif not known:
            fault = f"have the unknown split {row.split!r}"
        else:
            images[key] = image
        named.add(key)
        if fault:
            faults.setdefault(fault, []).append(row.file)
    outside = [key for key in places if key not in named and may_be_image(key[1])]
    if outside:
        faults["are not in the table"] = [key[1] for key in outside]
    reject_twin_names({image.class_name for image in images.values()})
    notes = [_sentence(fault, names) for fault, names in faults.items()]
    return Labelled(images, outside, [*notes, *table.notes])


def write_table(path: Path, manifest: pd.DataFrame) -> None:
    """Write the labels of a manifest as a table that `read_table` reads.

    Args:
        path: the CSV file; it must not exist.
        manifest: of the dataset.

    Raises:
        UserError: the file exists.
    """
    if path.exists():
        raise UserError(f"{path} exists: read it with --labels {path}, or give another name to --write-labels")
    write_csv(path, label_rows(manifest))


def label_rows(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the labels of a manifest as rows of a table: file and label, and split and group where they are known.

    The index stays that of the manifest.
    """
    table = manifest.loc[manifest["class"] != "", ["member", "class", "official_split", "group_name"]]
    table = table.set_axis(["file", "label", "split", "group"], axis="columns")
    return table.drop(columns=[column for column in ("split", "group") if (table[column] == "").all()])


def _column(path: Path, columns: list[str], wanted: str, option: str | None = None) -> str:
    """Return the column of a name, in any letter case; empty if there is none and no option names it."""
    found = [name for name in columns if name == wanted] or [
        name for name in columns if name.casefold() == wanted.casefold()
    ]
    if len(found) > 1:
        raise UserError(f"the table {path} has two columns {found[0]!r}: rename one of them")
    if not found and option:
        raise UserError(
            f"the table {path} has no column {wanted!r}, only {_shortened(columns)}: name the column with {option}"
        )
    return found[0] if found else ""


def _shortened(columns: list[str]) -> str:
    shown = ", ".join(name[:SHOWN] for name in columns[:COLUMNS_SHOWN])
    return f"{shown}, ..." if len(columns) > COLUMNS_SHOWN else shown


def _cell(row: dict[str, Any], column: str) -> str:
    """Return a cell's text, empty without such a column; `write_table` wrote formula-like texts as `safe_text` does."""
    value = row.get(column, "") if column else ""
    text = value.strip() if isinstance(value, str) else str(value)
    return plain_text(text) if text.startswith("'") or "\\\\" in text else text


def _file_cell(row: dict[str, Any], column: str) -> str:
    """Return a file name; a path that begins with two backslashes is on a Windows server."""
    text = row.get(column, "")
    return text.strip() if isinstance(text, str) and text.strip().startswith("\\\\") else _cell(row, column)


def _label_cell(path: Path, row: dict[str, Any], column: str) -> str:
    """Return a label, also from a list or an object with one value, as annotation programs write.

    Raises:
        UserError: the cell holds several labels.
    """
    value = row.get(column, "")
    if isinstance(value, str) and value.strip().startswith(("{", "[")):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    if not isinstance(value, (list, dict)):
        text = _cell(row, column)
        return "" if text.lower() in NO_LABEL else text
    values = list(value.values() if isinstance(value, dict) else value)
    if len(values) > 1 or any(isinstance(one, (list, dict)) for one in values):
        shown = json.dumps(value)[:SHOWN]
        raise UserError(f"the table {path} has the label {shown}: write one name per image into {column!r}")
    return str(values[0]) if values else ""


def _other_name(column: str) -> str | None:
    """Return a sentence on a column that seems to hold splits or groups under another name, or None."""
    wanted = next((name for name, words in OTHER_NAMES.items() if words.fullmatch(column)), None)
    return wanted and f"the column {column!r} of the table is not read: name it {wanted} to use it"


def _with_suffix(file: str, suffix: str) -> str:
    file = file.replace("\\", "/").removeprefix("./").strip("/")
    suffix = f".{suffix}" if re.fullmatch(r"\w+", suffix) else suffix
    return file if not suffix or file.lower().endswith(suffix.lower()) else file + suffix


def _split(text: str) -> tuple[SplitName | None, bool]:
    """Return the split that a cell names, and whether it names one or is empty."""
    if not text:
        return None, True
    found = abbreviated_part(text) or part_of(text)
    if found is None or found[1] or found[0] == "unlabelled":
        return None, False
    return found[0], True


def _sentence(fault: str, names: list[str]) -> str:
    kinds = Counter(names)
    subject = "files" if fault.startswith("are not") else "files of the table"
    return f"{len(kinds):,} {subject} {fault}, the first is {names[0]!r}"
