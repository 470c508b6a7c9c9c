"""Trivial models on images whose answer is known, features against direct sums and PIL."""

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.dummy import DummyClassifier

from convnet.evaluation import trivial_models as trivial
from convnet.system.errors import UserError

CLASSES = ["cat", "dog"]


def coloured(n: int, seed: int, side: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Noise images: class 1 is a little redder."""
    generator = np.random.default_rng([seed, n])
    labels = generator.integers(0, 2, n)
    images = generator.integers(0, 200, (n, side, side, 3))
    images[..., 0] += 30 * labels[:, None, None]
    return images.astype(np.uint8), labels


def noise(n: int, seed: int, side: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Images that say nothing about their labels; class 1 is twice as frequent."""
    generator = np.random.default_rng([seed, n])
    return generator.integers(0, 256, (n, side, side, 3), dtype=np.uint8), generator.choice(2, n, p=[1 / 3, 2 / 3])


def test_thumbnail_agrees_with_pillow_box_means():
    images, _ = coloured(3, 0, side=32)
    grid = trivial.colour_features(images)[:, 64:].reshape(3, 8, 8, 3)
    for image, found in zip(images, grid, strict=True):
        expected = np.asarray(Image.fromarray(image).reduce(4)) / 255
        assert found == pytest.approx(expected, abs=1 / 255)


def test_colour_shares_agree_with_numpy_histogram():
    images, _ = coloured(5, 1)
    shares = trivial.colour_features(images)[:, :64]
    for image, found in zip(images, shares, strict=True):
        expected, _ = np.histogramdd(image.reshape(-1, 3), bins=(4, 4, 4), range=[(0, 256)] * 3)
        assert found == pytest.approx(expected.ravel() / (24 * 24), abs=1e-6)


@pytest.mark.parametrize("shape", [(5, 7), (8, 8), (9, 130), (300, 300)])
def test_any_image_size_gives_256_features_in_range(shape):
    images = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), dtype=np.uint8)
    features = trivial.colour_features(images)
    assert features.shape == (2, 256)
    assert features.min() >= 0
    assert features.max() <= 1
    assert features[:, :64].sum(axis=1) == pytest.approx(1)


def test_batches_do_not_change_features(monkeypatch):
    images, _ = coloured(20, 2)
    whole = trivial.colour_features(images)
    monkeypatch.setattr(trivial, "IMAGES_AT_ONCE", 7)
    assert (trivial.colour_features(images) == whole).all()


def test_majority_agrees_with_scikit_learn():
    train, test = noise(90, 3), noise(40, 4)
    rows = trivial.trivial_rows(train, noise(30, 5), test, CLASSES)
    oracle = DummyClassifier(strategy="prior").fit(train[0].reshape(90, -1), train[1])
    assert rows[0].name == trivial.MAJORITY
    assert rows[0].splits["test"].accuracy == oracle.score(test[0].reshape(40, -1), test[1])
    assert rows[0].splits["test"].balanced_accuracy == 0.5
    shares = trivial.majority_probabilities(train[1], 40, 2)
    assert shares == pytest.approx(oracle.predict_proba(test[0].reshape(40, -1)))


def test_colour_is_found_where_it_separates_the_classes_apart():
    rows = trivial.trivial_rows(coloured(200, 6), coloured(60, 7), coloured(100, 8), CLASSES)
    assert rows[1].name == trivial.THUMBNAILS
    assert rows[1].splits["test"].accuracy > 0.95
    assert [len(predicted) for predicted in rows[1].test_predictions] == [100]


def test_noise_is_not_learnt():
    rows = trivial.trivial_rows(noise(300, 9), noise(150, 10), noise(300, 11), CLASSES)
    assert rows[1].splits["test"].accuracy == pytest.approx(2 / 3, abs=0.08)


def test_rows_are_deterministic_and_fit_for_json():
    arguments = coloured(60, 12), coloured(30, 13), coloured(30, 14), CLASSES
    rows = trivial.trivial_rows(*arguments)
    assert rows == trivial.trivial_rows(*arguments)
    json.dumps([row.model_dump() for row in rows], allow_nan=False)


def test_many_training_images_are_thinned_evenly_by_class():
    labels = np.repeat([0, 1], [12_000, 4_000])
    chosen = trivial._evenly_spaced(labels)
    assert 3_000 < len(chosen) <= trivial.MOST_TRAIN_IMAGES
    assert labels[chosen].mean() == pytest.approx(0.25, abs=0.001)
    assert trivial._evenly_spaced(labels[:5_000]).tolist() == list(range(5_000))


def test_class_without_training_images_gets_probability_zero():
    train, test = coloured(60, 15), coloured(30, 16)
    shifted = [(images, 2 * labels) for images, labels in (train, test, test)]
    rows = trivial.trivial_rows(*shifted, ["cat", "nothing", "dog"])
    assert rows[1].splits["test"].recall["nothing"] is None
    assert set(rows[1].test_predictions[0]) <= {0, 2}


def test_one_class_is_a_user_error():
    images, labels = coloured(10, 17)
    with pytest.raises(UserError, match="fewer than two classes"):
        trivial.trivial_rows((images, 0 * labels), (images, labels), (images, labels), CLASSES)


def test_every_seed_with_its_own_split_has_its_own_models():
    parts = [coloured(90, 20), coloured(40, 21), coloured(50, 22)]
    images, labels = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    order = np.random.default_rng(3).permutation(180)
    divisions = [
        {"train": order[:100], "validation": order[100:140], "test": order[140:]},
        {"train": order[80:], "validation": order[60:80], "test": order[:60]},
    ]
    rows = trivial.trivial_rows_by_seed([part[0] for part in parts], labels, divisions, CLASSES)
    alone = [
        trivial.trivial_rows(*((images[division[split]], labels[division[split]]) for split in division), CLASSES)
        for division in divisions
    ]
    for number, row in enumerate(rows):
        assert row.test_predictions == [of_seed[number].test_predictions[0] for of_seed in alone]
        right = sum(of_seed[number].splits["test"].accuracy * n for of_seed, n in zip(alone, (40, 60), strict=True))
        assert row.splits["test"].n == 100
        assert row.splits["test"].accuracy == pytest.approx(right / 100)
