"""Galleries of images, drawn and made small once: the job store keeps them for runs in which they did not change.

They are PNG only: a drawing of lines would hold the same pixels.
"""

import hashlib
import importlib.metadata
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from convnet.jobs.job import STORE, source_digest
from convnet.jobs.store import stored_json
from convnet.report.embedding import EmbeddedImage, embed_image
from convnet.report.style import save_png
from convnet.system.files import file_digest, json_digest, link


def save_gallery(figure: Figure, path: Path) -> None:
    """Write a gallery as PNG, from the store or by drawing; equal galleries give equal bytes."""
    decides = {
        "title": figure.get_suptitle(),
        "size": figure.get_size_inches().tolist(),
        "places": [
            [ax.get_title(loc="left"), [_digest(image.get_array()) for image in ax.images]] for ax in figure.axes
        ],
        "code": source_digest(["report"]),
        "versions": {name: importlib.metadata.version(name) for name in ("matplotlib", "numpy")},
    }
    kept = STORE / f"gallery-{json_digest(decides)}.png"
    if not kept.is_file():
        save_png(figure, kept)
    path.parent.mkdir(parents=True, exist_ok=True)
    link(kept, path)


def embed_kept(path: Path) -> EmbeddedImage:
    """Return the image as `embed_image` does, from the store or from the file."""
    decides = {
        "image": file_digest(path),
        "code": source_digest(["report/embedding.py"]),
        "versions": {"pillow": importlib.metadata.version("pillow")},
    }
    return EmbeddedImage(**stored_json("embedded", decides, lambda: asdict(embed_image(path))))


def _digest(image: NDArray[Any] | None) -> list[object]:
    pixels = np.asarray(image)
    return [pixels.shape, str(pixels.dtype), hashlib.sha256(pixels.tobytes()).hexdigest()]
