"""Are copies found, and no strangers taken for copies? Plant changed copies of images and look for them.

    CONVNET_DATA=<folder of the archives> python -m bench.correctness.duplicates    writes bench/results/duplicates.json

Of 500 images drawn at random from cats vs dogs, each gets four copies: resized to 60 %, JPEG of quality 40, mirrored,
20 % brighter. The split stage's own search runs over all of them. A planted copy counts as found if it is grouped with
its original; every pair of two different originals, or of copies of these, is a false pair. Without CONVNET_DATA the
images are rendered ones.
"""

import argparse
import io
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from bench.lib.material import bring_archive
from convnet.data.duplicates import find_duplicates, fine_thumbnail, gradient_similarity, thumbnail
from convnet.system.files import write_json
from convnet.system.progress import progress

RESULTS = Path(__file__).parents[1] / "results" / "duplicates.json"
DISTANCE = 8  # bits, as split.near_duplicate_distance in params.yaml
SIZE = (150, 150)  # (height, width) of rendered images


def compressed(image: Image.Image) -> Image.Image:
    """Return the image after JPEG compression of quality 40."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=40)
    return Image.open(buffer)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "resized": lambda image: image.resize((image.width * 6 // 10, image.height * 6 // 10)),
    "jpeg_quality_40": compressed,
    "mirrored": ImageOps.mirror,
    "brightened": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
}


def main() -> None:
    """Plant, search, count, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0, help="decides which images are drawn")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="duplicates-") as name:
        folder = Path(name)
        told = bring_archive(folder, arguments.pictures, SIZE, real=True)
        originals = _draw(next(folder.glob("*.zip")), arguments.pictures, arguments.seed)
    thumbnails = [thumbnail(image) for image in originals]
    copies_of = {name: [change(image) for image in originals] for name, change in CHANGES.items()}
    planted = {name: [thumbnail(image) for image in copies] for name, copies in copies_of.items()}
    everything = np.stack([*thumbnails, *(copy for copies in planted.values() for copy in copies)])
    images = [*originals, *(copy for copies in copies_of.values() for copy in copies)]
    fine = np.stack([fine_thumbnail(image) for image in progress(images, total=len(images), label="thumbnails")])
    found = find_duplicates([str(index) for index in range(len(everything))], everything, DISTANCE, fine)
    count = len(originals)
    copies = found.groups[count:].reshape(len(CHANGES), count)
    i, j = found.near_pairs.T
    result = {
        "command": f"python -m bench.correctness.duplicates --pictures {arguments.pictures} --seed {arguments.seed}",
        "kind": told,
        "originals": count,
        "pairs_compared": len(everything) * (len(everything) - 1) // 2,
        "found": {name: int((row == np.arange(count)).sum()) for name, row in zip(CHANGES, copies, strict=True)},
        "false_pairs": int((i % count != j % count).sum()),
        "lowest_similarity": {name: _lowest(thumbnails, copies, name) for name, copies in planted.items()},
    }
    write_json(arguments.out, result)
    for key, value in result.items():
        print(f"{key}: {value}")


def _draw(archive: Path, count: int, seed: int) -> list[Image.Image]:
    with zipfile.ZipFile(archive) as opened:
        names = sorted(name for name in opened.namelist() if name.endswith((".jpg", ".png")))
        chosen = np.random.default_rng(seed).choice(len(names), min(count, len(names)), replace=False)
        return [Image.open(io.BytesIO(opened.read(names[index]))).convert("RGB") for index in sorted(chosen)]


def _lowest(originals: list[np.ndarray], copies: list[np.ndarray], change: str) -> float:
    """Return the smallest similarity of an original and its copy, turned back where it is mirrored."""
    straight = np.stack(copies)[:, :, ::-1] if change == "mirrored" else np.stack(copies)
    return round(float(gradient_similarity(np.stack(originals), straight).min()), 3)


if __name__ == "__main__":
    main()
