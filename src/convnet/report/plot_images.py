"""The images that `dvc plots` draws: few and small, because they are in git."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from convnet.system.files import atomic_path

ALL_BYTES = 300_000  # of all datasets together
NAMES = ("augmentation", "feature_maps_baseline")  # of the look stage
WIDTHS = (1000, 800, 650, 500, 400, 300)  # pixels; the first that fits is taken


def write_plot_images(explanations: Path, datasets: Sequence[str], folder: Path) -> None:
    """Write `<dataset>-<figure>.jpg` for each dataset: an augmentation preview and one figure of feature maps.

    A figure is left out where the run does not draw it.
    """
    budget = ALL_BYTES // (len(datasets) * len(NAMES))
    folder.mkdir(parents=True, exist_ok=True)
    for dataset in datasets:
        for path in _figures(explanations / dataset / "plots"):
            with atomic_path(folder / f"{dataset}-{path.stem}.jpg") as temporary:
                temporary.write_bytes(_small(path, budget))


def _figures(folder: Path) -> list[Path]:
    """Return the augmentation preview and the baseline's feature maps, or those of another network."""
    maps = sorted(folder.glob("feature_maps_*.png"), key=lambda path: (path.stem != NAMES[1], path.name))
    return [*folder.glob(f"{NAMES[0]}.png"), *maps[:1]]


def _small(path: Path, budget: int) -> bytes:
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    data = b""
    for width in WIDTHS:
        size = (min(width, image.width), round(image.height * min(width, image.width) / image.width))
        buffer = io.BytesIO()
        image.resize(size, Image.Resampling.LANCZOS).save(buffer, "jpeg", quality=70, optimize=True)
        data = buffer.getvalue()
        if len(data) <= budget:
            break
    return data
