"""Tables as CSV files. Only stages that need a table import this module, because it imports pandas."""

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from convnet.system.csv_cells import plain_text, safe_text
from convnet.system.errors import UserError
from convnet.system.files import write_text

DECIMALS = 6


def csv_text(frame: pd.DataFrame, *, decimals: int | None = DECIMALS) -> str:
    r"""Return a table as CSV with a header and "\n" line ends; the index is left out.

    Args:
        frame: texts are written by `safe_text`; None, NaN and infinity become empty cells.
        decimals: digits after the point of every float; None: the shortest text that reads back equal.
    """

    def cell(value: object) -> str:
        if isinstance(value, str):
            return safe_text(value)
        if isinstance(value, float):
            return (
                "" if not math.isfinite(value) else repr(float(value)) if decimals is None else f"{value:.{decimals}f}"
            )
        return "" if value is None or value is pd.NA else str(value)

    # As objects, because a column of floats would take infinity for text.
    texts = frame.astype(object).map(cell).rename(columns=safe_text)
    return texts.to_csv(index=False, lineterminator="\n")


def write_csv(path: Path, frame: pd.DataFrame, *, decimals: int | None = DECIMALS) -> None:
    """Write `csv_text(frame)` to `path`, atomically."""
    write_text(path, csv_text(frame, decimals=decimals))


def read_csv(path: Path, types: Mapping[str, type]) -> pd.DataFrame:
    """Read a table that `write_csv` wrote.

    Args:
        path: the file.
        types: str, int or float of every column, in the file's order. An empty cell of a float column reads as NaN.

    Raises:
        UserError: the file is missing, is not whole, or holds other columns or types.
    """
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run `dvc repro` to make it") from error
    except UnicodeDecodeError as error:
        raise _damaged(path, error) from error
    try:
        # Not pandas' reader, because it accepts a line with too few or too many cells.
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        if [plain_text(name) for name in header] != list(types):
            raise ValueError("the first line names other columns")
        if not text.endswith("\n") or any(len(row) != len(types) for row in rows):
            raise ValueError("a line is not whole")
        return pd.DataFrame(
            {
                name: pd.Series(
                    [plain_text(row[i]) if kind is str else kind(row[i] or "nan") for row in rows], dtype=kind
                )
                for i, (name, kind) in enumerate(types.items())
            }
        )
    except (ValueError, csv.Error) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} is not a whole table ({error}); delete it and run `dvc repro`")
