import io
import os
import re
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from convnet.data.decoding import DEFAULT_LIMITS, decode, load_image
from convnet.data.image_faults import BadImage
from convnet.params.data import Images

FORMATS = ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"]

# What a user expects of each real file: (mode, width, height, note) where it is an image, else the reason.
ODD_IMAGES = {
    "bmp_renamed.jpg": ("RGB", 128, 128, "BMP content under .jpg"),
    "broken_data_stream.png": "damaged: wrong checksum in PNG chunk IDAT",
    "decompression_bomb.gif": "4,364,696,535 pixels, more than images.maximum_pixels, 50,000,000",
    "dispose_bgnd.gif": ("P", 100, 100, "first of 5 frames"),
    "exif.png": ("RGB", 512, 512, None),
    "gif_renamed.png": ("P", 128, 128, "GIF content under .png"),
    "hopper.gif": ("P", 128, 128, None),
    "hopper_16bit_qtables.jpg": ("RGB", 128, 128, None),
    "hopper_gray.jpg": ("L", 128, 128, None),
    "hopper_orientation_3.jpg": ("RGB", 128, 128, None),
    "hopper_orientation_6.jpg": ("RGB", 128, 128, None),
    "hopper_orientation_8.jpg": ("RGB", 128, 128, None),
    "invalid-exif.jpg": ("RGB", 200, 200, None),
    "mode_16bit.png": ("RGBA", 128, 64, "first of 3 frames"),
    "no_palette.gif": "1x1 pixels, a side is below the minimum of 8",
    "pal8rle.bmp": ("P", 127, 64, None),
    "pil_sample_cmyk.jpg": ("CMYK", 100, 100, None),
    "shortfile.bmp": "truncated after 273 bytes, before the image is complete",
    "text_renamed.jpg": "text file, not an image",
    "truncated_image.png": "truncated after 81,920 bytes, before the image is complete",
    "truncated_jpeg.jpg": "truncated after 6,698 bytes, before the image is complete",
    "uncompressed_la.png": ("LA", 128, 128, None),
    "zero_byte.jpg": "empty file",
}


def picture(height: int = 24, width: int = 32, channels: int = 3) -> np.ndarray:
    """Smooth colours that differ in every corner."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.stack([255 * x, 255 * y, 255 * (1 - x) * y, 255 * (1 - y)], axis=-1).astype(np.uint8)[..., :channels]


def encoded(image: Image.Image | np.ndarray, image_format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, image_format, **options)
    return file.getvalue()


def pixels(data: bytes, name: str = "") -> np.ndarray:
    return np.asarray(decode(data, name).image)


def reason(data: bytes, name: str = "", limits: Images = DEFAULT_LIMITS) -> str:
    with pytest.raises(BadImage) as caught:
        decode(data, name, limits)
    return str(caught.value)


def png(width: int, height: int, bits: int, rows: bytes, compress: bool = True) -> bytes:
    """A grey PNG made by hand, for what Pillow does not write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    content = zlib.compress(rows, 1) if compress else rows
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def odd_image(folder: Path, name: str) -> bytes:
    path = folder.parent / "odd_images" / name
    if not path.exists():
        pytest.skip("no odd_images beside CONVNET_DATA")
    return path.read_bytes()


@pytest.mark.parametrize("name", ODD_IMAGES)
def test_odd_image_has_the_verdict_a_user_expects(name, convnet_data):
    data, expected = odd_image(convnet_data, name), ODD_IMAGES[name]
    if isinstance(expected, str):
        assert reason(data, name) == expected
    else:
        decoded = decode(data, name)
        assert (decoded.mode, decoded.width, decoded.height, decoded.note) == expected
        assert decoded.image.mode == "RGB"
        assert decoded.image.size == (decoded.width, decoded.height)


def test_every_odd_image_is_in_the_table(convnet_data):
    odd_image(convnet_data, "zero_byte.jpg")
    assert {path.name for path in (convnet_data.parent / "odd_images").iterdir()} == set(ODD_IMAGES)


@pytest.mark.parametrize("name", ["hopper_orientation_3.jpg", "hopper_orientation_6.jpg", "hopper_orientation_8.jpg"])
def test_rotated_photograph_is_turned_like_pillow_does(name, convnet_data):
    data = odd_image(convnet_data, name)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(pixels(data), np.asarray(expected))
    assert not np.array_equal(pixels(data), np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_format_gives_its_pixels(image_format):
    decoded = decode(encoded(picture(), image_format), f"cat.{image_format.lower()}")
    assert (decoded.width, decoded.height, decoded.note) == (32, 24, None)
    tolerance = {"JPEG": 12, "WEBP": 12, "GIF": 40}.get(image_format, 0)
    assert np.abs(np.asarray(decoded.image).astype(int) - picture()).mean() <= tolerance


def test_content_decides_and_wrong_suffix_is_noted():
    assert decode(encoded(picture(), "JPEG"), "a.PNG").note == "JPEG content under .png"
    assert decode(encoded(picture(), "JPEG"), "a.txt").note == "JPEG content under .txt"
    assert decode(encoded(picture(), "JPEG"), "a.JPG").note is None
    assert decode(encoded(picture(), "JPEG"), "no suffix").note is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty file"),
        (b"\n<!DOCTYPE html><title>Not found</title>", "HTML page, not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG drawing, not an image"),
        ("Kätzchen\n".encode(), "text file, not an image"),
        (b"%PDF-1.7 ...", "PDF document, not an image"),
        (b"PK\x03\x04 and so on", "ZIP archive, not an image"),
        (bytes(500), "file that begins with zero bytes only, not an image"),
        (b"\x93\x01\xfe\x80\xc3", "not an image (JPEG, PNG, GIF, BMP, WEBP, TIFF, PPM, JPEG2000, AVIF, HEIF)"),
        (b"II*\0\x08\0\0\0\0\0", "damaged: the header of a TIFF image is broken or cut off"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "truncated after 10 bytes, before the image is complete"),
        (b"RIFF\x10\0\0\0WEBPVP8 \0\0", "truncated after 18 bytes, before the image is complete"),
    ],
)
def test_what_is_no_image_is_named(data, expected):
    assert reason(data, "cat.jpg") == expected


def test_formats_outside_the_list_are_refused():
    formats = "JPEG, PNG, GIF, BMP, WEBP, TIFF, PPM, JPEG2000, AVIF, HEIF"
    assert reason(encoded(picture(), "PCX")) == f"not an image ({formats})"


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_truncated_image_is_refused(image_format, share):
    data = encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), image_format)
    assert re.match("truncated after|damaged", reason(data[: int(share * len(data))]))


def test_truncated_jpeg_and_png_say_so():
    for image_format in ("JPEG", "PNG", "WEBP"):
        data = encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), image_format)[:-600]
        assert reason(data) == f"truncated after {len(data):,} bytes, before the image is complete"


def test_png_without_its_end_is_truncated():
    assert reason(encoded(picture())[:-12]).startswith("truncated after")


def test_flipped_bit_in_png_pixels_is_refused_by_checksum():
    data = bytearray(encoded(picture()))
    data[data.index(b"IDAT") + 30] ^= 1
    assert reason(bytes(data)) == "damaged: wrong checksum in PNG chunk IDAT"


def test_pixel_bomb_is_refused_from_its_header():
    assert reason(png(60_000, 60_000, 1, b"")) == "3,600,000,000 pixels, more than images.maximum_pixels, 50,000,000"


def test_pixel_limit_above_pillows_own_is_obeyed(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert decode(encoded(picture()), "").note is None
    assert Image.MAX_IMAGE_PIXELS == 100


def test_pixel_limit_is_exact():
    assert decode(encoded(picture(24, 32)), "", Images(maximum_pixels=24 * 32, minimum_side=8)).note is None
    assert (
        reason(encoded(picture(24, 32)), "", Images(maximum_pixels=24 * 32 - 1, minimum_side=8))
        == "768 pixels, more than images.maximum_pixels, 767"
    )


def test_pixel_bomb_takes_no_memory():
    # A subprocess, because the peak of this one is already high. The last line proves that the measure can rise.
    code = """
from pathlib import Path
from convnet.data.decoding import decode
from convnet.data.image_faults import BadImage
from convnet.params.data import Images
from data.test_decoding import gif_that_grows, png
# Not getrusage: a child begins with the peak of the process it was forked from.
peak = lambda: int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024
bomb = png(10_000, 10_000, 1, bytes(10_000 * 1251))
decode(png(8, 8, 8, bytes(72)), "")
before = peak()
for data in (bomb, gif_that_grows()):
    try:
        decode(data, "")
    except BadImage:
        print(peak() - before)
decode(bomb, "", Images(maximum_pixels=10**9, minimum_side=8))
print(peak() - before)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    output = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    refused_png, refused_gif, decoded = map(int, output.split())  # MiB; 100 million pixels, and 4 billion
    assert refused_png <= 2
    assert refused_gif <= 2
    assert decoded > 90


def gif_that_grows() -> bytes:
    """A GIF of 32x32 pixels whose only frame covers 65535x65535, to be cleared after it is shown."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 32, 32, 0, 0, 0)
    control = b"!\xf9\x04" + bytes([2 << 2, 0, 0, 0]) + b"\0"
    return screen + control + b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x44\x01\0;"


def test_too_many_bytes_are_refused(monkeypatch):
    monkeypatch.setattr("convnet.data.decoding.MAXIMUM_BYTES", 50)
    assert reason(encoded(picture())).endswith("more than the allowed 50")


def test_too_small_image_is_refused_with_the_minimum():
    assert reason(encoded(picture(7, 30))) == "30x7 pixels, a side is below the minimum of 8"
    assert decode(encoded(picture(8, 8)), "").width == 8


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_alpha_is_laid_over_white(mode):
    colour = (200, 200, 200) if mode == "LA" else (200, 40, 40)
    image = Image.new("RGBA", (10, 10), (*colour, 0))
    image.paste((*colour, 255), (5, 0, 10, 10))
    # Pillow writes no PA file; a palette with transparency is what it stands for.
    image = image.quantize() if mode == "PA" else image.convert(mode)
    result = pixels(encoded(image))
    assert result[0, 0].tolist() == [255, 255, 255]
    np.testing.assert_allclose(result[0, 9], colour, atol=2)


def test_half_transparent_pixel_is_half_white():
    assert pixels(encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 51))))[0, 0].tolist() == [204, 204, 204]


@pytest.mark.parametrize(("mode", "hole"), [("P", 0), ("L", 9), ("RGB", (9, 9, 9))])
def test_transparent_colour_becomes_white(mode, hole):
    image = Image.new(mode, (8, 8), hole)
    if mode == "P":
        image.putpalette([9, 9, 9, 50, 60, 70])
    image.putpixel((0, 0), {"P": 1, "L": 50, "RGB": (50, 60, 70)}[mode])
    result = pixels(encoded(image, transparency=hole))
    assert result[7, 7].tolist() == [255, 255, 255]
    assert result[0, 0].tolist() == ([50] * 3 if mode == "L" else [50, 60, 70])


def test_transparent_gif_is_laid_over_white():
    image = Image.new("P", (8, 8), 0)
    image.putpalette([9, 9, 9, 50, 60, 70])
    assert pixels(encoded(image, "GIF", transparency=0))[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_other_colour_modes_keep_their_colours(mode):
    image = Image.fromarray(picture()).convert(mode)
    data = encoded(image, "TIFF")
    assert decode(data, "").mode == mode
    np.testing.assert_array_equal(pixels(data), np.asarray(image.convert("RGB")))


def test_16_bit_grey_png_is_scaled_and_not_clipped():
    values = np.linspace(0, 65535, 16 * 16).astype(np.uint16).reshape(16, 16)
    decoded = decode(encoded(values), "")
    assert decoded.note == "16-bit grey scaled to 8 bits, largest value 65535"
    np.testing.assert_array_equal(np.asarray(decoded.image)[..., 1], np.rint(values / 257))


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
def test_16_bit_grey_tiff_is_scaled_and_not_clipped(mode):
    values = np.linspace(0, 65535, 16 * 16).astype(np.uint16).reshape(16, 16)
    raw = values.astype({"I;16": "<u2", "I;16B": ">u2", "I": "<i4"}[mode]).tobytes()
    data = encoded(Image.frombytes(mode, (16, 16), raw), "TIFF")
    assert decode(data, "").mode == mode
    np.testing.assert_array_equal(pixels(data)[..., 0], np.rint(values / 257))


def test_16_bit_grey_keeps_one_scale_for_dark_pictures():
    assert pixels(encoded(np.full((8, 8), 255, np.uint16))).max() == 1


def test_grey_without_an_agreed_range_is_refused():
    wide = Image.fromarray(np.full((8, 8), 70_000, np.int32))
    assert reason(encoded(wide, "TIFF")).startswith("grey values 70000 to 70000 do not fit 16 bits")
    real = Image.fromarray(np.zeros((8, 8), np.float32))
    assert reason(encoded(real, "TIFF")).startswith("colour mode F has no standard conversion to 8-bit RGB")


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(image_format, orientation):
    image = Image.fromarray(picture())
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(encoded(image, image_format, exif=exif), "")
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded(image, image_format, exif=exif))))
    assert (decoded.width, decoded.height) == expected.size == ((32, 24) if orientation < 5 else (24, 32))
    np.testing.assert_array_equal(np.asarray(decoded.image), np.asarray(expected))


@pytest.mark.parametrize("pages", [1, 3])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_first_page_of_a_tiff_is_turned_once(pages, compression, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image, later = Image.fromarray(picture()), [Image.new("RGB", (9, 50), "red")] * (pages - 1)
    options = {"save_all": True, "append_images": later} if later else {}
    decoded = decode(encoded(image, "TIFF", exif=exif, compression=compression, **options), "")
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded(image, "TIFF", exif=exif))))
    assert decoded.note == ("first of 3 frames" if later else None)
    assert (decoded.width, decoded.height) == expected.size == ((32, 24) if orientation < 5 else (24, 32))
    np.testing.assert_array_equal(np.asarray(decoded.image), np.asarray(expected))


def test_upright_picture_saved_again_is_not_turned_twice():
    exif = Image.Exif()
    exif[0x0112] = 6
    once = decode(encoded(picture(), "JPEG", exif=exif), "").image
    assert decode(encoded(once, "JPEG"), "").image.size == once.size == (24, 32)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0II*\0\x08\0\0\0\x01\0", b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff\0\x01"]
)
def test_invalid_exif_is_survived(exif):
    decoded = decode(encoded(picture(), "JPEG", exif=exif), "")
    assert (decoded.width, decoded.height) == (32, 24)
    assert decoded.note in (None, "damaged metadata ignored")


def test_warning_of_the_decoder_becomes_a_note(capfd):
    # An EXIF directory that promises an entry and ends.
    decoded = decode(encoded(picture(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0"), "")
    assert decoded.note == "damaged metadata ignored"
    assert capfd.readouterr() == ("", "")


def test_complaints_of_libtiff_stay_off_the_terminal(capfd):
    data = encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), "TIFF", compression="tiff_lzw")
    assert reason(data[:200] + bytes(3000) + data[3200:]).startswith("damaged")
    assert capfd.readouterr() == ("", "")
    os.write(2, b"back again")
    assert capfd.readouterr().err == "back again"


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "TIFF", "WEBP"])
def test_first_of_several_frames_counts(image_format):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], image_format, save_all=True, append_images=frames[1:])
    assert decode(data, "").note == "first of 3 frames"
    np.testing.assert_allclose(pixels(data)[8, 8], [255, 0, 0], atol=8)


def test_damaged_later_frame_costs_no_picture():
    frames = [Image.new("L", (16, 16), shade) for shade in (10, 200)]
    data = bytearray(encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:]))
    first = struct.unpack_from("<I", data, 4)[0]
    struct.pack_into("<I", data, first + 2 + 12 * struct.unpack_from("<H", data, first)[0], len(data) + 9)
    assert pixels(bytes(data))[0, 0].tolist() == [10, 10, 10]


def test_second_picture_of_a_phone_photograph_is_no_animation():
    decoded = decode(
        encoded(Image.fromarray(picture()), "MPO", save_all=True, append_images=[Image.new("L", (9, 9))]), "a.jpg"
    )
    assert decoded.note is None


def test_load_image_is_decode_and_bilinear_resize():
    image = Image.fromarray(picture(45, 50))
    loaded = load_image(encoded(image), "a.png", (30, 40))
    assert (loaded.shape, loaded.dtype) == ((30, 40, 3), np.uint8)
    np.testing.assert_array_equal(loaded, np.asarray(image.resize((40, 30), Image.Resampling.BILINEAR)))


def test_loaded_array_may_be_written_to():
    assert load_image(encoded(picture()), "", (10, 10)).flags.writeable


@pytest.mark.parametrize("image_size", [(150, 150), (100, 60), (60, 100), (37, 37), (299, 601)])
def test_draft_is_never_smaller_than_the_result(image_size):
    data = encoded(picture(600, 601), "JPEG")
    decoded = decode(data, "", draft_size=image_size)
    assert decoded.image.width >= image_size[1]
    assert decoded.image.height >= image_size[0]
    assert (decoded.width, decoded.height) == (601, 600)


def test_draft_makes_large_jpeg_smaller():
    assert decode(encoded(picture(600, 601), "JPEG"), "", draft_size=(150, 150)).image.size == (151, 150)


def test_draft_of_a_turned_photograph_stays_large_enough():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(picture(200, 800), "JPEG", exif=exif)
    turned = decode(data, "", draft_size=(400, 100)).image
    assert turned.width >= 100
    assert turned.height >= 400
    assert load_image(data, "", (400, 100)).shape == (400, 100, 3)


@pytest.mark.parametrize("image_size", [(32, 32), (31, 20), (16, 12), (9, 9)])
def test_jpeg_and_png_of_one_picture_load_alike(image_size):
    # Fine texture, where a filter that depends on the format would show.
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    jpeg = encoded(image, "JPEG", quality=100, subsampling=0)
    from_jpeg = load_image(jpeg, "", image_size).astype(int)
    from_png = load_image(encoded(Image.open(io.BytesIO(jpeg))), "", image_size)
    assert np.abs(from_jpeg - from_png).mean() < 2


def test_truncated_jpeg_is_refused_by_draft_decoding_too():
    data = encoded(np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8), "JPEG")
    with pytest.raises(BadImage, match="truncated"):
        load_image(data[: len(data) // 2], "", (50, 50))


def test_threads_do_not_disturb_each_other():
    data, results = encoded(picture(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0"), []
    threads = [
        threading.Thread(target=lambda: results.append([decode(data, "").note for _ in range(20)])) for _ in "1234"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [["damaged metadata ignored"] * 20] * 4


@given(st.binary(max_size=300))
def test_random_bytes_are_a_bad_image(data):
    with pytest.raises(BadImage):
        decode(data, "cat.jpg")


SAMPLES = [encoded(picture(), image_format) for image_format in FORMATS] + [
    encoded(np.full((16, 16), 999, np.uint16)),
    encoded(np.full((16, 16), 999, np.uint16), "TIFF"),
    encoded(picture(channels=4)),
    encoded(Image.fromarray(picture()).quantize(8), "GIF", save_all=True, append_images=[Image.new("P", (32, 24))]),
    encoded(picture(), "TIFF", compression="jpeg"),
    encoded(picture(), "TIFF", compression="tiff_lzw"),
    encoded(
        picture(), "JPEG", progressive=True, exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"
    ),
]


@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=6),
    st.integers(0, 4000),
    st.booleans(),
)
def test_damaged_image_is_a_picture_or_a_bad_image(sample, changes, cut, draft):
    data = bytearray(sample)
    for position, value in changes:
        data[position % len(data)] = value
    try:
        decoded = decode(
            bytes(data[: len(data) - cut % 40]),
            "a.png",
            Images(maximum_pixels=10**6, minimum_side=8),
            (9, 9) if draft else None,
        )
    except BadImage as bad:
        assert_reads_well(str(bad))
    else:
        assert decoded.image.mode == "RGB"
        assert_reads_well(decoded.note or "-")


def assert_reads_well(text: str) -> None:
    assert text
    assert text.isprintable()
    assert " at 0x" not in text


@pytest.mark.parametrize("suffix", [".dng", ".NEF", ".cr2", ".arw"])
def test_raw_photograph_is_not_read_as_its_preview(suffix: str) -> None:
    with pytest.raises(BadImage, match="a raw photograph of a camera, of which only a small preview can be read"):
        decode(encoded(Image.new("RGB", (160, 120)), "TIFF"), f"IMG_1{suffix}")
