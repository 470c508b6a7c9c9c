"""Images of the course's archives that studies in copies of the project share, and their settings."""

from pathlib import Path
from typing import Any

from bench.lib.material import REAL_ARCHIVE
from convnet.data.archives import open_archive
from convnet.data.sources import data_folder

DATASET = "cats200"
# By split: the archive's own folder, and the range of images per class taken from it in the order of names.
PARTS = {"train": ("train", 0, 200), "validation": ("train", 200, 300), "test": ("validation", 0, 250)}
CLASSES = ("cats", "dogs")
FIVE_CLASSES = {REAL_ARCHIVE: CLASSES, "horse-or-human.zip": ("horses", "humans"), "rps.zip": ("rock",)}


def write_photographs(folder: Path) -> None:
    """Write the photographs of the study as `<split>/<class>/<file>`, unless the folder exists."""
    if folder.exists():
        return
    archives = _archives()
    contents = _images_of(archives / REAL_ARCHIVE)
    for split, (part, first, end) in PARTS.items():
        for class_name in CLASSES:
            names = sorted(name for name in contents if f"/{part}/{class_name}/" in f"/{name}")
            for name in names[first:end]:
                path = folder / split / class_name / Path(name).name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(contents[name])


def write_two_classes(folder: Path) -> None:
    """Write 400 photographs as `<class>/<file>`."""
    _write_classes(folder, {REAL_ARCHIVE: CLASSES}, 200)


def write_five_classes(folder: Path) -> None:
    """Write `<class>/<file>` for five classes of three archives: 480 photographs and 720 rendered images."""
    _write_classes(folder, FIVE_CLASSES, 240)


def _write_classes(folder: Path, classes: dict[str, tuple[str, ...]], images_per_class: int) -> None:
    archives = _archives()
    for archive, names in classes.items():
        contents = _images_of(archives / archive)
        for class_name in names:
            found = sorted(name for name in contents if f"/{class_name}/" in f"/{name}")
            # Every n-th name, because neighbours in numbered sequences are alike.
            for name in found[:: len(found) // images_per_class][:images_per_class]:
                path = folder / class_name / Path(name).name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(contents[name])


def _archives() -> Path:
    archives = data_folder()
    if archives is None:
        raise SystemExit("CONVNET_DATA is not set; name the folder that holds the course's archives")
    return archives


def _images_of(path: Path) -> dict[str, bytes]:
    with open_archive(path) as archive:
        return {
            name: data
            for name, data in archive.read_all()
            if isinstance(data, bytes) and name.endswith((".jpg", ".png"))
        }


def settings_of(photographs: Path, seeds: int, side: int = 150) -> dict[str, Any]:
    """Return the changes of params.yaml for a study of the photographs, by dotted key."""
    return {
        "run.datasets": [DATASET],
        "run.seeds": list(range(seeds)),
        "run.pixel_variants": ["baseline", "augmented", "dropout"],
        "run.feature_variants": ["transfer", "transfer_dropout"],
        "run.fine_tune_variants": [],
        # The course's flat head has 38 million weights, which take most of the time and give the same accuracy.
        "transfer.pooling": "average",
        f"datasets.{DATASET}": {
            "kind": "photographs",
            "source": {"folder": str(photographs.resolve())},
            "image_size": [side, side],
            "backbone": "inception_v3",
        },
    }
