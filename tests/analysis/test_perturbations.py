"""Perturbed copies: against Pillow's and scipy's own operations, and growing with their strength."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy import ndimage

from convnet.analysis.perturbations import PERTURBATIONS, perturb, perturb_all

RANDOM = ("rotation", "shift", "zoom", "brightness", "noise")


def picture(height: int = 60, width: int = 84, seed: int = 0, softness: float = 4.0) -> np.ndarray:
    """Soft blobs of colour: something an interpolation does not alter much."""
    noise = np.random.default_rng(seed).uniform(0, 1, (height, width, 3))
    smooth = ndimage.gaussian_filter(noise, (softness, softness, 0), mode="wrap")
    low, high = smooth.min(), smooth.max()
    return (255 * (smooth - low) / (high - low)).astype(np.uint8)


def seeds(*numbers: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(numbers)


def both_ways(image: np.ndarray, kind: str, strength: float) -> list[np.ndarray]:
    """The two outcomes of a perturbation that goes to one side or the other."""
    found = {perturb(image, kind, strength, seeds(n)).tobytes(): None for n in range(30)}
    return [np.frombuffer(data, np.uint8).reshape(image.shape) for data in found]


def scipy_move(image: np.ndarray, linear: np.ndarray, shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Move about the centre; linear and shift count (row, column)."""
    centre = (np.array(image.shape[:2]) - 1) / 2
    offset = centre - linear @ centre + shift
    channels = [
        ndimage.affine_transform(image[..., c].astype(float), linear, offset, order=1, mode="reflect") for c in range(3)
    ]
    return np.stack(channels, axis=-1)


def assert_each_matches_one(found: list[np.ndarray], expected: list[np.ndarray], levels: float) -> None:
    """Both outcomes occur, and each is within `levels` grey levels of its own oracle."""
    assert len(found) == len(expected) == 2
    distances = np.array([[np.abs(f - e.astype(float)).max() for e in expected] for f in found])
    assert distances.min(axis=1).max() <= levels, distances
    assert set(distances.argmin(axis=1)) == {0, 1}


@pytest.mark.parametrize("strength", PERTURBATIONS["rotation"])
@pytest.mark.parametrize("size", [(60, 84), (51, 50)])
def test_rotation_matches_scipy(strength: float, size: tuple[int, int]) -> None:
    image = picture(*size)
    c, s = np.cos(np.radians(strength)), np.sin(np.radians(strength))
    expected = [scipy_move(image, np.array([[c, sign * s], [-sign * s, c]])) for sign in (-1, 1)]
    assert_each_matches_one(both_ways(image, "rotation", strength), expected, levels=1.5)  # rounded places and levels


@pytest.mark.parametrize("strength", PERTURBATIONS["zoom"])
def test_zoom_matches_scipy(strength: float) -> None:
    image = picture()
    expected = [scipy_move(image, np.eye(2) * scale) for scale in (strength, 1 / strength)]
    assert_each_matches_one(both_ways(image, "zoom", strength), expected, levels=1.5)


@pytest.mark.parametrize("strength", PERTURBATIONS["shift"])
def test_shift_goes_the_given_share_in_any_direction(strength: float) -> None:
    image = picture()
    height, width = image.shape[:2]
    directions = []
    for n in range(12):
        moved = perturb(image, "shift", strength, seeds(n))
        angle = np.random.default_rng(seeds(n)).uniform(0, 2 * np.pi)
        shift = (strength * height * np.sin(angle), strength * width * np.cos(angle))
        assert np.abs(moved - scipy_move(image, np.eye(2), shift)).max() <= 1.5
        directions.append(angle)
    assert np.ptp(directions) > np.pi


@pytest.mark.parametrize("strength", PERTURBATIONS["brightness"])
def test_brightness_matches_pillow(strength: float) -> None:
    image = picture()
    pillow = ImageEnhance.Brightness(Image.fromarray(image))
    expected = [np.asarray(pillow.enhance(factor)) for factor in (strength, 1 / strength)]
    assert_each_matches_one(both_ways(image, "brightness", strength), expected, levels=1)  # Pillow cuts, we round


@pytest.mark.parametrize("strength", PERTURBATIONS["blur"])
def test_blur_is_near_a_true_gaussian(strength: float) -> None:
    image = picture(softness=1.5)
    sigma = strength * min(image.shape[:2])
    expected = ndimage.gaussian_filter(image.astype(float), (sigma, sigma, 0), mode="nearest")
    difference = np.abs(perturb(image, "blur", strength, seeds(0)) - expected)[8:-8, 8:-8]
    assert difference.mean() < 1
    assert difference.max() < 4  # Pillow approximates by three box blurs, and rounds


@pytest.mark.parametrize("strength", PERTURBATIONS["jpeg"])
def test_jpeg_is_a_file_of_the_given_quality(strength: float) -> None:
    image = picture()
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=int(strength))
    assert np.array_equal(perturb(image, "jpeg", strength, seeds(0)), np.asarray(Image.open(file).convert("RGB")))


@pytest.mark.parametrize("strength", PERTURBATIONS["noise"])
def test_noise_has_the_given_deviation_and_no_mean(strength: float) -> None:
    grey = np.full((120, 120, 3), 128, np.uint8)
    noise = perturb(grey, "noise", strength, seeds(0)) - 128.0
    clipped = np.clip(np.random.default_rng(1).normal(0, strength * 255, 10**6), -128, 127)
    assert noise.std() == pytest.approx(clipped.std(), rel=0.02)
    assert abs(noise.mean()) < 4 * strength * 255 / np.sqrt(noise.size) + 0.5
    channels = np.corrcoef(noise.reshape(-1, 3).T)
    assert np.abs(channels - np.eye(3)).max() < 0.05, "each channel has its own noise"


@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_damage_grows_with_strength_and_is_visible(kind: str) -> None:
    # What a blur removes is fine; what a move brings must grow with its distance.
    images = np.stack([picture(seed=n, softness=1.5 if kind == "blur" else 4.0) for n in range(10)])
    damage = [np.abs(perturb_all(images, kind, s, 0) - images.astype(float)).mean() for s in PERTURBATIONS[kind]]
    assert damage == sorted(damage)
    assert damage[0] > 1, "even the weakest is seen: over one grey level on average"
    assert damage[2] > 1.5 * damage[0]


@pytest.mark.parametrize("kind", ["rotation", "shift", "zoom"])
@pytest.mark.parametrize("size", [(40, 40), (33, 70)])
def test_a_moved_image_has_no_black_border(kind: str, size: tuple[int, int]) -> None:
    white = np.full((*size, 3), 255, np.uint8)
    for n in range(8):
        assert perturb(white, kind, PERTURBATIONS[kind][2], seeds(n)).min() == 255


@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_equal_arguments_give_equal_bytes_and_the_input_stays(kind: str) -> None:
    images = np.stack([picture(seed=n) for n in range(3)])
    before = images.copy()
    strength = PERTURBATIONS[kind][1]
    one, other = perturb_all(images, kind, strength, 5), perturb_all(images, kind, strength, 5)
    assert one.dtype == np.uint8
    assert one.shape == images.shape
    assert np.array_equal(one, other)
    assert np.array_equal(images, before)


@pytest.mark.parametrize("kind", RANDOM)
def test_images_and_seeds_draw_differently(kind: str) -> None:
    images = np.stack([picture()] * 20)
    strength = PERTURBATIONS[kind][1]
    perturbed = perturb_all(images, kind, strength, 5)
    assert len({image.tobytes() for image in perturbed}) >= 2
    assert not np.array_equal(perturbed, perturb_all(images, kind, strength, 6))


@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_an_image_is_perturbed_alike_whatever_stands_behind_it(kind: str) -> None:
    images = np.stack([picture(seed=n) for n in range(4)])
    strength = PERTURBATIONS[kind][0]
    assert np.array_equal(perturb_all(images, kind, strength, 3)[:2], perturb_all(images[:2], kind, strength, 3))


@pytest.mark.parametrize("kind", ["rotation", "zoom", "brightness"])
def test_a_greater_strength_goes_the_same_way(kind: str) -> None:
    image = picture()
    for n in range(6):
        weak, strong = (perturb(image, kind, s, seeds(n)).astype(float) for s in PERTURBATIONS[kind][:2])
        towards = ((weak - image) * (strong - image)).sum()
        assert towards > 0
