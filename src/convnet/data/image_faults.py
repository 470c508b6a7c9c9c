"""Reasons why a file cannot be used as an image, one sentence each."""

import re
import struct
import zlib

from PIL import Image, UnidentifiedImageError

from convnet.data.file_types import PNG, describe_content
from convnet.data.formats import FORMATS
from convnet.params.data import Images
from convnet.system.errors import printable


class BadImage(Exception):  # noqa: N818 - a verdict on a file, not an error of the program
    """A file that cannot be used as an image; the message is the reason, without the file's name."""


def check_png(data: bytes) -> None:
    """Compare the checksum of every critical chunk; Pillow skips those of the pixel data."""
    view, position = memoryview(data), len(PNG)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            break
        critical = not kind[0] & 0x20  # PNG specification 5.4: bit 5 of the first letter
        if critical and zlib.crc32(view[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            raise BadImage(f"damaged: wrong checksum in PNG chunk {printable(kind.decode('latin-1'))}")
        if kind == b"IEND":
            return
        position = end + 4
    raise BadImage(_truncated(data))


def reason_of(error: Exception, data: bytes, limits: Images) -> str:
    """Return the reason in an exception of Pillow or Python."""
    if isinstance(error, (Image.DecompressionBombWarning, Image.DecompressionBombError)):
        pixels = re.search(r"(\d+) pixels", str(error))
        return too_many_pixels(int(pixels[1]) if pixels else 0, limits)
    if isinstance(error, UnidentifiedImageError):
        content = describe_content(data)
        if content is None:
            return f"not an image ({', '.join(FORMATS)})"
        if content.split()[1] in FORMATS:
            return f"damaged: the header of {content} is broken or cut off"
        return f"{content.split(' ', 1)[1]}, not an image"
    if isinstance(error, MemoryError):
        return "needs more memory than is free"
    # libwebp gives no reason; the RIFF header holds the length.
    cut_off_webp = data.startswith(b"RIFF") and len(data) >= 8 and struct.unpack_from("<I", data, 4)[0] + 8 > len(data)
    if "truncated" in str(error).lower() or cut_off_webp:
        return _truncated(data)
    return f"damaged: {one_line(str(error)) or type(error).__name__}"


def too_many_pixels(pixels: int, limits: Images) -> str:
    """Return the sentence on an image above the limit."""
    found = f"{pixels:,}" if pixels else "too many"
    return f"{found} pixels, more than images.maximum_pixels, {limits.maximum_pixels:,}"


def _truncated(data: bytes) -> str:
    return f"truncated after {len(data):,} bytes, before the image is complete"


def one_line(text: str) -> str:
    """Return the beginning of a message on one line, the same in every run."""
    # Addresses of objects differ from run to run; tables must not.
    text = printable(re.sub(r" at 0x[0-9a-f]+", "", " ".join(text.split())))
    return text if len(text) <= 120 else text[:117] + "..."
