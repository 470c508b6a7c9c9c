"""Images that EXIF turns: the same network, the same predictions and the same report as of upright ones."""

import csv
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convnet.system.files import read_json
from helpers.tiny_dataset import encoded, picture
from helpers.tiny_study import environment, run_stage, write_params

pytestmark = pytest.mark.slow

ORIENTATION = 0x0112
# EXIF 2.3: how an image lies in a file that says so. Each undoes what a viewer does to show it upright.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
CHANGES = {
    "run.feature_variants": [],
    "run.fine_tune_variants": [],
    "datasets.tiny.kind": "photographs",
    "explain.images": 2,
    "explain.draws": 2,
    "explain.channels": 4,
}
STAGES = {
    "download": ["archives"],
    "split": ["archives", "manifest.csv", "summary.json"],
    "prepare": ["archives", "manifest.csv", "arrays"],
    "train": ["arrays", "features", "backbone", "models/tiny"],
    "look": ["arrays", "models/tiny", "explanations", "robustness.json"],
}


@dataclass(frozen=True)
class Study:
    """A folder in which all stages have run, and the predictions of its model, by file."""

    folder: Path
    predictions: dict[str, list[str]]


def write_pictures(folder: Path, *, turned: bool) -> None:
    """Write 20 images in two classes, upright or as cameras store them."""
    for number in range(20):
        image, exif = picture(number, (48, 40)), Image.Exif()
        orientation = 2 + number % 7
        if turned:
            image = image.transpose(STORED[orientation])
            exif[ORIENTATION] = orientation
        path = folder / ("cat" if number % 2 else "dog") / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(image, exif=exif))


def run_study(folder: Path, *, turned: bool) -> Study:
    """Bring images in, train on them, draw what the network sees, and predict the files."""
    write_pictures(folder / "pictures", turned=turned)
    write_params(folder, CHANGES)
    for stage, paths in STAGES.items():
        done = run_stage(folder, stage, *(() if stage == "train" else ("--dataset", "tiny")), *paths)
        assert done.returncode == 0, done.stderr
    command = [sys.executable, "-c", "from convnet.cli.main import main; main()"]
    words = ["predict", "models/tiny/baseline", "pictures", "--output", "predictions.csv"]
    subprocess.run([*command, *words], cwd=folder, env=environment(), capture_output=True, check=True)
    with (folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return Study(folder, {row["path"]: list(row.values()) for row in rows})


@pytest.fixture(scope="module")
def upright(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return run_study(tmp_path_factory.mktemp("upright"), turned=False)


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return run_study(tmp_path_factory.mktemp("turned"), turned=True)


def test_pictures_that_exif_turns_lie_otherwise_in_their_files(upright: Study, turned: Study) -> None:
    """What the tests below rest on."""
    for path in sorted(upright.folder.glob("pictures/*/*.png")):
        with Image.open(path) as one, Image.open(turned.folder / path.relative_to(upright.folder)) as other:
            assert one.tobytes() != other.tobytes()


def test_pictures_that_exif_turns_train_the_same_network(upright: Study, turned: Study) -> None:
    for split in ("train", "validation", "test"):
        images = [np.load(study.folder / "arrays" / split / "images.npy") for study in (upright, turned)]
        np.testing.assert_array_equal(*images)
    jobs = [read_json(study.folder / "models/tiny/baseline/job.json") for study in (upright, turned)]
    assert jobs[0]["seeds"][0]["weights_digest"] == jobs[1]["seeds"][0]["weights_digest"]


def test_pictures_that_exif_turns_are_predicted_alike(upright: Study, turned: Study) -> None:
    assert len(upright.predictions) == 20
    assert upright.predictions == turned.predictions


def test_pictures_that_exif_turns_are_drawn_upright(upright: Study, turned: Study) -> None:
    drawn = [path.relative_to(upright.folder) for path in sorted(upright.folder.glob("explanations/**/*.png"))]
    assert len(drawn) >= 4  # feature maps, Grad-CAM, filters and augmented images
    for path in drawn:
        with Image.open(upright.folder / path) as one, Image.open(turned.folder / path) as other:
            assert one.tobytes() == other.tobytes(), path
