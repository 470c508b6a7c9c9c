import struct
import time

import numpy as np
import pytest
from PIL import Image

from convnet.data.decoding import decode
from convnet.data.frames import MOST_FRAMES
from convnet.data.image_faults import BadImage
from convnet.data.jpeg_scans import read_scans
from convnet.params.data import Images
from helpers.tiny_dataset import encoded, picture

SCAN = b"\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x00"  # an AC scan of the first component


def fault(data: bytes) -> str:
    with pytest.raises(BadImage) as error:
        decode(data, "")
    return str(error.value)


def many_scans(count: int) -> bytes:
    grey = encoded(picture(0, (4000, 4000)).convert("L"), "JPEG", progressive=True)
    return grey[:-2] + count * (SCAN + b"\0" * 8) + b"\xff\xd9"


def linked_pages(count: int) -> bytes:
    """Return a TIFF file whose first page is followed by empty directories."""
    data = encoded(picture(0), "TIFF")
    start = len(data)
    (first,) = struct.unpack_from("<I", data, 4)
    (tags,) = struct.unpack_from("<H", data, first)
    end = first + 2 + 12 * tags
    pages = b"".join(struct.pack("<HI", 0, start + 6 * (i + 1) if i + 1 < count else 0) for i in range(count))
    return data[:end] + struct.pack("<I", start) + data[end + 4 :] + pages


def test_frame_without_components_is_a_damaged_file() -> None:
    data = encoded(picture(0), "JPEG")
    frame = data.index(b"\xff\xc0")
    assert fault(data[: frame + 9] + b"\0" + data[frame + 10 :])


def test_usual_files_have_no_fault() -> None:
    for options in ({}, {"progressive": True}, {"optimize": True, "quality": 1}, {"subsampling": 0}):
        for image in (Image.new("RGB", (317, 203), "red"), picture(1, (200, 300)), picture(2).convert("L")):
            assert decode(encoded(image, "JPEG", **options), "a.jpg").note is None


def test_number_of_scans_and_blocks() -> None:
    found = read_scans(encoded(picture(0, (64, 48)), "JPEG", progressive=True))
    assert (found.scans, found.width, found.height) == (10, 64, 48)
    assert sum(found.blocks.values()) == 8 * 6 + 2 * 4 * 3  # colours at half the size


def test_scans_above_the_limit_are_refused_in_no_time() -> None:
    start = time.process_time()
    assert fault(many_scans(900)) == "906 JPEG scans, more than the allowed 100"
    assert fault(many_scans(93)).endswith("take too long to decode")
    assert time.process_time() - start < 2


def test_data_that_end_long_before_the_image_is_complete() -> None:
    data = encoded(Image.new("L", (1000, 1000)), "JPEG")
    start = data.index(b"\xff\xda") + 10
    assert fault(data[:start] + data[start : start + 20] + b"\xff\xd9").startswith("truncated: the JPEG data end")


def test_large_jpeg_is_decoded_at_a_part_of_its_size() -> None:
    photograph = encoded(picture(0, (640, 480)), "JPEG")
    for maximum, side in ((640 * 480, 640), (640 * 480 - 1, 320), (640 * 480 // 16, 160), (640 * 480 // 64, 80)):
        found = decode(photograph, "a.jpg", Images(maximum_pixels=maximum, minimum_side=8))
        assert (found.image.width, found.width, found.height) == (side, 640, 480)
        assert found.note == (None if side == 640 else f"decoded at 1/{640 // side} of its 640x480 pixels")
    with pytest.raises(BadImage, match=r"307,200 pixels, more than images.maximum_pixels, 4,799"):
        decode(photograph, "a.jpg", Images(maximum_pixels=4799, minimum_side=8))


@pytest.mark.parametrize(("pages", "note"), [(1, 2), (50, 51), (40_000, None)])
def test_pages_are_counted_to_a_small_number(pages: int, note: int | None) -> None:
    start = time.process_time()
    found = decode(linked_pages(pages), "a.tif")
    assert found.note == (f"first of {note} frames" if note else f"first of more than {MOST_FRAMES} frames")
    assert time.process_time() - start < 2


@pytest.mark.parametrize("kind", ["GIF", "TIFF"])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_frames_are_counted_as_pillow_counts(kind: str, count: int) -> None:
    frames = [Image.fromarray(np.full((20, 20, 3), 20 * i + 9, np.uint8)) for i in range(count)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert decode(data, "").note == (f"first of {count} frames" if count > 1 else None)


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "JPEG2000"])
def test_few_bytes_hold_no_large_photograph(kind: str) -> None:
    data = encoded(Image.new("RGB", (6000, 5600)), kind, **({"speed": 10} if kind == "AVIF" else {}))
    assert f"more than a photograph in {kind} has" in fault(data)
