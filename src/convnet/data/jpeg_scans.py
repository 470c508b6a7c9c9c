"""The scans of a JPEG file: what decoding costs, and whether there are enough data for the image."""

import re
import struct
from contextlib import suppress
from dataclasses import dataclass, field

MOST_SCANS = 100  # a usual progressive file has 10
MOST_VISITS = 20_000_000  # of blocks by scans; 50 megapixels in 14 scans need 11 million
MOST_COEFFICIENT_BYTES = 300_000_000
MOST_BYTES = 440_000_000  # of coefficients and pixels
END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # any marker but a restart
LARGEST_REDUCTION = 8
# ITU T.81, table B.1
START_OF_FRAME = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
ARITHMETIC = {0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
PROGRESSIVE = {0xC2, 0xCA}
HUFFMAN_TABLES, START_OF_SCAN, END_OF_IMAGE = 0xC4, 0xDA, 0xD9
WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}


@dataclass
class JpegScans:
    """The frame and the scans of a JPEG file.

    Attributes:
        width: in pixels.
        height: in pixels.
        blocks: number of 8x8 blocks of each component, by its number.
        scans: how many there are.
        visits: blocks of all scans together.
        complete: False if a scan has fewer bits than its blocks need at least.
    """

    kind: int = 0
    width: int = 0
    height: int = 0
    blocks: dict[int, int] = field(default_factory=dict)
    scans: int = 0
    visits: int = 0
    complete: bool = True
    shortest: dict[int, int] = field(default_factory=dict)  # bits of the shortest code of each Huffman table

    def fault(self) -> str | None:
        """Return why the file is not decoded, or None."""
        if self.scans > MOST_SCANS:
            return f"{self.scans:,} JPEG scans, more than the allowed {MOST_SCANS}"
        if self.visits > MOST_VISITS:
            return f"{self.scans:,} JPEG scans of {self.width}x{self.height} pixels take too long to decode"
        if self.coefficient_bytes > MOST_COEFFICIENT_BYTES:
            return f"a progressive JPEG of {self.width}x{self.height} pixels takes too much memory to decode"
        if not self.complete:
            return f"truncated: the JPEG data end long before {self.width}x{self.height} pixels are complete"
        return None

    @property
    def coefficient_bytes(self) -> int:
        """Memory for coefficients, which are kept when there are several scans."""
        return 128 * sum(self.blocks.values()) if self.scans > 1 or self.kind in PROGRESSIVE else 0

    def reduction(self, maximum_pixels: int) -> int | None:
        """Return 1, 2, 4 or 8: the least division of both sides that the limits allow; None if none does."""
        per_pixel = 8 if len(self.blocks) == 4 else 4  # CMYK becomes RGB in a second image
        for divisor in (1, 2, 4, LARGEST_REDUCTION):
            pixels = -(-self.width // divisor) * -(-self.height // divisor)
            if pixels <= maximum_pixels and self.coefficient_bytes + per_pixel * pixels <= MOST_BYTES:
                return divisor
        return None


def read_scans(data: bytes) -> JpegScans:
    """Read the markers of a JPEG file up to its end, or as far as they can be read."""
    found = JpegScans()
    with suppress(IndexError, struct.error):  # cut off; the decoder finds it too
        _read(data, found)
    return found


def _read(data: bytes, found: JpegScans) -> None:
    position = 2
    while position < len(data) - 3:
        position = data.find(b"\xff", position)
        if position < 0:
            return
        marker = data[position + 1]
        if marker in {0x00, 0xFF, *WITHOUT_LENGTH}:
            position += 1 if marker == 0xFF else 2
            continue
        if marker == END_OF_IMAGE:
            return
        (length,) = struct.unpack_from(">H", data, position + 2)
        segment = data[position + 4 : position + 2 + length]
        position += 2 + length
        if marker in START_OF_FRAME and not found.kind:
            _read_frame(marker, segment, found)
        elif marker == HUFFMAN_TABLES:
            _read_tables(segment, found.shortest)
        elif marker == START_OF_SCAN:
            end = END_OF_SCAN.search(data, position)
            stop = end.start() if end else len(data)
            _count_scan(segment, 8 * (stop - position), found)
            position = stop


def _read_frame(marker: int, segment: bytes, found: JpegScans) -> None:
    height, width, count = struct.unpack_from(">HHB", segment, 1)
    parts = [(segment[6 + 3 * i], segment[7 + 3 * i] >> 4, segment[7 + 3 * i] & 15) for i in range(count)]
    # A damaged frame may have no parts, or parts without a size.
    widest, highest = max([1, *(part[1] for part in parts)]), max([1, *(part[2] for part in parts)])
    found.kind, found.width, found.height = marker, width, height
    found.blocks = {
        number: -(-width * across // (8 * widest)) * -(-height * down // (8 * highest))
        for number, across, down in parts
    }


def _read_tables(segment: bytes, shortest: dict[int, int]) -> None:
    position = 0
    while position + 17 <= len(segment):
        counts = segment[position + 1 : position + 17]
        shortest[segment[position]] = next((length for length, count in enumerate(counts, 1) if count), 1)
        position += 17 + sum(counts)


def _count_scan(segment: bytes, bits: int, found: JpegScans) -> None:
    count = segment[0]
    first, approximation = segment[1 + 2 * count], segment[3 + 2 * count]
    needed = 0
    for i in range(count):
        number, tables = segment[1 + 2 * i], segment[2 + 2 * i]
        blocks = found.blocks.get(number, 0)
        found.visits += blocks
        if found.kind in PROGRESSIVE:  # a run of empty blocks costs nothing in a scan of AC coefficients
            refines = approximation >> 4
            needed += 0 if first else blocks * (1 if refines else found.shortest.get(tables >> 4, 1))
        else:
            needed += blocks * (found.shortest.get(tables >> 4, 1) + found.shortest.get(0x10 | tables & 15, 1))
    found.scans += 1
    if found.kind not in ARITHMETIC and bits < needed:
        found.complete = False
