"""The kind of a file by its first bytes; a suffix may be wrong."""

JPEG = b"\xff\xd8\xff"
PNG = b"\x89PNG\r\n\x1a\n"
ZIP, EMPTY_ZIP = b"PK\x03\x04", b"PK\x05\x06"
GZIP = b"\x1f\x8b"
HDF5 = b"\x89HDF\r\n\x1a\n"
SIGNATURES = (
    (JPEG, "a JPEG image"),
    (PNG, "a PNG image"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"II+\0", "a TIFF image"),
    (b"MM\0+", "a TIFF image"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG2000 image"),
    *((b"P%d%c" % (digit, blank), "a PPM image") for digit in range(1, 7) for blank in b" \t\r\n"),
    (b"8BPS", "a Photoshop document"),
    (b"%PDF-", "a PDF document"),
    (ZIP, "a ZIP archive"),
    (EMPTY_ZIP, "an empty ZIP archive"),
    (GZIP, "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\0", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
)
AVIF_BRANDS = {b"avif", b"avis"}
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
HEAD_BYTES = 1024


def describe_content(data: bytes) -> str | None:
    """Return the kind of file that `data` begins as, for example `"an HTML page"`, or None if it is unknown.

    Args:
        data: the content of a file, or at least its first 1024 bytes.
    """
    head = data[:HEAD_BYTES]
    if not head:
        return "an empty file"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a WEBP image"
    if head[4:8] == b"ftyp":
        brands = _brands(head)
        if brands & AVIF_BRANDS:
            return "an AVIF image"
        return "a HEIF image" if brands & HEIF_BRANDS else "a video or an ISO media file"
    for signature, description in SIGNATURES:
        if head.startswith(signature):
            return description
    if not head.strip(b"\0"):
        return "a file that begins with zero bytes only"
    return _describe_text(head)


def is_heif(data: bytes) -> bool:
    """Return whether a file is a HEIC or HEIF photograph."""
    return data[4:8] == b"ftyp" and describe_content(data) == "a HEIF image"


def _brands(head: bytes) -> set[bytes]:
    """Return the major and the compatible brands of an ISO media file (ISO 14496-12, section 4.3)."""
    length = int.from_bytes(head[:4], "big")
    return {head[8:12], *(head[i : i + 4] for i in range(16, min(length, len(head)), 4))}


def _describe_text(head: bytes) -> str | None:
    # The head may end inside a character.
    text = head.decode("utf-8", "ignore")
    if len(text.encode()) < len(head) - 3 or not all(c.isprintable() or c in "\t\r\n\f\ufeff" for c in text):
        return None
    beginning = text.lstrip("\ufeff \t\r\n").lower()
    if beginning.startswith(("<!doctype html", "<html")) or "<html" in beginning or "<body" in beginning:
        return "an HTML page"
    if "<svg" in beginning:
        return "an SVG drawing"
    return "a text file"
