import io

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

from convnet.data.decoding import DEFAULT_LIMITS, decode, load_image
from convnet.data.image_faults import BadImage
from convnet.data.resizing import fit
from helpers.tiny_dataset import encoded, picture


@pytest.mark.parametrize("size", [(90, 60), (60, 90), (60, 60)])
def test_pad_and_crop_keep_the_proportions(size: tuple[int, int]) -> None:
    image = picture(0, size)
    cropped = ImageOps.fit(image, (30, 30), Image.Resampling.BILINEAR)
    half = np.asarray(fit(image, (30, 30), "crop")).astype(int)
    assert np.abs(half - np.asarray(cropped)).max() < 12
    padded = fit(image, (30, 30), "pad")
    inner = (30, 20) if size[0] > size[1] else (20, 30) if size[0] < size[1] else (30, 30)
    left, top = (30 - inner[0]) // 2, (30 - inner[1]) // 2
    np.testing.assert_array_equal(
        padded[top : top + inner[1], left : left + inner[0]], fit(image, (inner[1], inner[0]), "stretch")
    )
    if left:
        assert (padded[:, 0] == padded[0, 0]).all()


def test_border_colour_fills_the_rest() -> None:
    image = Image.new("RGB", (80, 20), (200, 10, 30))
    assert (fit(image, (40, 40), "pad") == (200, 10, 30)).all()


@pytest.mark.parametrize(("background", "colour"), [("white", 255), ("black", 0), ("mean", 200)])
def test_transparent_parts_take_the_background(background: str, colour: int) -> None:
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    image.paste((200, 200, 200, 255), (10, 10, 30, 30))
    limits = DEFAULT_LIMITS.model_copy(update={"background": background})
    pixels = np.asarray(decode(encoded(image), "a.png", limits).image)
    assert (pixels[0, 0] == colour).all()
    assert (pixels[20, 20] == 200).all()


@pytest.mark.parametrize(
    ("kind", "name", "options"),
    [
        ("AVIF", "a.avif", {"quality": 100}), ("PPM", "a.ppm", {}), ("JPEG2000", "a.jp2", {}), ("PPM", "a.pgm", {}),
    ],
)  # fmt: skip
def test_more_formats(kind: str, name: str, options: dict[str, int]) -> None:
    image = picture(3, (64, 48))
    found = decode(encoded(image, kind, **options), name)
    assert (found.format, found.width, found.height, found.note) == (kind, 64, 48, None)
    assert np.abs(np.asarray(found.image).astype(int) - np.asarray(image)).mean() < 2
    load_image(encoded(image, kind, **options), name, (20, 20))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_avif_is_turned_once(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.new("RGB", (64, 48), "white")
    image.paste("black", (0, 0, 32, 24))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(_file(encoded(image, "PNG", exif=exif))))).astype(int)
    found = decode(encoded(image, "AVIF", exif=exif, quality=95), "")
    assert (found.width, found.height) == found.image.size
    assert np.abs(np.asarray(found.image).astype(int) - expected).mean() < 5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heif_is_turned_once(orientation: int) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra `heic` is not installed")
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.new("RGB", (64, 48), "white")
    image.paste("black", (0, 0, 32, 24))
    expected = ImageOps.exif_transpose(Image.open(_file(encoded(image, "PNG", exif=exif))))
    # As a telephone, the writer stores the turn in the container and in EXIF.
    found = decode(encoded(image, "HEIF", exif=exif.tobytes(), quality=95), "a.heic")
    assert (found.format, found.width, found.height) == ("HEIF", *expected.size)
    assert np.abs(np.asarray(found.image).astype(int) - np.asarray(expected)).mean() < 5


class _TurnedHeif(ImageFile.ImageFile):
    """A reader that has turned the image, and leaves the EXIF of the file as it was."""

    format = "HEIF"

    def _open(self) -> None:
        self._size, self._mode = (48, 64), "RGB"
        self.info["exif"] = b"Exif\0\0" + _exif_6().tobytes()[6:]

    def load(self) -> None:
        self.im = Image.new("RGB", (48, 64), "red").im


def _exif_6() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def test_heif_that_its_reader_has_turned_is_not_turned_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convnet.data.decoding.register_heif", lambda: True)
    monkeypatch.setitem(Image.OPEN, "HEIF", (_TurnedHeif, None))
    data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(1000)
    assert Image.open(_file(data), formats=["HEIF"]).getexif()[0x0112] == 6
    found = decode(data, "a.heic")
    assert (found.image.size, found.width, found.height) == ((48, 64), 48, 64)


def test_heif_without_its_reader_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convnet.data.decoding.register_heif", lambda: False)
    with pytest.raises(BadImage, match=r"pip install 'convnet\[heic\]'"):
        decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a.heic")


def _file(data: bytes) -> io.BytesIO:
    return io.BytesIO(data)
