import csv
import io
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnet.system.csv_cells import FORMULA_STARTS, plain_text, safe_text
from convnet.system.csv_tables import csv_text, read_csv, write_csv
from convnet.system.errors import UserError, printable

# Lone surrogates are what Python makes of file names that are not UTF-8.
TEXTS = st.text(st.characters() | st.sampled_from("\\'=+-@<n\t\r\n \x00") | st.characters(categories=["Cs"]))


@given(TEXTS)
def test_every_text_reads_back_and_is_safe(text: str) -> None:
    cell = safe_text(text)
    assert plain_text(cell) == text
    assert cell == printable(cell)
    assert not cell.lstrip().startswith(tuple(set(FORMULA_STARTS) - {"'"}))


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("cats", "cats"),
        ("2-1", "2-1"),
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("  +1", "'  +1"),
        ("＠x", "'＠x"),  # noqa: RUF001
        ("'a", "''a"),
        ("a'b", "a'b"),
        ("\t=1", r"\t=1"),
        ("a\\n", "a\\\\n"),
        ("a\n", r"a\n"),
        ("</SCRIPT>", r"\x3c/SCRIPT>"),
        ("<!--<script>", r"\x3c!--\x3cscript>"),
        ("a<b", "a<b"),
        ("caf\udce9", r"caf\udce9"),
    ],
)
def test_cells(text: str, cell: str) -> None:
    assert safe_text(text) == cell
    assert plain_text(cell) == text


@given(st.lists(st.tuples(TEXTS, st.integers(-(2**62), 2**62), st.floats(allow_infinity=False))))
def test_table_reads_back(rows: list[tuple[str, int, float]]) -> None:
    frame = pd.DataFrame(rows, columns=["=name", "count", "share"]).astype({"count": int, "share": float})
    text = csv_text(frame, decimals=None)
    read = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert [plain_text(row[0]) for row in read] == ["=name", *(row[0] for row in rows)]
    assert [int(row[1]) for row in read[1:]] == [row[1] for row in rows]
    for row, (_, _, share) in zip(read[1:], rows, strict=True):
        assert row[2] == "" if math.isnan(share) else float(row[2]) == share


TYPES = {"class": str, "seed": int, "loss": float}


def test_file_reads_back(tmp_path: Path) -> None:
    frame = pd.DataFrame({"class": ["NA", "", "007"], "seed": [0, 1, 2], "loss": [1e-7, np.nan, 0.1 + 0.2]})
    write_csv(tmp_path / "t.csv", frame, decimals=None)
    read = read_csv(tmp_path / "t.csv", TYPES)
    assert read["class"].tolist() == ["NA", "", "007"]
    assert read["seed"].dtype == np.int64
    np.testing.assert_array_equal(read["loss"], frame["loss"])


def test_empty_table_keeps_its_columns(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", pd.DataFrame(columns=list(TYPES)))
    assert (tmp_path / "t.csv").read_bytes() == b"class,seed,loss\n"
    assert len(read_csv(tmp_path / "t.csv", TYPES)) == 0


def test_numbers_are_written_as_the_tables_print_them() -> None:
    frame = pd.DataFrame(
        {
            "mixed": ["a,b", None, 3, 0.25],
            "float": [0.1, math.nan, math.inf, -0.1],
            "whole": pd.array([1, None, 3, 4], dtype="Int64"),
            "small": np.array([1, 2, 3, 4], dtype=np.float32),
        }
    )
    assert csv_text(frame) == (
        "mixed,float,whole,small\n"
        '"a,b",0.100000,1,1.000000\n'
        ",,,2.000000\n"
        "3,,3,3.000000\n"
        "0.250000,-0.100000,4,4.000000\n"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"class,seed\ncats,1\n",
        b"class,seed,loss\ncats,1,0.5",
        b"class,seed,loss\ncats,1\n",
        b"class,seed,loss\ncats,1,0.5,9\n",
        b'class,seed,loss\n"cats,1,0.5\n',
        b"class,seed,loss\ncats,one,0.5\n",
        b"class,seed,loss\ncats,,0.5\n",
        b"class,seed,loss\ncats,1,high\n",
        b"class,seed,loss\n\xff,1,0.5\n",
    ],
)
def test_damaged_table_is_reported(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a whole table"):
        read_csv(path, TYPES)


def test_missing_table_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing"):
        read_csv(tmp_path / "t.csv", TYPES)
