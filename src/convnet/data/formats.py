"""The image formats that can be read: names, suffixes, and how large a small file may be."""

import importlib.util
from dataclasses import dataclass

from PIL import Image

HEIF_SENTENCE = "a HEIC photograph needs one more package; type: pip install 'convnet[heic]'"


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        suffixes: of its files, in small letters.
        light_pixels: images up to this size are decoded from any file. The decoder takes 8 to 20 bytes of memory for a
            pixel, so a larger image must have a byte for every eight pixels. None: no such rule.
    """

    suffixes: tuple[str, ...]
    light_pixels: int | None = None


FORMATS = {
    "JPEG": Format((".jpg", ".jpeg", ".jpe", ".jfif")),
    "PNG": Format((".png", ".apng")),
    "GIF": Format((".gif",)),
    "BMP": Format((".bmp", ".dib")),
    "WEBP": Format((".webp",), light_pixels=20_000_000),
    "TIFF": Format((".tif", ".tiff")),
    "PPM": Format((".ppm", ".pgm", ".pbm", ".pnm")),
    "JPEG2000": Format((".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc"), light_pixels=15_000_000),
    "AVIF": Format((".avif",), light_pixels=30_000_000),
    "HEIF": Format((".heic", ".heif", ".hif"), light_pixels=20_000_000),
}
SUFFIXES = {suffix: name for name, kind in FORMATS.items() for suffix in kind.suffixes}
# Photographs of a camera's sensor, in a TIFF file whose first image is a small preview.
RAW_SUFFIXES = {".dng", ".cr2", ".nef", ".nrw", ".arw", ".orf", ".rw2", ".pef", ".srw", ".3fr", ".iiq", ".erf", ".kdc"}
RAW_SENTENCE = "a raw photograph of a camera, of which only a small preview can be read; save the image as JPEG"
# Images that cannot be read here: each has a row with an error, and is not left out.
OTHER_SUFFIXES = {
    *RAW_SUFFIXES, ".cr3", ".raf", ".svg", ".psd", ".jxl", ".tga", ".pcx", ".ico", ".icns", ".eps", ".xcf", ".dcm",
    ".exr", ".hdr", ".jls", ".jng", ".mng", ".sgi", ".ai", ".wmf", ".emf", ".pfm",
    ".pam",
}  # fmt: skip
NAMES = {"MPO": "JPEG"}  # a JPEG with a preview or depth map behind it


def readable_formats() -> tuple[str, ...]:
    """Return the names of the formats that Pillow can read here, and register the reader of HEIF if it is installed."""
    if "HEIF" not in Image.OPEN and not register_heif():
        return tuple(name for name in FORMATS if name != "HEIF")
    return tuple(FORMATS)


def register_heif() -> bool:
    """Let Pillow open HEIC photographs, and return whether the package for it is installed."""
    if importlib.util.find_spec("pillow_heif") is None:
        return False
    import pillow_heif

    pillow_heif.register_heif_opener()
    return True


def too_large_for_its_bytes(name: str, pixels: int, length: int) -> str | None:
    """Return why a file of `length` bytes cannot hold so many pixels of a format, or None."""
    light = FORMATS[NAMES.get(name, name)].light_pixels
    if light is None or pixels <= max(light, 8 * length):
        return None
    return f"{pixels:,} pixels in {length:,} bytes, more than a photograph in {name} has; save the image as PNG or JPEG"
