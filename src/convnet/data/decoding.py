"""Decode one image from bytes: every pixel, upright, in RGB.

The content decides, never the file name. Every fault of an image is a `BadImage` with one sentence, so that one bad
file costs a row of a table and not the run.
"""

import io
import os
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from convnet.data.file_types import PNG, describe_content
from convnet.params.schema import Images
from convnet.system.errors import printable

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
SUFFIXES = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG", ".apng": "PNG", ".gif": "GIF",
    ".bmp": "BMP", ".dib": "BMP", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF",
}  # fmt: skip
GREY_16_BIT = {"I;16", "I;16L", "I;16B", "I;16N", "I"}
WITH_ALPHA = {"RGBA", "RGBa", "LA", "PA"}
WITHOUT_ALPHA = {"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV"}
ORIENTATION_TAG = 0x0112
# EXIF 2.3, tag 0x0112: the turn that shows a stored image upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
DAMAGED_METADATA = "damaged metadata ignored"
MAXIMUM_BYTES = 256 * 2**20  # of a file
DEFAULT_LIMITS = Images(maximum_pixels=50_000_000, minimum_side=8)  # 200 MB decoded

# Pillow's pixel limit and Python's warning filters belong to the whole process, so one thread at a time changes them.
# Decode in several processes, not threads.
_ONE_THREAD = threading.Lock()


@dataclass(frozen=True)
class Decoded:
    """An RGB image, upright, with its original mode, its size in pixels after rotation, and a note."""

    image: Image.Image
    mode: str
    width: int
    height: int
    note: str | None


class BadImage(Exception):  # noqa: N818 - a verdict on a file, not an error of the program
    """A file that cannot be used as an image; the message is the reason, without the file's name."""


def decode(
    data: bytes, name: str, limits: Images = DEFAULT_LIMITS, draft_size: tuple[int, int] | None = None
) -> Decoded:
    """Return an image upright, in RGB, with alpha over white.

    16-bit grey is divided by 257, so that 65535 becomes 255: one rule keeps all images comparable. An animation or a
    multi-page file gives its first frame. The note reports both.

    Args:
        data: the content of the file.
        name: its name; a suffix that does not fit the content gets a note.
        limits: on pixels and on the shortest side.
        draft_size: (height, width); a JPEG at least twice as large is decoded at 1/2, 1/4 or 1/8 of its size, never
            below this. None decodes every pixel.

    Returns:
        The image; `width` and `height` are those of the whole image even when `draft_size` made it smaller.

    Raises:
        BadImage: the file is not an image of an allowed format, is damaged, too large or too small.
    """
    if not data:
        raise BadImage("empty file")
    if len(data) > MAXIMUM_BYTES:
        raise BadImage(f"{len(data):,} bytes, more than the allowed {MAXIMUM_BYTES:,}")
    with _pillow_limited_to(limits.maximum_pixels) as warned, silent_libtiff(data):
        try:
            return _decode(data, name, limits, draft_size, warned)
        except BadImage:
            raise
        except Exception as error:  # damaged files make Pillow raise nearly every built-in exception
            raise BadImage(_reason(error, data, limits)) from error


def load_image(
    data: bytes, name: str, image_size: tuple[int, int], limits: Images = DEFAULT_LIMITS
) -> NDArray[np.uint8]:
    """Return an image stretched to `image_size`, for training, prediction and figures.

    The image is halved while it stays at least as large as the result, a JPEG already while it is decoded. Pillow's
    bilinear filter then resizes it, and antialiases. All formats are halved alike: at 2:1 the filter alone leaves a
    quarter less local contrast than the JPEG decoder. The image is stretched, not cropped, as by
    `flow_from_directory(target_size=...)` in the course.

    Args:
        data: the content of the file.
        name: its name.
        image_size: (height, width) of the result in pixels.
        limits: on pixels and on the shortest side.

    Returns:
        uint8 (height, width, 3), 0 to 255.

    Raises:
        BadImage: as `decode`.
    """
    height, width = image_size
    image = decode(data, name, limits, draft_size=image_size).image
    reduction = min(image.width // width, image.height // height)
    if reduction >= 2:
        image = image.reduce(1 << (reduction.bit_length() - 1))  # the highest power of two in it
    return np.array(image.resize((width, height), Image.Resampling.BILINEAR))


def _decode(
    data: bytes,
    name: str,
    limits: Images,
    draft_size: tuple[int, int] | None,
    warned: list[warnings.WarningMessage],
) -> Decoded:
    if data.startswith(PNG):
        _check_png(data)
    image = Image.open(io.BytesIO(data), formats=FORMATS)  # reads the header and compares its size with the limit
    width, height = image.size
    if min(width, height) < limits.minimum_side:
        raise BadImage(f"{width}x{height} pixels, a side is below the minimum of {limits.minimum_side}")
    mode = image.mode
    if draft_size is not None:
        # A square covers both orientations: EXIF may turn the image after it is decoded.
        image.draft(None, (max(draft_size), max(draft_size)))
    image.load()
    notes = _format_notes(image, name)
    rgb = _to_rgb(image, notes)
    notes.extend(_frame_notes(image, data))
    orientation = _orientation(image, notes)
    if orientation in UPRIGHT:
        rgb = rgb.transpose(UPRIGHT[orientation])
        if orientation >= 5:
            width, height = height, width
    rgb.info = {}  # the old EXIF would turn the image a second time wherever it is saved and opened again
    notes.extend(_warning_notes(warned))
    return Decoded(rgb, mode, width, height, "; ".join(dict.fromkeys(notes)) or None)


def _check_png(data: bytes) -> None:
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


def _format_notes(image: Image.Image, name: str) -> list[str]:
    content = "JPEG" if image.format == "MPO" else image.format  # MPO: a JPEG with a preview or depth map behind it
    suffix = PurePosixPath(name).suffix.lower()
    if suffix and SUFFIXES.get(suffix) != content:
        return [f"{content} content under {suffix}"]
    return []


def _frame_notes(image: Image.Image, data: bytes) -> list[str]:
    try:
        if image.format == "TIFF":
            # Pillow counts pages by a visit to the last one, which restores the orientation it already applied. A
            # second image object keeps the first from being turned twice.
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    except Exception:  # a later frame is damaged; only the first is used
        return ["first frame only, a later one is damaged"]
    return [f"first of {frames} frames"] if frames > 1 else []


def _to_rgb(image: Image.Image, notes: list[str]) -> Image.Image:
    if image.mode in GREY_16_BIT:
        return _scale_grey(image, notes).convert("RGB")
    if image.mode in WITH_ALPHA or (image.mode in WITHOUT_ALPHA and "transparency" in image.info):
        rgba = image.convert("RGBA")
        alpha = rgba.getchannel("A")
        if alpha.getextrema() == (255, 255):  # opaque, as most PNG photographs
            return rgba.convert("RGB")
        white = Image.new("RGB", rgba.size, "white")
        white.paste(rgba, mask=alpha)
        return white
    if image.mode in WITHOUT_ALPHA:
        return image if image.mode == "RGB" else image.convert("RGB")
    raise BadImage(f"colour mode {image.mode} has no standard conversion to 8-bit RGB; save the image as PNG or JPEG")


def _scale_grey(image: Image.Image, notes: list[str]) -> Image.Image:
    values = np.asarray(image).astype(np.int64)  # (height, width)
    largest = int(values.max())
    if values.min() < 0 or largest > 65535:
        raise BadImage(f"grey values {values.min()} to {largest} do not fit 16 bits; save the image as PNG or JPEG")
    notes.append(f"16-bit grey scaled to 8 bits, largest value {largest}")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _orientation(image: Image.Image, notes: list[str]) -> int:
    try:
        return int(image.getexif().get(ORIENTATION_TAG, 1))
    except Exception:  # EXIF is a TIFF file inside the image, and many cameras write it badly
        notes.append(DAMAGED_METADATA)
        return 1


@contextmanager
def _pillow_limited_to(maximum_pixels: int) -> Iterator[list[warnings.WarningMessage]]:
    """Record warnings, and make Pillow reject larger images before it reserves memory for them."""
    with _ONE_THREAD, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        warnings.simplefilter("error", Image.DecompressionBombWarning)  # by default only from twice the limit
        usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, maximum_pixels
        try:
            yield warned
        finally:
            Image.MAX_IMAGE_PIXELS = usual


@contextmanager
def silent_libtiff(data: bytes) -> Iterator[None]:
    """Keep libtiff off the terminal: it writes to descriptor 2 the same errors that Pillow raises."""
    if not data.startswith((b"II", b"MM")):
        yield
        return
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


def _warning_notes(warned: list[warnings.WarningMessage]) -> list[str]:
    texts = [_one_line(str(warning.message)) for warning in warned]
    about_metadata = re.compile("exif|tag|metadata|file read", re.IGNORECASE)
    return [DAMAGED_METADATA if about_metadata.search(text) else text for text in texts]


def _reason(error: Exception, data: bytes, limits: Images) -> str:
    if isinstance(error, (Image.DecompressionBombWarning, Image.DecompressionBombError)):
        pixels = re.search(r"(\d+) pixels", str(error))
        found = f"{int(pixels[1]):,}" if pixels else "too many"
        return f"{found} pixels, more than the allowed {limits.maximum_pixels:,}"
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
    return f"damaged: {_one_line(str(error)) or type(error).__name__}"


def _truncated(data: bytes) -> str:
    return f"truncated after {len(data):,} bytes, before the image is complete"


def _one_line(text: str) -> str:
    # Addresses of objects differ from run to run; tables must not.
    text = printable(re.sub(r" at 0x[0-9a-f]+", "", " ".join(text.split())))
    return text if len(text) <= 120 else text[:117] + "..."
