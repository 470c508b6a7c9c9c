"""Open archives of images, and read their members in place; nothing is unpacked to disk.

The content decides the kind: ZIP or tar, plain or gzip. Opening an archive checks every member's name and size. A
damaged archive raises `UserError`; a damaged member raises `BadImage`, which costs one row of the manifest.
"""

from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from convnet.data.archive_base import DEFAULT_LIMITS, Archive, ArchiveLimits
from convnet.data.file_types import EMPTY_ZIP, GZIP, HEAD_BYTES, ZIP, describe_content
from convnet.data.formats import SUFFIXES
from convnet.data.image_faults import BadImage
from convnet.data.member_names import is_clutter
from convnet.data.nested_archive import NestedArchive, archives_inside
from convnet.data.tar_archive import TarArchive, is_tar_header
from convnet.data.zip_archive import ZipArchive
from convnet.system.errors import UserError

PACKED = {"a bzip2 file", "an xz file", "a Zstandard file", "a RAR archive", "a 7-Zip archive"}
Key = tuple[str, str]  # archive and member


def open_archive(path: Path, limits: ArchiveLimits = DEFAULT_LIMITS) -> Archive[Any]:
    """Open a ZIP or tar archive, for use in a `with` statement.

    Args:
        path: the archive, with any suffix.
        limits: on members, bytes and compression.

    Raises:
        UserError: the file is missing, not an archive, or damaged, it exceeds the limits, or a member is encrypted,
            repeated or leads out of the archive.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError as error:
        raise UserError(f"the archive {path} is missing: give the path of a ZIP or tar file") from error
    except OSError as error:
        raise UserError(f"the archive {path} cannot be read: {error.strerror}") from error
    if archive := _open(path, head, limits):
        return _with_inner(archive)
    content = describe_content(head) or "of an unknown kind"
    remedy = "unpack it and give the folder" if content in PACKED else "download it again, or pack the images as ZIP"
    raise UserError(f"{path} is {content} and no ZIP or tar archive: {remedy}")


def _open(
    path: Path, head: bytes, limits: ArchiveLimits, file: IO[bytes] | None = None, size: int | None = None
) -> Archive[Any] | None:
    if head.startswith((ZIP, EMPTY_ZIP)):
        return ZipArchive(path, limits, file, size)
    if head.startswith(GZIP) or is_tar_header(head):
        return TarArchive(path, limits, head.startswith(GZIP), file, size)
    return None


def _with_inner(archive: Archive[Any]) -> Archive[Any]:
    """Return an archive of archives as one archive of their members, any other archive unchanged."""
    names = archives_inside([member.name for member in archive.members() if not _is_clutter(member.name)], _is_image)
    if not names:
        return archive

    def open_inner(file: IO[bytes], size: int, limits: ArchiveLimits) -> Archive[Any] | None:
        head = file.read(HEAD_BYTES)
        file.seek(0)
        return _open(archive.path, head, limits, file, size)

    return NestedArchive(archive, names, open_inner)


def _is_clutter(name: str) -> bool:
    return any(map(is_clutter, name.split("/")))


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def read_members(archives: Path, wanted: Collection[Key]) -> Iterator[tuple[Key, bytes | BadImage]]:
    """Yield each wanted member and its content or fault, archive by archive in the archive's order."""
    for name in sorted({archive for archive, _ in wanted}):
        with open_archive(archives / name) as archive:
            for member, content in archive.read_all():
                if (name, member) in wanted:
                    yield (name, member), content
