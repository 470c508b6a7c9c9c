"""The rendered datasets: equal bytes for equal seeds, and no class told by anything but the shape of its object."""

import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from convnet.rendering.datasets import RENDERED, render_archive, render_image, render_with_mask
from convnet.system.errors import UserError

PER_CLASS = {"pets": 120, "hands": 80}
TARGETS = sorted(PER_CLASS)
Drawn = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]


def drawn(dataset: str) -> Drawn:
    """Return images (n, 64, 64, 3), masks (n, 64, 64), both 0..1, and labels (n,)."""
    pictures, masks, labels = [], [], []
    for label, name in enumerate(RENDERED[dataset]):
        for index in range(PER_CLASS[dataset]):
            picture, mask = render_with_mask(dataset, name, index, seed=0)
            pictures.append(np.asarray(picture) / 255)
            masks.append(np.asarray(mask) / 255)
            labels.append(label)
    return np.stack(pictures), np.stack(masks), np.array(labels)


@pytest.fixture(scope="module", params=TARGETS)
def target(request: pytest.FixtureRequest) -> Drawn:
    return drawn(request.param)


def cross_validated(features: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.001, max_iter=500))
    return float(cross_val_score(model, features, labels, cv=5).mean())


def members(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        render_archive("pets", 3, 7, (64, 64), tmp_path / f"{name}.zip")
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()


def test_another_seed_gives_other_pictures() -> None:
    pictures = {render_image("hands", "rock", index, seed).tobytes() for seed in range(3) for index in range(4)}
    assert len(pictures) == 12


def test_picture_does_not_depend_on_how_many_are_drawn(tmp_path: Path) -> None:
    render_archive("hands", 2, 0, (64, 64), tmp_path / "few.zip")
    render_archive("hands", 4, 0, (64, 64), tmp_path / "many.zip")
    with zipfile.ZipFile(tmp_path / "few.zip") as few, zipfile.ZipFile(tmp_path / "many.zip") as many:
        assert all(few.read(name) == many.read(name) for name in few.namelist())


@pytest.mark.parametrize("dataset", list(RENDERED))
def test_archive_holds_every_class_equally_often(dataset: str, tmp_path: Path) -> None:
    render_archive(dataset, 2, 0, (64, 64), tmp_path / "a.zip")
    names = members(tmp_path / "a.zip")
    assert names == sorted(names)
    assert Counter(name.split("/")[1] for name in names) == dict.fromkeys(RENDERED[dataset], 2)
    assert all(name.startswith(f"{dataset}/") for name in names)


def test_archive_layout(tmp_path: Path) -> None:
    render_archive("pets", 2, 0, (64, 64), tmp_path / "pets.zip")
    assert members(tmp_path / "pets.zip") == [
        "pets/cats/cats-0001.jpg", "pets/cats/cats-0002.jpg", "pets/dogs/dogs-0001.jpg", "pets/dogs/dogs-0002.jpg",
    ]  # fmt: skip


@pytest.mark.parametrize("image_size", [(64, 64), (48, 80), (150, 150)])
def test_image_size_is_height_then_width(image_size: tuple[int, int], tmp_path: Path) -> None:
    render_archive("source", 1, 0, image_size, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        for name in archive.namelist():
            with archive.open(name) as file, Image.open(file) as picture:
                assert (picture.format, picture.mode) == ("JPEG", "RGB")
                assert (picture.height, picture.width) == image_size


def test_source_shares_no_class_with_the_targets() -> None:
    assert 8 <= len(RENDERED["source"]) <= 12
    assert not {*RENDERED["source"]} & {*RENDERED["pets"], *RENDERED["hands"]}


def test_object_is_in_every_picture() -> None:
    for dataset, classes in RENDERED.items():
        for name in classes:
            shares = [np.asarray(render_with_mask(dataset, name, index, 0)[1]).mean() / 255 for index in range(5)]
            assert 0.03 < min(shares) < max(shares) < 0.7


# Chance is 0.5 and 1/3. Mean colour and size of the object, of the background, and how they differ.
def test_colour_and_size_do_not_tell_the_class(target: Drawn) -> None:
    pictures, masks, labels = target
    weights = masks[..., None]
    inside = (pictures * weights).sum((1, 2)) / weights.sum((1, 2))
    outside = (pictures * (1 - weights)).sum((1, 2)) / (1 - weights).sum((1, 2))
    features = np.hstack([inside, outside, masks.mean((1, 2))[:, None]])
    chance = 1 / len(set(labels))
    assert cross_validated(features, labels) < chance + 0.08


def test_thumbnail_does_not_tell_the_class(target: Drawn) -> None:
    pictures, _, labels = target
    thumbnails = pictures.reshape(-1, 8, 8, 8, 8, 3).mean((2, 4)).reshape(len(pictures), -1)
    assert cross_validated(thumbnails, labels) < 0.65


def test_unknown_dataset_and_class_are_user_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="choose one of pets, hands, source"):
        render_image("birds", "cats", 0, 0)
    with pytest.raises(UserError, match="choose one of cats, dogs"):
        render_image("pets", "birds", 0, 0)
    with pytest.raises(UserError, match="birds"):
        render_archive("birds", 1, 0, (64, 64), tmp_path / "a.zip")
    assert not list(tmp_path.iterdir())
