"""Find pairs of 64-bit hashes that differ in few bits, without a comparison of all pairs.

Four bands of 16 bits divide a hash. Two hashes within `distance` bits differ in at most `distance` // 4 bits of one
band. A table for each band gives the hashes of every such value.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import numpy.typing as npt

BANDS, BITS = 4, 16
MOST_CANDIDATES = 32  # nearest hashes kept for each image, so that the number of pairs grows with the images only
MOST_IN_BUCKET = 1024  # of equal bands; real datasets stay far below
ROWS_AT_ONCE = 1024
PAIRS_AT_ONCE = 4_000_000

Hashes = npt.NDArray[np.uint64]
Pairs = npt.NDArray[np.int64]  # (k, 2)


def near_pairs(hashes: Hashes, others: Hashes, distance: int) -> Iterator[Pairs]:
    """Yield the pairs i < j for which `hashes[i]` and `others[j]` differ in at most `distance` bits.

    Each i has at most `MOST_CANDIDATES` pairs, those of the smallest difference.

    Args:
        hashes: uint64 (n,).
        others: uint64 (n,), for example of the mirrored images.
        distance: bits, 0 to 64.
    """
    tables = [_table(_band(others, band)) for band in range(BANDS)]
    masks = _masks(distance // BANDS)
    for start in range(0, len(hashes), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(hashes)), dtype=np.int64)
        found = [np.empty((0, 2), np.int64)]
        for band, (order, starts) in enumerate(tables):
            for mask in masks:
                values = _band(hashes[rows], band) ^ mask
                found += _in_buckets(rows, values, order, starts, hashes, others, distance)
                if sum(map(len, found)) > PAIRS_AT_ONCE // 4:
                    found = [_nearest(found, hashes, others)]
        yield _nearest(found, hashes, others)


def _band(hashes: Hashes, band: int) -> npt.NDArray[np.uint16]:
    return (hashes >> np.uint64(BITS * band)).astype(np.uint16)


def _masks(bits: int) -> list[np.uint16]:
    """Return all values of a band with at most so many bits set."""
    return [
        np.uint16(sum(1 << bit for bit in chosen))
        for count in range(bits + 1)
        for chosen in combinations(range(BITS), count)
    ]


def _table(values: npt.NDArray[np.uint16]) -> tuple[Pairs, Pairs]:
    """Return the images ordered by their value, and where each of the 65,536 values starts."""
    order = np.argsort(values, kind="stable").astype(np.int64)
    counts = np.bincount(values, minlength=1 << BITS)
    return order, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _in_buckets(
    rows: Pairs,
    values: npt.NDArray[np.uint16],
    order: Pairs,
    starts: Pairs,
    hashes: Hashes,
    others: Hashes,
    distance: int,
) -> Iterator[Pairs]:
    first = starts[values]
    counts = np.minimum(starts[values.astype(np.int64) + 1] - first, MOST_IN_BUCKET)
    ends = np.cumsum(counts)
    begin = 0
    while begin < len(rows):
        done = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + PAIRS_AT_ONCE, side="right")))
        part = counts[begin:end]
        i = np.repeat(rows[begin:end], part)
        if len(i):
            within = np.arange(len(i)) - np.repeat(np.cumsum(part) - part, part)
            j = order[np.repeat(first[begin:end], part) + within]
            near = (i < j) & (np.bitwise_count(hashes[i] ^ others[j]) <= distance)
            if near.any():
                yield np.stack([i[near], j[near]], axis=1)
        begin = end


def _nearest(found: list[Pairs], hashes: Hashes, others: Hashes) -> Pairs:
    """Return each pair once, and of each image those of the smallest difference."""
    i, j = np.divmod(
        np.unique(np.concatenate([pairs[:, 0] * len(hashes) + pairs[:, 1] for pairs in found])), len(hashes)
    )
    pairs = np.stack([i, j], axis=1)
    distances = np.bitwise_count(hashes[i] ^ others[j])
    order = np.lexsort((pairs[:, 1], distances, pairs[:, 0]))
    pairs = pairs[order]
    _, first, counts = np.unique(pairs[:, 0], return_index=True, return_counts=True)
    rank = np.arange(len(pairs)) - np.repeat(first, counts)
    return pairs[rank < MOST_CANDIDATES]
