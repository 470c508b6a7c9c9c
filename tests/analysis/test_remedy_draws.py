"""Figures of remedies against the images that training sees."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convnet.analysis.remedy_draws import apply_remedy, changing_remedies, draw_remedies
from convnet.data.arrays import load_arrays
from convnet.jobs.predictions import Prediction, save_predictions
from convnet.params.recipe import resolve
from convnet.remedies.mixup import REMEDY, Mixup
from convnet.system.files import read_json, write_json
from helpers import tiny_study as tiny

tiny.start_keras()

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0])
NAMES = ["baseline", "mixup", "cutmix", "erasing", "augmented_strong", "brightness", "combined"]


def test_mixup_is_that_of_a_training_step(tmp_path: Path) -> None:
    recipe = resolve(tiny.params(tmp_path), "tiny", "mixup")
    images, shares = apply_remedy("mixup", recipe, IMAGES, LABELS, 3, (7, 2))
    generator = np.random.default_rng([7, 2, zlib.crc32(b"mixup")])
    own = REMEDY.draws(Mixup(), generator, 4)[:, 0]
    for number in range(4):
        mixed = own[number] * IMAGES[number] + (1 - own[number]) * IMAGES[number - 1]
        np.testing.assert_allclose(images[number], mixed, atol=0.51)
        expected = own[number] * np.eye(3)[LABELS[number]] + (1 - own[number]) * np.eye(3)[LABELS[number - 1]]
        np.testing.assert_allclose(shares[number], expected, atol=1e-6)


def test_two_classes_have_a_share_each(tmp_path: Path) -> None:
    recipe = resolve(tiny.params(tmp_path), "tiny", "mixup")
    _, shares = apply_remedy("mixup", recipe, IMAGES, LABELS % 2, 2, (0, 1))
    assert shares.shape == (4, 2)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=1e-6)


def test_only_the_remedies_of_the_run_that_change_images_are_drawn(tmp_path: Path) -> None:
    params = tiny.params(tmp_path, {"run.pixel_variants": NAMES, "explain.images": 4})
    assert list(changing_remedies(params, "tiny")) == ["mixup", "cutmix", "erasing", "augmented_strong", "colour"]
    arrays, models, out = (tmp_path / name for name in ("arrays", "models", "out"))
    tiny.write_arrays(arrays)
    labels = load_arrays(arrays, "train").labels
    rows = np.arange(len(labels))
    chances = np.full((len(labels), 2), 0.5, np.float32)
    prediction = Prediction(chances, labels, rows)
    for name in NAMES:
        save_predictions(models / name / "predictions.npz", {params.run.seeds[0]: {"train": prediction}})
    write_json(out / "figures.json", [{"kept": True}])
    draw_remedies(params, "tiny", arrays, models, out)
    first, *entries = read_json(out / "figures.json")
    assert first == {"kept": True}
    assert [entry["file"] for entry in entries] == [
        f"remedy_{name}.png" for name in ("mixup", "cutmix", "erasing", "augmented_strong", "colour")
    ]
    assert {entry["section"] for entry in entries} == {"variants"}
    for entry in entries:
        Image.open(out / entry["file"]).verify()


@pytest.mark.parametrize("variant", ["erasing", "brightness"])
def test_labels_stay_where_images_are_not_mixed(tmp_path: Path, variant: str) -> None:
    recipe = resolve(tiny.params(tmp_path), "tiny", variant)
    (remedy,) = recipe.remedies
    images, shares = apply_remedy(remedy, recipe, IMAGES, LABELS, 3, (0, 1))
    assert (images != IMAGES).any()
    np.testing.assert_array_equal(shares, np.eye(3)[LABELS])
