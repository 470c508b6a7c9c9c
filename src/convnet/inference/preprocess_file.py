"""Write `preprocess.py`, which prepares images for a model without this program."""

import ast
from pathlib import Path
from types import ModuleType

from convnet.data import grey_levels, resizing, transparency
from convnet.inference import portable_image
from convnet.system.errors import UserError
from convnet.system.files import atomic_path

NAME = "preprocess.py"
HEADER = '''"""Prepare images for the model beside this file. It needs Pillow and NumPy only.

    pixels = load_image("photo.jpg", labels)  # float32 (1, height, width, 3); labels is the JSON beside the model
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray
from PIL import Image
'''


def preprocess_text() -> str:
    """Return the file: the functions that the pipeline uses, in one module."""
    modules = (grey_levels, transparency, resizing, portable_image)
    return "\n\n".join([HEADER.rstrip(), *(part for module in modules for part in _definitions(module))]) + "\n"


def write_preprocess(folder: Path) -> Path:
    """Write the file into a folder, and return its path.

    Raises:
        UserError: the folder holds another file of this name.
    """
    path = folder / NAME
    check_own(folder)
    with atomic_path(path) as temporary:
        temporary.write_text(preprocess_text(), "utf-8")
    return path


def check_own(folder: Path) -> None:
    """Refuse a folder that holds another file of this name, which belongs to the user.

    Raises:
        UserError: it does.
    """
    path = folder / NAME
    if path.exists() and not path.read_bytes().startswith(HEADER.splitlines()[0].encode()):
        raise UserError(f"{path} is another file: write to another folder with --output, or rename the file")


def _definitions(module: ModuleType) -> list[str]:
    """Return the source of everything in a module but its docstring and its imports."""
    assert module.__file__ is not None
    source = Path(module.__file__).read_text("utf-8")
    kept = [node for node in ast.parse(source).body if not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr)]
    return [ast.get_source_segment(source, node) or "" for node in kept]
