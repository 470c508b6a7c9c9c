"""Find images that a dataset holds more than once: equal files, and resized, recompressed or mirrored copies.

A perceptual hash alone proves nothing: different images on a plain ground (rendered hands on white) share hashes. The
hash names candidates, and the gradients of small thumbnails confirm them. Larger thumbnails then show whether two
images differ in their noise or in one place, as the images of a fixed camera do. All sums are integers, so every
machine finds the same pairs.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from convnet.data.near_hashes import near_pairs

SIDE = 32  # pixels of a thumbnail's side
FINE_SIDE, BLOCK = 64, 8  # pixels of a large thumbnail's side, and of a square in it
LOW = 8  # lowest frequencies kept in each direction, 8 * 8 = 64 bits

# Cosine similarity of thumbnail gradients from which a candidate counts as the same image. Planted copies (resized,
# JPEG quality 40, mirrored, brightened by 20 %) of 500 photographs reach at least 0.959, of 500 rendered hands 0.931.
# Of the 4.5 million pairs of 3000 photographs one is above 0.8, and shows the same image twice.
SAME_GRADIENTS = 0.9

# Grey levels of the residual between two large thumbnails, after brightness and contrast of each square are fitted.
# NOISE is the first quartile over the squares, PLACE the largest of them. Of planted copies of 300 photographs, 300
# rendered hands and 300 rendered horses NOISE is at most 1.45 and PLACE 11.7. Images of a fixed camera have 2.47 and
# more of NOISE (noise of its own) or 16.4 and more of PLACE (another object).
NOISE, PLACE = 2.0, 13.0
SATURATED = 240  # grey level; brighter pixels may be cut off in one of the images
FEWEST_PIXELS = 16  # of a square that are not saturated
# More like images than this are a fixed camera's: a share of the dataset, and a number.
FIXED_CAMERA_SHARE, FIXED_CAMERA_IMAGES = 0.2, 10

_COSINES = np.rint(  # (8, 32), DCT-II basis in fixed point
    2**20 * np.cos(np.pi / SIDE * np.arange(LOW)[:, None] * (np.arange(SIDE) + 0.5))
).astype(np.int64)
_PAIRS_PER_BLOCK = 4096


@dataclass(frozen=True)
class Duplicates:
    """Which images show the same image.

    Attributes:
        exact_pairs: int64 (k, 2); each file paired with the first file of equal bytes.
        near_pairs: int64 (k, 2); different bytes, same image. Of equal files only the first is compared.
        groups: int64 (n,); for each image the index of its group's first image, its own if it has no copy. Every image
            of a group is equal to the first, or a near pair with it.
        fixed_camera: number of images that look alike in so large a share of the dataset that they count as different.
    """

    exact_pairs: npt.NDArray[np.int64]
    near_pairs: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    fixed_camera: int = 0


def thumbnail(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Return the image in grey, squeezed to uint8 (32, 32)."""
    return _squeezed(image, SIDE)


def fine_thumbnail(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Return the image in grey, squeezed to uint8 (64, 64)."""
    return _squeezed(image, FINE_SIDE)


def perceptual_hashes(thumbnails: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Return 64-bit perceptual hashes: which of the lowest 8x8 cosine frequencies exceed their median.

    The definition and bit order are those of ImageHash's `phash` (http://hackerfactor.com, "Looks Like It", 2011).

    Args:
        thumbnails: uint8 (n, 32, 32).

    Returns:
        uint64 (n,), the first frequency in the highest bit.
    """
    frequencies = np.empty((len(thumbnails), LOW * LOW), np.int64)
    for start in range(0, len(thumbnails), _PAIRS_PER_BLOCK):
        block = thumbnails[start : start + _PAIRS_PER_BLOCK].astype(np.int64)
        frequencies[start : start + len(block)] = (_COSINES @ block @ _COSINES.T).reshape(len(block), LOW * LOW)
    ordered = np.sort(frequencies, axis=1)
    twice_median = ordered[:, LOW * LOW // 2 - 1] + ordered[:, LOW * LOW // 2]
    bits = 2 * frequencies > twice_median[:, None]
    return np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64)


def gradient_similarity(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Return the cosine between the grey-level gradients of thumbnails, pair by pair.

    The result does not depend on brightness or contrast. An image whose gradients are below one grey level (root mean
    square) has nothing to recognise, and the similarity 0.

    Args:
        first: uint8 (n, 32, 32).
        second: uint8 (n, 32, 32).

    Returns:
        float64 (n,) in [-1, 1].
    """
    a, b = _gradients(first), _gradients(second)
    energy_a, energy_b = _dot(a, a), _dot(b, b)
    seen = np.minimum(energy_a, energy_b) >= a.shape[1]
    norms = np.sqrt(energy_a.astype(np.float64) * energy_b.astype(np.float64))
    return np.divide(_dot(a, b), norms, out=np.zeros(len(a)), where=seen)


def find_duplicates(
    sha256: Sequence[str],
    thumbnails: npt.NDArray[np.uint8],
    distance: int,
    fine_thumbnails: npt.NDArray[np.uint8] | None = None,
) -> Duplicates:
    """Find images of equal bytes and images that show the same image, mirrored or not.

    Args:
        sha256: digest of each file's bytes, n of them.
        thumbnails: uint8 (n, 32, 32), as made by `thumbnail`.
        distance: the largest number of differing hash bits (0 to 64) of a candidate. 8 finds 98 % or more of copies
            brightened by 20 %, and all that are resized, recompressed or mirrored.
        fine_thumbnails: uint8 (n, 64, 64), as made by `fine_thumbnail`; None leaves out the finer check.
    """
    _, first, content = np.unique(np.array(sha256, dtype=str), return_index=True, return_inverse=True)
    copies = np.flatnonzero(first[content] != np.arange(len(content)))
    exact = np.stack([first[content[copies]], copies], axis=1).astype(np.int64).reshape(-1, 2)
    distinct = np.sort(first).astype(np.int64)
    alike = _first_alike(thumbnails, fine_thumbnails, distinct)
    compared = np.flatnonzero(alike == np.arange(len(alike)))  # of images with equal thumbnails only the first
    rows = distinct[compared]
    found = _leaders(len(rows), _same_image(thumbnails[rows], fine_thumbnails, rows, distance))
    leaders = compared[found][np.searchsorted(compared, alike)]
    fixed_camera = _dissolve(leaders)
    members = np.flatnonzero(leaders != np.arange(len(leaders)))
    near = np.stack([distinct[leaders[members]], distinct[members]], axis=1).reshape(-1, 2)
    group_of = np.arange(len(content), dtype=np.int64)
    group_of[distinct] = distinct[leaders]
    return Duplicates(exact, near[np.lexsort((near[:, 1], near[:, 0]))], group_of[first[content]], fixed_camera)


def _first_alike(
    thumbnails: npt.NDArray[np.uint8], fine: npt.NDArray[np.uint8] | None, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return for each of `rows` the position of the first one with equal thumbnails; its own where nothing shows."""
    seen: dict[bytes, int] = {}
    alike = np.arange(len(rows), dtype=np.int64)
    for position, row in enumerate(rows.tolist()):
        content = thumbnails[row].tobytes() + (b"" if fine is None else fine[row].tobytes())
        first = seen.setdefault(hashlib.sha256(content).digest(), position)
        pair = thumbnails[[rows[first], row]]
        if first < position and gradient_similarity(pair[:1], pair[1:])[0] >= SAME_GRADIENTS:
            alike[position] = first
    return alike


def _same_image(
    thumbnails: npt.NDArray[np.uint8],
    fine: npt.NDArray[np.uint8] | None,
    rows: npt.NDArray[np.int64],
    distance: int,
) -> npt.NDArray[np.int64]:
    """Return the pairs i < j that show the same image, mirrored or not, in order; i has its fine one in `rows[i]`."""
    hashes = perceptual_hashes(thumbnails)
    found = []
    for turn in (slice(None), slice(None, None, -1)):
        others = thumbnails[:, :, turn]
        for candidates in near_pairs(hashes, perceptual_hashes(others), distance):
            pairs = candidates[_confirmed(thumbnails, others, candidates)]
            found.append(pairs if fine is None else pairs[_differ_nowhere(fine, fine[:, :, turn], rows[pairs])])
    return np.unique(np.concatenate([np.empty((0, 2), np.int64), *found]), axis=0)


def _leaders(count: int, pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return for each image the first image of its group; an image joins only a first image that it is a pair with."""
    leaders = np.arange(count, dtype=np.int64)
    for i, j in pairs.tolist():
        if leaders[i] == i and leaders[j] == j:
            leaders[j] = i
    return leaders


def _dissolve(leaders: npt.NDArray[np.int64]) -> int:
    """Take groups apart that are too large a share of the dataset, and return the number of their images."""
    sizes = np.bincount(leaders, minlength=len(leaders))
    least = max(FIXED_CAMERA_IMAGES, FIXED_CAMERA_SHARE * len(leaders))
    taken = np.flatnonzero(sizes[leaders] > least)
    leaders[taken] = taken
    return len(taken)


def _confirmed(
    thumbnails: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8], pairs: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    same = np.empty(len(pairs), dtype=np.bool_)
    for start in range(0, len(pairs), _PAIRS_PER_BLOCK):
        i, j = pairs[start : start + _PAIRS_PER_BLOCK].T
        same[start : start + _PAIRS_PER_BLOCK] = gradient_similarity(thumbnails[i], others[j]) >= SAME_GRADIENTS
    return same


def _gradients(thumbnails: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    grey = thumbnails.astype(np.int32)
    across = np.diff(grey, axis=2).reshape(len(grey), SIDE * (SIDE - 1))
    down = np.diff(grey, axis=1).reshape(len(grey), SIDE * (SIDE - 1))
    return np.concatenate([across, down], axis=1)


def _dot(a: npt.NDArray[np.int32], b: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Return the row-wise dot products; 1984 products of at most 255 * 255 fit in 32 bits."""
    products: npt.NDArray[np.int64] = np.einsum("ij,ij->i", a, b).astype(np.int64)
    return products


def _differ_nowhere(
    fine: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8], pairs: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    same = np.empty(len(pairs), dtype=np.bool_)
    for start in range(0, len(pairs), _PAIRS_PER_BLOCK // 4):
        i, j = pairs[start : start + _PAIRS_PER_BLOCK // 4].T
        noise, place = residuals(fine[i], others[j])
        same[start : start + _PAIRS_PER_BLOCK // 4] = (noise <= NOISE) & (place <= PLACE)
    return same


def residuals(
    first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return by how many grey levels images differ, beyond brightness and contrast of each 8x8 square.

    A square's residual is the root mean square of a linear fit, the larger of both directions.

    Args:
        first: uint8 (n, 64, 64).
        second: uint8 (n, 64, 64).

    Returns:
        Two arrays float64 (n,): the first quartile over the squares, and the largest.
    """
    a, b = _squares(first), _squares(second)
    seen = ((a < SATURATED) & (b < SATURATED)).astype(np.int32)
    a, b, count = a * seen, b * seen, seen.sum(axis=2, dtype=np.int32)
    sum_a, sum_b = a.sum(axis=2, dtype=np.int32), b.sum(axis=2, dtype=np.int32)
    # Sums of squares around the mean, times the number of pixels: whole numbers below 2 ** 30.
    aa, bb, ab = (
        (count * np.einsum("nsp,nsp->ns", x, y) - total * other).astype(np.float64)
        for x, y, total, other in ((a, a, sum_a, sum_a), (b, b, sum_b, sum_b), (a, b, sum_a, sum_b))
    )
    left = np.maximum(aa - ab * ab / np.maximum(bb, 1), bb - ab * ab / np.maximum(aa, 1))
    left[count < FEWEST_PIXELS] = 0.0
    squares = np.sort(np.sqrt(np.maximum(left, 0.0)) / np.maximum(count, 1), axis=1)
    return squares[:, squares.shape[1] // 4], squares[:, -1]


def _squares(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return the pixels of each square: int32 (n, 64, 64) from uint8 (n, 64, 64)."""
    side = FINE_SIDE // BLOCK
    squares = images.reshape(-1, side, BLOCK, side, BLOCK).transpose(0, 1, 3, 2, 4)
    return squares.reshape(-1, side * side, BLOCK * BLOCK).astype(np.int32)


def _squeezed(image: Image.Image, side: int) -> npt.NDArray[np.uint8]:
    return np.asarray(image.convert("L").resize((side, side), Image.Resampling.LANCZOS))
