import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import imagehash
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from convnet.data.duplicates import Duplicates, find_duplicates, gradient_similarity, perceptual_hashes, thumbnail
from helpers.tiny_dataset import encoded, picture

Change = Callable[[Image.Image], Image.Image]

CHANGES: dict[str, Change] = {
    "resized": lambda image: image.resize((image.width * 6 // 10, image.height * 6 // 10)),
    "jpeg_quality_40": lambda image: Image.open(io.BytesIO(encoded(image, "JPEG", quality=40))),
    "mirrored": ImageOps.mirror,
    "brightened": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "darkened": lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    "grey": lambda image: image.convert("L"),
}


def _find(images: list[Image.Image], distance: int = 8) -> Duplicates:
    names = [str(index) for index in range(len(images))]
    return find_duplicates(names, np.stack([thumbnail(image) for image in images]), distance)


@pytest.mark.parametrize("mirror", [False, True])
def test_hash_is_that_of_imagehash(mirror: bool) -> None:
    images = [picture(seed, (120, 90)) for seed in range(100)]
    if mirror:
        images = [ImageOps.mirror(image) for image in images]
    ours = perceptual_hashes(np.stack([thumbnail(image) for image in images]))
    assert [f"{int(value):016x}" for value in ours] == [str(imagehash.phash(image)) for image in images]


def test_equal_bytes_are_an_exact_pair_with_the_first() -> None:
    thumbnails = np.stack([thumbnail(picture(seed)) for seed in (0, 1, 0, 2, 0)])
    found = find_duplicates(["a", "b", "a", "c", "a"], thumbnails, 8)
    assert found.exact_pairs.tolist() == [[0, 2], [0, 4]]
    assert found.near_pairs.tolist() == []
    assert found.groups.tolist() == [0, 1, 0, 3, 0]


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copy_is_found_and_nothing_else(change: str) -> None:
    originals = [picture(seed, (120, 90)) for seed in range(60)]
    found = _find([*originals, *(CHANGES[change](image) for image in originals)])
    assert found.near_pairs.tolist() == [[index, index + 60] for index in range(60)]
    assert found.groups.tolist() == [*range(60), *range(60)]


def test_hash_further_than_the_distance_is_not_looked_at() -> None:
    images = [picture(seed, (120, 90)) for seed in range(60)]
    thumbnails = np.stack([thumbnail(image) for image in images])
    brighter = np.stack([thumbnail(CHANGES["brightened"](image)) for image in images])
    bits = np.bitwise_count(perceptual_hashes(thumbnails) ^ perceptual_hashes(brighter))
    assert set(bits.tolist()) > {0}
    for distance in (0, 2):
        pairs = find_duplicates([str(i) for i in range(120)], np.concatenate([thumbnails, brighter]), distance)
        assert len(pairs.near_pairs) == np.count_nonzero(bits <= distance)


def test_plain_pictures_show_nothing_to_compare() -> None:
    plain = [Image.new("RGB", (40, 40), colour) for colour in ("white", "white", "red", "black")]
    assert len(_find(plain).near_pairs) == 0


def test_equal_hash_of_different_pictures_is_not_enough() -> None:
    # What differs lies above the eight lowest frequencies, where the hash does not look.
    base = np.asarray(picture(0, (32, 32)).convert("L")).astype(float)
    stripes = 40 * np.cos(np.pi / 32 * 20 * (np.arange(32) + 0.5))
    thumbnails = np.rint(np.stack([base, base + stripes])).astype(np.uint8)
    assert len(set(perceptual_hashes(thumbnails).tolist())) == 1
    assert len(find_duplicates(["a", "b"], thumbnails, 8).near_pairs) == 0


def test_gradient_similarity_is_the_cosine_of_numpy_gradients() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 256, (2, 5, 32, 32)).astype(np.uint8)

    def flat(image: NDArray[np.uint8]) -> NDArray[np.float64]:
        grey = image.astype(float)
        return np.concatenate([np.diff(grey, axis=1).ravel(), np.diff(grey, axis=0).ravel()])

    expected = [
        flat(p) @ flat(q) / np.linalg.norm(flat(p)) / np.linalg.norm(flat(q)) for p, q in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(gradient_similarity(a, b), expected, rtol=1e-12)
    np.testing.assert_allclose(gradient_similarity(a, a), 1.0, rtol=1e-12)


def test_pairs_do_not_depend_on_the_block_they_lie_in() -> None:
    thumbnails = np.stack([thumbnail(picture(seed % 300)) for seed in range(600)])  # blocks are of 256 rows
    found = find_duplicates([str(index) for index in range(600)], thumbnails, 8)
    assert found.near_pairs.tolist() == [[index, index + 300] for index in range(300)]


def test_groups_are_the_connected_components_of_scipy() -> None:
    thumbnails = np.stack([thumbnail(picture(seed, (48, 48))) for seed in range(50)])
    rng = np.random.default_rng(0)
    chosen = thumbnails[rng.integers(0, 50, 200)]
    found = find_duplicates([str(index) for index in range(200)], chosen, 8)
    i, j = found.near_pairs.T
    count, component = connected_components(coo_matrix((np.ones(len(i)), (i, j)), shape=(200, 200)), directed=False)
    assert len(set(found.groups.tolist())) == count
    for index in range(count):
        assert set(found.groups[component == index]) == {np.flatnonzero(component == index)[0]}


def test_photographs_have_no_false_pair_and_no_copy_is_missed(convnet_data: Path) -> None:
    with zipfile.ZipFile(convnet_data / "cats_and_dogs_filtered.zip") as archive:
        names = sorted(name for name in archive.namelist() if "/train/" in name and name.endswith(".jpg"))[::4]
        images = [Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in names]
    copies = [change(image) for image in images for change in CHANGES.values()]
    found = _find([*images, *copies])
    expected = [*range(len(images)), *np.repeat(np.arange(len(images)), len(CHANGES)).tolist()]
    assert found.groups.tolist() == expected
