"""Charts and arrays of the explanations as files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from convnet.report.chart import Chart
from convnet.report.style import STYLE
from convnet.system.files import atomic_path

DOTS_PER_INCH = 100  # two thirds of other charts: these are many, and their content is coarse


def save_chart(chart: Chart, destination: Path, folder: str) -> dict[str, Any]:
    """Draw a chart into `folder` of `destination` and return its entry for the page."""
    path = destination / folder / f"{file_name(chart.name)}.png"
    draw_png(chart, path)
    return {
        "section": chart.section,
        "title": chart.title,
        "file": path.relative_to(destination).as_posix(),
        "alt": chart.alt,
        "caption": chart.caption,
        "table": None if chart.table is None else _rows(chart.table),
    }


def _rows(table: pd.DataFrame) -> dict[str, Any]:
    return {"columns": list(table.columns), "rows": table.to_dict("split")["data"]}


def draw_png(chart: Chart, path: Path) -> None:
    """Draw a chart to a PNG; equal charts give equal bytes."""
    with atomic_path(path) as temporary, matplotlib.rc_context(STYLE):
        chart.figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays to an .npz file."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # the stub takes the names for allow_pickle


def file_name(name: str) -> str:
    """Return a name without spaces."""
    return name.replace(" ", "_")
