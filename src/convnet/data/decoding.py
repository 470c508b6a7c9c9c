"""Decode one image from bytes: every pixel, upright, in RGB.

The content decides, never the file name. Every fault of an image is a `BadImage` with one sentence, so that one bad
file costs a row of a table and not the run.
"""

import io
import warnings
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convnet.data.file_types import JPEG, PNG, is_heif
from convnet.data.formats import (
    HEIF_SENTENCE,
    NAMES,
    RAW_SENTENCE,
    RAW_SUFFIXES,
    SUFFIXES,
    readable_formats,
    register_heif,
    too_large_for_its_bytes,
)
from convnet.data.frames import frames_note
from convnet.data.grey_levels import FULL, GREY_16_BIT, GreyRange, grey_extrema, image_range, to_8_bit
from convnet.data.image_faults import BadImage, check_png, reason_of, too_many_pixels
from convnet.data.jpeg_scans import LARGEST_REDUCTION, JpegScans, read_scans
from convnet.data.pillow_limits import DAMAGED_METADATA, pillow_limited_to, silent_libtiff, warning_notes
from convnet.data.resizing import fit, upright
from convnet.data.transparency import WITH_ALPHA, WITHOUT_ALPHA, in_rgb
from convnet.params.data import Images

ORIENTATION_TAG = 0x0112
MAXIMUM_BYTES = 256 * 2**20  # of a file
DEFAULT_LIMITS = Images(maximum_pixels=50_000_000, minimum_side=8)  # 200 MB decoded


@dataclass(frozen=True)
class Decoded:
    """An RGB image, upright.

    Attributes:
        image: its pixels.
        format: JPEG, PNG and so on.
        mode: Pillow's colour mode of the file.
        width: of the whole image, upright, in pixels.
        height: of the whole image, upright, in pixels.
        grey_values: the smallest and the largest value of 16-bit grey, or None.
        note: what was changed or ignored, or None.
    """

    image: Image.Image
    format: str
    mode: str
    width: int
    height: int
    grey_values: GreyRange | None
    note: str | None


def decode(
    data: bytes, name: str, limits: Images = DEFAULT_LIMITS, draft_size: tuple[int, int] | None = None
) -> Decoded:
    """Return an image upright, in RGB, with alpha over `limits.background`.

    16-bit grey becomes 8-bit by `limits.grey_range`. `convnet.data.grey.resolved` turns auto into the range of a
    dataset; here auto is the range of this one image. An animation or a multi-page file gives its first frame. A JPEG
    above `limits.maximum_pixels` is decoded at 1/2, 1/4 or 1/8 of its size. The note reports all of this.

    Args:
        data: the content of the file.
        name: its name; a suffix that does not fit the content gets a note.
        limits: on pixels and on the shortest side; grey range and background.
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
    scans = read_scans(data) if data.startswith(JPEG) else None
    if scans and (fault := scans.fault()):
        raise BadImage(fault)
    if is_heif(data) and not register_heif():
        raise BadImage(HEIF_SENTENCE)
    if data.startswith((b"II", b"MM")) and PurePosixPath(name).suffix.lower() in RAW_SUFFIXES:
        raise BadImage(RAW_SENTENCE)
    # A JPEG may be larger, because it can be decoded at 1/8 of its size.
    most = limits.maximum_pixels * (LARGEST_REDUCTION**2 if scans else 1)
    with pillow_limited_to(most) as warned, silent_libtiff(data):
        try:
            return _decode(data, name, limits, draft_size, warned, scans)
        except BadImage:
            raise
        except Exception as error:  # damaged files make Pillow raise nearly every built-in exception
            raise BadImage(reason_of(error, data, limits)) from error


def load_image(
    data: bytes, name: str, image_size: tuple[int, int], limits: Images = DEFAULT_LIMITS
) -> NDArray[np.uint8]:
    """Return an image in the size of a network, for training, prediction, export and figures alike.

    Args:
        data: the content of the file.
        name: its name.
        image_size: (height, width) of the result in pixels.
        limits: on pixels and on the shortest side; grey range, background, and how to resize.

    Returns:
        uint8 (height, width, 3), 0 to 255.

    Raises:
        BadImage: as `decode`.
    """
    return fit(decode(data, name, limits, draft_size=image_size).image, image_size, limits.resize)


def _decode(
    data: bytes,
    name: str,
    limits: Images,
    draft_size: tuple[int, int] | None,
    warned: list[warnings.WarningMessage],
    scans: JpegScans | None,
) -> Decoded:
    if data.startswith(PNG):
        check_png(data)
    image: Image.Image = Image.open(io.BytesIO(data), formats=readable_formats())  # reads the header only
    kind = NAMES.get(str(image.format), str(image.format))
    width, height = image.size
    if min(width, height) < limits.minimum_side:
        raise BadImage(f"{width}x{height} pixels, a side is below the minimum of {limits.minimum_side}")
    if fault := too_large_for_its_bytes(kind, width * height, len(data)):
        raise BadImage(fault)
    mode = image.mode
    reduced = _draft(image, limits, draft_size, scans)
    image.load()
    orientation_notes: list[str] = []
    # The reader of HEIF has already turned the image, as the file's container demands.
    orientation = 1 if kind == "HEIF" else _orientation(image, orientation_notes)
    frames = frames_note(image, data)
    grey_values = _checked_grey(image) if mode in GREY_16_BIT else None
    # Each conversion replaces the image, so that memory holds two at most.
    image = _to_rgb(image, limits, grey_values)
    image = upright(image, orientation)
    if orientation in range(5, 9):
        width, height = height, width
    image.info = {}  # the old EXIF would turn the image a second time wherever it is saved and opened again
    notes = [
        _suffix_note(kind, name),
        f"16-bit grey scaled to 8 bits, largest value {grey_values[1]}" if grey_values else None,
        frames,
        *orientation_notes,
        f"decoded at 1/{reduced} of its {width}x{height} pixels" if reduced > 1 else None,
        *warning_notes(warned),
    ]
    note = "; ".join(dict.fromkeys(text for text in notes if text)) or None
    return Decoded(image, kind, mode, width, height, grey_values, note)


def _draft(image: Image.Image, limits: Images, draft_size: tuple[int, int] | None, scans: JpegScans | None) -> int:
    """Let the JPEG decoder divide the size, and return the divisor that the limits demand, 1 for none."""
    if scans is None:
        return 1
    width, height = image.size
    divisor = scans.reduction(limits.maximum_pixels)
    if divisor is None:
        raise BadImage(too_many_pixels(width * height, limits))
    sizes = [(width // divisor, height // divisor)] if divisor > 1 else []
    if draft_size is not None:
        # A square covers both orientations: EXIF may turn the image after it is decoded.
        sizes.append((max(draft_size), max(draft_size)))
    if sizes:
        image.draft(None, min(sizes))
    return divisor


def _suffix_note(content: str, name: str) -> str | None:
    suffix = PurePosixPath(name).suffix.lower()
    return f"{content} content under {suffix}" if suffix and SUFFIXES.get(suffix) != content else None


def _checked_grey(image: Image.Image) -> GreyRange:
    smallest, largest = grey_extrema(image)
    if smallest < 0 or largest > FULL[1]:
        raise BadImage(f"grey values {smallest} to {largest} do not fit 16 bits; save the image as PNG or JPEG")
    return smallest, largest


def _to_rgb(image: Image.Image, limits: Images, grey_values: GreyRange | None) -> Image.Image:
    if grey_values is not None:
        return to_8_bit(image, image_range(grey_values, limits.grey_range)).convert("RGB")
    if image.mode in WITH_ALPHA | WITHOUT_ALPHA:
        return in_rgb(image, limits.background)
    raise BadImage(f"colour mode {image.mode} has no standard conversion to 8-bit RGB; save the image as PNG or JPEG")


def _orientation(image: Image.Image, notes: list[str]) -> int:
    try:
        return int(image.getexif().get(ORIENTATION_TAG, 1))
    except Exception:  # EXIF is a TIFF file inside the image, and many cameras write it badly
        notes.append(DAMAGED_METADATA)
        return 1
