"""The commands of the README for own images, one after the other, in a copy of the project."""

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.clones import Clone
from helpers.tiny_dataset import encoded, picture
from helpers.tiny_run import start, write_tiny_params

ODD_NAMES = (
    "ä ö ü {}.png",
    "with space {}.png",
    "-dash{}.png",
    "semi;colon,{}.png",
    "new\nline{}.png",
    "quote'\"{}.png",
)
CLASSES = ("Kätzchen & co", "dogs")


def write_photos(folder: Path) -> None:
    """Write 60 images in two classes under odd names, and two files that are none."""
    for number, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for i in range(30):
            file = "plain{}.png" if i % 2 else ODD_NAMES[i // 2 % len(ODD_NAMES)]
            (folder / name / file.format(i)).write_bytes(encoded(picture(100 * number + i, (40, 40))))
    (folder / "dogs" / "empty.jpg").write_bytes(b"")
    (folder / "dogs" / "notes.jpg").write_text("buy film\n")


@pytest.mark.slow
def test_own_folder_goes_from_init_to_prediction_and_export(
    tmp_path: Path, clone_project: Callable[[Path], Clone]
) -> None:
    clone = start(clone_project(tmp_path / "clone"))
    write_tiny_params(clone.path, {"run.pixel_variants": ["baseline"], "run.seeds": [0], "sweep.enabled": False})
    write_photos(clone.path / "photos")
    told = clone.run("convnet", "init", "photos/").stdout
    assert "photos: 60 usable images in 2 classes" in told
    assert "1 file is skipped: dogs/empty.jpg: empty file" in told
    assert "1 file is skipped: dogs/notes.jpg: text file, not an image" in told
    clone.run("dvc", "repro")
    page = (clone.path / "reports" / "index.html").read_text("utf-8")
    assert "Kätzchen &amp; co" in page

    job = json.loads((clone.path / "models" / "best" / "photos" / "job.json").read_text("utf-8"))
    evaluation = json.loads(
        (clone.path / "data/evaluations/photos/variants" / f"{job['variant']}.json").read_text("utf-8")
    )
    seed = job["seeds"][0]["seed"]  # of the best model
    run = next(run for run in evaluation["seeds"] if run["seed"] == seed)
    tested = dict(zip(run["test_members"], run["test_probabilities"], strict=True))
    shutil.move(clone.path / "photos", tmp_path / "holiday")
    clone.run("convnet", "predict", "models/best/photos", tmp_path / "holiday", "--output", "predictions.csv")
    with (clone.path / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(not row["error"] for row in rows) == 60
    assert sum(bool(row["error"]) for row in rows) == 2
    predicted = {os.path.relpath(row["path"], tmp_path / "holiday"): row for row in rows}
    plain = {member: values for member, values in tested.items() if "plain" in member}
    assert plain
    # The images come to predict by another way than to the test split; decoding and network are the same.
    for member, values in plain.items():
        for name, probability in zip(CLASSES, values, strict=True):
            assert float(predicted[member][f"probability_{name}"]) == pytest.approx(probability, abs=1e-4)

    clone.run("convnet", "export", "models/best/photos", "--to", "onnx", "--images", tmp_path / "holiday" / "dogs")
    labels = json.loads((clone.path / "photos.onnx.labels.json").read_text("utf-8"))
    assert labels["classes"] == list(CLASSES)
