"""Read the rows of a table from CSV, JSON lines or a JSON list."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

from convnet.data.file_types import describe_content
from convnet.system.errors import UserError

MAXIMUM_BYTES = 512 * 2**20
UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # as a spreadsheet writes Unicode text
Table = tuple[list[str], list[dict[str, Any]]]  # columns and rows


def read_rows(path: Path) -> Table:
    """Return the columns of a table and its rows, cells by column; a value of JSON may be a list or an object.

    Args:
        path: CSV with commas, semicolons, tabs or bars and a header; JSON lines; or one JSON list.

    Raises:
        UserError: the table is missing, not text, too large, or neither CSV nor JSON.
    """
    text = _text(path)
    return _json_rows(path, text) if text.lstrip()[:1] in ("{", "[") else _csv_rows(path, text)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAXIMUM_BYTES:
            raise UserError(f"the table {path} has more than {MAXIMUM_BYTES:,} bytes: leave out columns")
        content = path.read_bytes()
        return content.decode("utf-16" if content.startswith(UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        kind = describe_content(content)
        found = "not UTF-8 text" if kind in (None, "a text file") else f"{kind} and not UTF-8 text"
        raise UserError(f"the table {path} is {found}: save it as CSV in UTF-8") from error
    except OSError as error:
        raise UserError(f"the table {path} cannot be read: {error.strerror}") from error


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
            rows.append({name: "" if value is None else value for name, value in row.items()})
    return list(dict.fromkeys(name for row in rows for name in row)), rows
