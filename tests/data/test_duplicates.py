import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import imagehash
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from convnet.data.archives import open_archive
from convnet.data.duplicates import (
    Duplicates,
    find_duplicates,
    fine_thumbnail,
    gradient_similarity,
    perceptual_hashes,
    residuals,
    thumbnail,
)
from convnet.data.near_hashes import MOST_CANDIDATES, near_pairs
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
    small, fine = (np.stack([squeeze(image) for image in images]) for squeeze in (thumbnail, fine_thumbnail))
    return find_duplicates(names, small, distance, fine)


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


def test_pairs_of_many_images() -> None:
    thumbnails = np.stack([thumbnail(picture(seed % 300)) for seed in range(600)])
    found = find_duplicates([str(index) for index in range(600)], thumbnails, 8)
    assert found.near_pairs.tolist() == [[index, index + 300] for index in range(300)]


def test_every_image_of_a_group_is_a_pair_with_its_first() -> None:
    # A is like B and B like C, but A is unlike C: a chain would join strangers.
    start, end = (np.asarray(picture(seed, (64, 64)).convert("L")).astype(float) for seed in (1, 2))
    chain = [Image.fromarray(np.rint(start + (end - start) * step / 40).astype(np.uint8)) for step in range(41)]
    thumbnails = np.stack([thumbnail(image) for image in chain])
    found = find_duplicates([str(index) for index in range(41)], thumbnails, 8)
    assert 2 <= len(set(found.groups.tolist())) < 41
    for index, first in enumerate(found.groups.tolist()):
        assert gradient_similarity(thumbnails[[first]], thumbnails[[index]])[0] >= 0.9
        assert found.groups[first] == first


def test_equal_images_are_one_group() -> None:
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, 50, 200)
    thumbnails = np.stack([thumbnail(picture(seed, (48, 48))) for seed in range(50)])[chosen]
    found = find_duplicates([str(index) for index in range(200)], thumbnails, 8)
    first = {seed: index for index, seed in reversed(list(enumerate(chosen.tolist())))}
    assert found.groups.tolist() == [first[seed] for seed in chosen.tolist()]


def _camera(count: int, noise: float, scratched: bool = False) -> list[Image.Image]:
    """Return images of one scene: each with noise of its own, and a scratch at a place of its own if asked."""
    scene = np.asarray(picture(5, (96, 96))).astype(float)
    images = []
    for index in range(count):
        rng = np.random.default_rng([index])
        image = Image.fromarray(np.clip(np.rint(scene + rng.normal(0, noise, scene.shape)), 0, 255).astype(np.uint8))
        if scratched:
            left, top = rng.integers(10, 70, 2).tolist()
            ImageDraw.Draw(image).line([(left, top), (left + 14, top + 6)], fill=(10, 10, 10), width=2)
        images.append(image)
    return images


@pytest.mark.parametrize(("noise", "scratched"), [(6.0, False), (6.0, True), (0.5, True)])
def test_images_of_a_fixed_camera_are_no_copies(noise: float, scratched: bool) -> None:
    images = _camera(8, noise, scratched)
    assert len(find_duplicates(list("abcdefgh"), np.stack([thumbnail(image) for image in images]), 8).near_pairs) > 0
    assert len(_find(images).near_pairs) == 0


def test_a_large_share_of_like_images_is_a_fixed_camera() -> None:
    others = [picture(seed, (96, 96)) for seed in range(100, 120)]
    found = _find([*_camera(30, 0.5), *others, others[0].resize((60, 60))])
    assert found.near_pairs.tolist() == [[30, 50]]
    assert found.fixed_camera == 30


def test_changed_copies_of_a_noisy_image_differ_by_less_than_two_frames() -> None:
    first, second = (np.stack([fine_thumbnail(image)]) for image in _camera(2, 6.0))
    brighter = np.stack([fine_thumbnail(CHANGES["brightened"](_camera(1, 6.0)[0]))])
    assert residuals(first, brighter)[0] < 1 < 2 < residuals(first, second)[0]
    assert residuals(first, first) == (0.0, 0.0)


@pytest.mark.parametrize("distance", [0, 3, 8, 16])
def test_near_hashes_are_those_of_a_comparison_of_all_pairs(distance: int) -> None:
    rng = np.random.default_rng(distance)
    base = rng.integers(0, 2**64, 300, dtype=np.uint64)
    flips = np.array(
        [sum(1 << bit for bit in rng.choice(64, count % 20, False).tolist()) for count in range(300)], np.uint64
    )
    hashes = np.concatenate([base, base ^ flips])
    i, j = np.triu_indices(600, 1)
    near = np.bitwise_count(hashes[i] ^ hashes[j]) <= distance
    found = np.concatenate(list(near_pairs(hashes, hashes, distance)))
    assert sorted(map(tuple, found.tolist())) == list(zip(i[near].tolist(), j[near].tolist(), strict=True))


def test_equal_hashes_of_all_images_give_a_bounded_number_of_pairs() -> None:
    hashes = np.zeros(10_000, np.uint64)
    assert sum(len(pairs) for pairs in near_pairs(hashes, hashes, 8)) <= 10_000 * MOST_CANDIDATES


@pytest.mark.parametrize("name", ["inspection.tgz", "static_cam.tgz", "inspection_split.tgz"])
def test_field_images_of_a_fixed_camera_are_no_copies(convnet_data: Path, name: str) -> None:
    path = convnet_data.resolve().parent / "field" / name
    if not path.is_file():
        pytest.skip(f"{name} is not beside the folder that CONVNET_DATA names")
    with open_archive(path) as archive:
        images = [Image.open(io.BytesIO(data)) for _, data in archive.read_all() if isinstance(data, bytes)]
    assert len(_find(images).near_pairs) == 0


def test_photographs_have_no_false_pair_and_no_copy_is_missed(convnet_data: Path) -> None:
    with zipfile.ZipFile(convnet_data / "cats_and_dogs_filtered.zip") as archive:
        names = sorted(name for name in archive.namelist() if "/train/" in name and name.endswith(".jpg"))[::4]
        images = [Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in names]
    copies = [change(image) for image in images for change in CHANGES.values()]
    found = _find([*images, *copies])
    expected = [*range(len(images)), *np.repeat(np.arange(len(images)), len(CHANGES)).tolist()]
    assert found.groups.tolist() == expected


def test_many_images_of_equal_thumbnails_are_one_group_and_flat_ones_are_none() -> None:
    generator = np.random.default_rng(0)
    kinds = generator.integers(0, 256, (300, 64, 64), dtype=np.uint8)
    fine = np.concatenate([kinds, *(40 * [kinds[:1]]), *(50 * [np.full((1, 64, 64), 9, np.uint8)])])
    small = fine[:, ::2, ::2]
    found = find_duplicates([str(i) for i in range(len(fine))], small, 8, fine)
    assert np.flatnonzero(found.groups == 0).tolist() == [0, *range(300, 340)]
    assert len(found.near_pairs) == 40
    assert found.groups[340:].tolist() == list(range(340, 390))
