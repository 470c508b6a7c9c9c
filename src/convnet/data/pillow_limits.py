"""Keep Pillow within limits while it decodes: pixels, warnings, and lines of libtiff."""

import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from convnet.data.image_faults import one_line

DAMAGED_METADATA = "damaged metadata ignored"

# Pillow's pixel limit and Python's warning filters belong to the whole process, so one thread at a time changes them.
# Decode in several processes, not threads.
_ONE_THREAD = threading.Lock()


@contextmanager
def pillow_limited_to(maximum_pixels: int) -> Iterator[list[warnings.WarningMessage]]:
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


def warning_notes(warned: list[warnings.WarningMessage]) -> list[str]:
    """Return recorded warnings as notes on an image."""
    texts = [one_line(str(warning.message)) for warning in warned]
    about_metadata = re.compile("exif|tag|metadata|file read", re.IGNORECASE)
    return [DAMAGED_METADATA if about_metadata.search(text) else text for text in texts]
