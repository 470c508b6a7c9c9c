"""Damaged and hostile images and archives, as strategies of hypothesis: what it draws, it can also make smaller."""

import functools
import io
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from PIL import Image

Draw = Callable[[st.SearchStrategy[Any]], Any]

FORMATS = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "bmp": "BMP", "webp": "WEBP", "tif": "TIFF"}
MODES = {"jpg": ("RGB", "L", "CMYK"), "png": ("RGB", "RGBA", "LA", "P", "1", "I;16"), "gif": ("P", "RGB"),
         "bmp": ("RGB", "P", "1"), "webp": ("RGB", "RGBA"), "tif": ("RGB", "CMYK", "I;16", "1")}  # fmt: skip
ARCHIVES = ("zip", "tar", "tar.gz")
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
BOMB_METHODS = (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)  # the second stands for all that are refused
TAR_FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
MEMBERS = 8
BOMB = 160 * 2**20  # bytes: more than `LARGEST` of the fuzzer lets a file take
# A size that a member claims, whatever it has.
CLAIMS = st.one_of(st.integers(0, 4096), st.sampled_from((2**20, 2**28, 2**32 - 1)))
# Names deeper and longer than a file system holds them, and names that lead elsewhere.
NAMES = st.one_of(
    st.builds(lambda part, depth: f"{part}/" * depth + "1.jpg", st.sampled_from(("a", "bb", ".")),
              st.sampled_from((1, 2, 99, 100, 101, 1000, 7000))),
    st.sampled_from(("../1.jpg", "/1.jpg", "C:1.jpg", "a\\1.jpg", "", ".", "b" * 5000, "train/cat/1.jpg", "test/1")),
)  # fmt: skip
EDGES = (0, 1, 0x7F, 0x80, 0xFF)


class Change(NamedTuple):
    """One damage: what is done to how many bytes, how far from the beginning or the end."""

    action: str
    place: int
    from_end: bool
    length: int
    value: int


# Headers decide most, and they lie at the beginning or, in a ZIP archive, at the end.
CHANGES = st.builds(
    Change,
    action=st.sampled_from(("set", "set", "fill", "remove", "repeat", "cut")),
    place=st.one_of(st.integers(0, 63), st.integers(0, 511), st.integers(0, 100_000)),
    from_end=st.sampled_from((False, False, False, True)),
    length=st.integers(1, 64),
    value=st.one_of(st.sampled_from(EDGES), st.integers(0, 255)),
)


@st.composite
def damaged_files(draw: Draw) -> tuple[str, bytes]:
    """Draw the name and content of a damaged image or archive; a hostile archive may be undamaged.

    PNG checksums are repaired behind the damage in half of the cases, or nothing behind them would ever be reached.
    """
    suffix = draw(st.sampled_from((*FORMATS, *ARCHIVES)))
    hostile = suffix in ARCHIVES and draw(st.booleans())
    if suffix in FORMATS:
        content = draw(pictures(suffix))
    else:
        content = draw(hostile_archives(suffix) if hostile else archives(suffix))
    # A TIFF too: damaged, it is seldom still one of several pages that is turned.
    for change in draw(st.lists(CHANGES, min_size=0 if hostile or suffix == "tif" else 1, max_size=6)):
        content = damage(content, change)
    if suffix == "png" and draw(st.booleans()):
        content = with_checksums(content)
    return f"a.{suffix}", content


@st.composite
def pictures(draw: Draw, suffix: str) -> bytes:
    """Draw an image of noise in one of the modes and forms that its format knows."""
    height, width = draw(st.integers(8, 79)), draw(st.integers(8, 79))
    pixels = np.random.default_rng(draw(st.integers(0, 999))).integers(0, 256, (height, width, 3)).astype(np.uint8)
    mode = draw(st.sampled_from(MODES[suffix]))
    image = Image.fromarray(pixels)
    image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    options: dict[str, Any] = {}
    if suffix in {"jpg", "tif"}:
        options["exif"] = exif = Image.Exif()
        # Orientation: 1 to 8 are known, and libtiff writes no other.
        exif[0x0112] = draw(st.integers(0, 9) if suffix == "jpg" else st.integers(1, 8))
    if suffix == "jpg":
        options |= {"progressive": draw(st.booleans()), "quality": draw(st.integers(5, 95))}
    if suffix in {"gif", "tif"} and draw(st.booleans()):
        options |= {"save_all": True, "append_images": [image.rotate(90, expand=True)]}
    if suffix == "tif":
        options["compression"] = draw(st.sampled_from(("raw", "tiff_lzw", "tiff_deflate", "packbits")))
    buffer = io.BytesIO()
    image.save(buffer, FORMATS[suffix], **options)
    return buffer.getvalue()


@st.composite
def archives(draw: Draw, kind: str) -> bytes:
    """Draw an archive of images in two classes."""
    suffixes = draw(st.lists(st.sampled_from(tuple(FORMATS)), min_size=MEMBERS, max_size=MEMBERS))
    members = {f"{'cat' if i % 2 else 'dog'}/{i}.{suffix}": draw(pictures(suffix)) for i, suffix in enumerate(suffixes)}
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w", draw(st.sampled_from(ZIP_METHODS))) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return buffer.getvalue()
    form = draw(st.sampled_from(TAR_FORMATS))
    with tarfile.open(fileobj=buffer, mode="w:gz" if kind == "tar.gz" else "w", format=form) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@st.composite
def hostile_archives(draw: Draw, kind: str) -> bytes:
    """Draw an archive as nobody packs it by accident: bombs, sizes that lie, odd names, links, nothing but folders."""
    if kind == "zip" and draw(st.booleans()):
        bomb = bytearray(zip_bomb(draw(st.sampled_from(BOMB_METHODS))))
        struct.pack_into("<I", bomb, bomb.rindex(b"PK\x01\x02") + 24, draw(CLAIMS))
        return bytes(bomb)
    names = draw(st.lists(NAMES, max_size=4, unique=True))
    folders = draw(st.lists(NAMES.map(lambda name: f"{name}/"), max_size=6))
    return _hostile_zip(draw, names, folders) if kind == "zip" else _hostile_tar(draw, kind, names, folders)


@functools.cache
def zip_bomb(method: int) -> bytes:
    """Return a ZIP archive of one member that unpacks to `BOMB` zeros."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method, compresslevel=1) as archive, archive.open("cat/1.bmp", "w") as member:
        for _ in range(BOMB // 2**20):
            member.write(bytes(2**20))
    return buffer.getvalue()


def _hostile_zip(draw: Draw, names: list[str], folders: list[str]) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")  # a folder that is there twice
        for name in (*folders, *names):
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, draw(st.sampled_from((0o100644, 0o120777))) << 16
            archive.writestr(info, b"" if name.endswith("/") else b"content")
            info.file_size = draw(st.one_of(st.just(info.file_size), CLAIMS))  # as the directory will have it
    return buffer.getvalue()


def _hostile_tar(draw: Draw, kind: str, names: list[str], folders: list[str]) -> bytes:
    buffer = io.BytesIO()
    form = draw(st.sampled_from((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)))  # the third has no room for long names
    with tarfile.open(fileobj=buffer, mode="w:gz" if kind == "tar.gz" else "w", format=form) as tar:
        for name in (*folders, *names):
            info = tarfile.TarInfo(name)
            info.type = draw(st.sampled_from((tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.XHDTYPE)))
            info.linkname = "/etc"
            if name.endswith("/"):
                info.type = tarfile.DIRTYPE
            elif info.type != tarfile.SYMTYPE:
                info.size = draw(CLAIMS)
            tar.addfile(info)  # without content, whatever size it claims
    return buffer.getvalue()


def damage(content: bytes, change: Change) -> bytes:
    """Return `content` with bytes set, filled, removed, repeated, or all behind a place cut off."""
    data = bytearray(content)
    if len(data) < 2:
        return content
    place = change.place % len(data)
    start = len(data) - 1 - place if change.from_end else place
    end = min(len(data), start + change.length)
    if change.action == "set":
        data[start] = change.value
    elif change.action == "fill":
        data[start:end] = bytes([change.value]) * (end - start)
    elif change.action == "remove":
        del data[start:end]
    elif change.action == "repeat":
        data[start:start] = data[start:end] * (1 + change.value % 3)
    else:
        del data[start:]
    return bytes(data)


def with_checksums(content: bytes) -> bytes:
    """Return a damaged PNG with the checksum of every chunk made right again, as far as chunks can be told."""
    data = bytearray(content)
    for start, end in _chunks(data):
        data[end - 4 : end] = zlib.crc32(bytes(data[start + 4 : end - 4])).to_bytes(4, "big")
    return bytes(data)


def _chunks(data: Sequence[int]) -> Iterator[tuple[int, int]]:
    start = 8
    while start + 12 <= len(data):
        end = start + 12 + int.from_bytes(bytes(data[start : start + 4]), "big")
        if end > len(data):
            return
        yield start, end
        start = end
