"""Images as data URIs, small enough that the page keeps to its budget."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

CSS_DPI = 96  # a CSS pixel is 1/96 inch
GALLERY_WIDTHS = (1200, 1000, 800, 600)  # pixels; the first width that keeps the page within its budget, all legible
CHART_COLOURS = 8192  # smooth edges of text and lines have a few thousand colours, galleries 10,000 and more


@dataclass(frozen=True)
class EmbeddedImage:
    """An image as a data URI and its displayed size in CSS pixels."""

    uri: str  # empty where the page has no room for it
    width: int
    height: int

    @property
    def is_gallery(self) -> bool:
        """It shows images, which may be scaled down, and is not a chart."""
        return self.uri.startswith("data:image/jpeg")


def embed_image(path: Path, widest: int = GALLERY_WIDTHS[0]) -> EmbeddedImage:
    """Return the image at `path` as a small data URI.

    Charts, which hold few colours, become a PNG of 256 colours and stay legible. Galleries of images become a JPEG,
    at most `widest` pixels wide.
    """
    with Image.open(path) as image:
        dpi = float(image.info.get("dpi", (CSS_DPI, CSS_DPI))[0])
        width, height = (round(side * CSS_DPI / dpi) for side in image.size)
        pixels = Image.new("RGB", image.size, "white")
        opaque = image.convert("RGBA")
        pixels.paste(opaque, mask=opaque.getchannel("A"))
    buffer = io.BytesIO()
    form = "png" if pixels.getcolors(CHART_COLOURS) else "jpeg"
    if form == "png":
        pixels.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(buffer, form)
    else:
        if pixels.width > widest:
            pixels = pixels.resize((widest, round(pixels.height * widest / pixels.width)), Image.Resampling.LANCZOS)
        pixels.save(buffer, form, quality=80, optimize=True)
    data = buffer.getvalue()
    return EmbeddedImage(f"data:image/{form};base64,{base64.b64encode(data).decode()}", width, height)


def fit_images(paths: Sequence[Path], images: Mapping[Path, EmbeddedImage], budget: int) -> dict[Path, EmbeddedImage]:
    """Make the URIs keep to `budget` bytes: galleries get narrower, then the last galleries are left out.

    `paths` are those of all images on the page, the most important first; an image that comes twice counts twice.
    """

    def too_long() -> bool:
        return sum(len(fitted[path].uri) for path in paths) > budget

    fitted = dict(images)
    galleries = [path for path in dict.fromkeys(paths) if images[path].is_gallery]
    fixed = sum(len(images[path].uri) for path in paths if path not in galleries)
    widest = sum(len(images[path].uri) for path in paths) - fixed
    for width in GALLERY_WIDTHS[1:]:
        if not too_long():
            break
        # A narrower JPEG takes more bytes a pixel: where even its share of the pixels is too much, it is not made.
        if fixed + widest * (width / GALLERY_WIDTHS[0]) ** 2 <= budget or width == GALLERY_WIDTHS[-1]:
            fitted |= {path: embed_image(path, width) for path in galleries}
    while galleries and too_long():
        last = galleries.pop()
        fitted[last] = replace(fitted[last], uri="")
    return fitted
