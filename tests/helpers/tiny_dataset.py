"""Small datasets of real files: images with something to see in them, packed as the download stage leaves them."""

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from convnet.params.data import Split

# The rules of params.yaml.
RULES = Split(
    validation=0.2,
    test=0.2,
    test_from_validation=0.5,
    seed=0,
    near_duplicate_distance=8,
    repair_leaks=False,
    strict=False,
)


def picture(seed: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """Return an image of soft coloured patches, unlike that of any other seed; `size` is (width, height)."""
    patches = np.random.default_rng([seed]).integers(40, 200, (6, 6, 3)).astype(np.uint8)
    return Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return the image as a file's content."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def write_archive(path: Path, members: Mapping[str, bytes]) -> None:
    """Write a ZIP or, by its suffix, a tar.gz archive with the members in the order given."""
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def write_dataset(
    folder: Path, archives: Mapping[str, Mapping[str, bytes]], splits: Mapping[str, str] | None = None
) -> Path:
    """Write archives and sources.json as the download stage does, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, members in archives.items():
        write_archive(folder / name, members)
    write_sources(folder, {name: (splits or {}).get(name) for name in archives})
    return folder


def write_sources(folder: Path, splits: Mapping[str, str | None]) -> None:
    """Write sources.json for archives and the official split each of them is."""
    sources = [
        {"file": name, "split": split, "sha256": "", "bytes": 0, "origin": "local", "address": name, "note": None}
        for name, split in splits.items()
    ]
    content = {"dataset": "tiny", "kind": "rendered", "sources": sources}
    (folder / "sources.json").write_text(json.dumps(content))
