"""Count the frames or pages of a file, up to a small number."""

import struct

from PIL import Image

MOST_FRAMES = 100
TIFF_ENTRY, BIG_TIFF_ENTRY = 12, 20  # bytes of a tag


def frames_note(image: Image.Image, data: bytes) -> str | None:
    """Return a note on a file with several frames, of which only the first is used, or None."""
    try:
        frames = count_frames(image, data)
    except (struct.error, IndexError, EOFError, SyntaxError, ValueError, OSError):  # a later frame is damaged
        return "first frame only, a later one is damaged"
    if frames > MOST_FRAMES:
        return f"first of more than {MOST_FRAMES} frames"
    return f"first of {frames} frames" if frames > 1 else None


def count_frames(image: Image.Image, data: bytes) -> int:
    """Return the number of frames, at most `MOST_FRAMES` + 1.

    Pillow visits every page of a TIFF file, in a time that grows with the square of their number.
    """
    if image.format == "TIFF":
        return _tiff_pages(data)
    if image.format == "GIF":
        return _gif_frames(data)
    return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))


def _tiff_pages(data: bytes) -> int:
    """Follow the chain of image file directories (TIFF 6.0, section 2)."""
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    offset, count_form, entry = ("Q", "Q", BIG_TIFF_ENTRY) if big else ("I", "H", TIFF_ENTRY)
    (place,) = struct.unpack_from(order + offset, data, 8 if big else 4)
    seen: set[int] = set()
    while place and place not in seen and len(seen) <= MOST_FRAMES:
        seen.add(place)
        (entries,) = struct.unpack_from(order + count_form, data, place)
        (place,) = struct.unpack_from(order + offset, data, place + struct.calcsize(count_form) + entry * entries)
    return len(seen)


def _gif_frames(data: bytes) -> int:
    """Step over the blocks of a GIF file (GIF89a specification, sections 17 to 27)."""
    position = 13 + _palette_bytes(data[10])
    frames = 0
    while frames <= MOST_FRAMES and position < len(data):
        kind = data[position]
        if kind == 0x2C:  # an image
            frames += 1
            position += 11 + _palette_bytes(data[position + 9])
        elif kind == 0x21:  # an extension
            position += 2
        else:  # the end, or bytes behind it
            return frames
        while length := data[position]:
            position += 1 + length
        position += 1
    return frames


def _palette_bytes(flags: int) -> int:
    return 3 << (1 + (flags & 7)) if flags & 0x80 else 0
