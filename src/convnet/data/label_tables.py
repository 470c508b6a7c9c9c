"""Label tables: CSV or JSON lines with a file, its label, and optionally its split and group."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from convnet.data.class_folders import ImageMember, may_be_image
from convnet.data.folder_checks import normalised, reject_twin_names
from convnet.data.member_names import is_clutter
from convnet.data.part_names import part_of
from convnet.data.table_files import FileIndex, Key
from convnet.params.data import LabelSource
from convnet.params.section import SplitName
from convnet.system.csv_cells import plain_text
from convnet.system.csv_tables import write_csv
from convnet.system.errors import UserError

DROP = "drop"  # in place of a label: leave the image out
MAXIMUM_BYTES = 512 * 2**20
UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # as a spreadsheet writes Unicode text
Table = tuple[list[str], list[dict[str, str]]]  # columns and rows


@dataclass(frozen=True)
class LabelRow:
    """One row of a table; empty texts where a column is missing."""

    file: str
    label: str
    split: str
    group: str


@dataclass(frozen=True)
class Labelled:
    """The files with a label, image files without one, and one sentence on each kind of fault."""

    images: dict[Key, ImageMember]
    outside: list[Key]
    notes: list[str]


def read_table(path: Path, settings: LabelSource) -> list[LabelRow]:
    """Read a label table.

    Args:
        path: the table: CSV with commas, semicolons or tabs and a header, or JSON lines.
        settings: its columns, and the suffix that its file names lack.

    Raises:
        UserError: the table is missing, not text, empty, or lacks a column.
    """
    text = _text(path)
    columns, rows = _json_rows(path, text) if text.lstrip()[:1] in ("{", "[") else _csv_rows(path, text)
    if not rows:
        raise UserError(f"the table {path} has no rows: write one row per image below the header")
    file = _column(path, columns, settings.file_column, "--file-column")
    label = _column(path, columns, settings.label_column, "--label-column")
    split, group = _column(path, columns, "split"), _column(path, columns, "group")
    return [
        LabelRow(
            _with_suffix(_cell(row, file), settings.suffix),
            normalised(_cell(row, label)),
            _cell(row, split),
            _cell(row, group),
        )
        for row in rows
    ]


def apply_table(rows: Iterable[LabelRow], files: Iterable[Key]) -> Labelled:
    """Give files the labels of a table.

    A row's file is the end of a member's path: `1.jpg` or `cats/1.jpg`. Rows on files that are not there, and files
    without a row, are counted.

    Args:
        rows: from `read_table`.
        files: archive and member of every file.
    """
    places = [key for key in files if not any(map(is_clutter, key[1].split("/")))]
    index, rows = FileIndex(places), list(rows)
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
    return Labelled(images, outside, notes)


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


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAXIMUM_BYTES:
            raise UserError(f"the table {path} has more than {MAXIMUM_BYTES:,} bytes: leave out columns")
        content = path.read_bytes()
        return content.decode("utf-16" if content.startswith(UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"the table {path} is not UTF-8 text: save it as CSV in UTF-8") from error
    except OSError as error:
        raise UserError(f"the table {path} cannot be read: {error.strerror}") from error


def _column(path: Path, columns: list[str], wanted: str, option: str | None = None) -> str:
    """Return the column of a name, in any letter case; empty if there is none and no option names it."""
    found = [name for name in columns if name == wanted] or [
        name for name in columns if name.casefold() == wanted.casefold()
    ]
    if len(found) > 1:
        raise UserError(f"the table {path} has two columns {found[0]!r}: rename one of them")
    if not found and option:
        raise UserError(
            f"the table {path} has no column {wanted!r}, only {', '.join(columns)}: name the column with {option}"
        )
    return found[0] if found else ""


def _csv_rows(path: Path, text: str) -> Table:
    text = text.lstrip("\r\n")
    header, _, rest = text.partition("\n")
    given = re.fullmatch(r"sep=(.)\r?", header)  # a spreadsheet's first line
    text, header = (rest, rest.partition("\n")[0]) if given else (text, header)
    delimiter = given[1] if given else max(",;\t|", key=header.count)
    try:
        found = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        columns = [name.strip() for name in next(found, [])]
        return columns, [dict(zip(columns, row, strict=False)) for row in found if row]
    except csv.Error as error:
        raise UserError(f"the table {path} is not CSV: {error}") from error


def _json_rows(path: Path, text: str) -> Table:
    """Read JSON lines, or one JSON list of objects."""
    rows = []
    lines = [text] if text.lstrip().startswith("[") else text.splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"line {number} of the table {path} is not JSON: {error}") from error
        for row in content if len(lines) == 1 and isinstance(content, list) else [content]:
            if not isinstance(row, dict):
                raise UserError(
                    f"line {number} of the table {path} is not a JSON object with keys such as file and label"
                )
            rows.append({name: "" if value is None else str(value) for name, value in row.items()})
    return list(dict.fromkeys(name for row in rows for name in row)), rows


def _cell(row: dict[str, str], column: str) -> str:
    """Return a cell's text; `write_table` wrote formula-like texts as `safe_text` does."""
    text = row.get(column, "").strip()
    return plain_text(text) if text.startswith("'") or "\\\\" in text else text


def _with_suffix(file: str, suffix: str) -> str:
    file = file.replace("\\", "/").removeprefix("./").strip("/")
    suffix = f".{suffix}" if re.fullmatch(r"\w+", suffix) else suffix
    return file if not suffix or file.lower().endswith(suffix.lower()) else file + suffix


def _split(text: str) -> tuple[SplitName | None, bool]:
    """Return the split that a cell names, and whether it names one or is empty."""
    if not text:
        return None, True
    found = part_of(text)
    if found is None or found[1] or found[0] == "unlabelled":
        return None, False
    return found[0], True


def _sentence(fault: str, names: list[str]) -> str:
    kinds = Counter(names)
    subject = "files" if fault.startswith("are not") else "files of the table"
    return f"{len(kinds):,} {subject} {fault}, the first is {names[0]!r}"
