"""Archives of images, read in place: nothing is unpacked to disk, and nothing in an archive is believed unchecked.

ZIP and tar (plain or gzip) are recognised by content. A fault of the archive is a `UserError` when it is opened; a
single member that turns out damaged later is a `BadImage`, so that one bad file costs a row and not the run.
"""

import gzip
import io
import stat
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, NoReturn, Self

from convnet.data.class_folders import ImageMember, Layout, check_classes, image_members, read_layout
from convnet.data.decoding import BadImage
from convnet.data.file_types import describe_content
from convnet.data.member_names import Member, fault_of_name, readable_name, shortened
from convnet.system.errors import UserError

__all__ = [
    "Archive", "ArchiveLimits", "ImageMember", "Layout", "Member", "check_classes", "image_members",
    "is_tar_header", "open_archive", "read_layout",
]  # fmt: skip

ZIP_ENCRYPTED = 0x1 | 0x40 | 0x2000  # APPNOTE 4.4.4: encrypted, strongly encrypted, masked headers
ZIP_UTF8 = 0x800
# zipfile unpacks the others in whole pieces of the file, however much comes out: 500 bytes of bzip2 fill 600 MiB.
ZIP_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
BLOCK = 2**20
# What zipfile, tarfile, zlib and gzip raise on damaged input (RuntimeError: too deep recursion).
DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, ValueError, OverflowError, IndexError,
    KeyError, NotImplementedError, RuntimeError,
)  # fmt: skip


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may hold: members (files and folders), bytes unpacked (all, one), and how dense it may be.

    Photographs hardly shrink in an archive. Only above `ratio_floor` bytes is a high ratio taken for a bomb, since a
    small drawing in one colour shrinks a thousandfold too.
    """

    maximum_members: int = 1_000_000
    maximum_bytes: int = 100 * 2**30
    maximum_member_bytes: int = 256 * 2**20
    maximum_ratio: float = 200.0
    ratio_floor: int = 16 * 2**20


DEFAULT_LIMITS = ArchiveLimits()

Key = tuple[str, str]  # archive and member


class Archive(ABC):
    """The members of one archive, checked when it is opened. A context manager; not for several threads at once.

    A process that works on a part of the members opens the path itself.
    """

    def __init__(self, path: Path, limits: ArchiveLimits) -> None:
        self.path = path
        self.limits = limits
        self._sizes: dict[str, int] = {}
        self._folders: set[str] = set()
        self._bytes = 0
        self._entries = 0

    def members(self) -> list[Member]:
        """Return all files, sorted by name."""
        return sorted(Member(name, size) for name, size in self._sizes.items())

    def folders(self) -> list[str]:
        """Return all folder entries, sorted: an empty class folder shows only here."""
        return sorted(self._folders)

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return the content of one member. Slow in a tar.gz, which is unpacked from its beginning to reach it.

        Raises:
            BadImage: the member is damaged, has fewer bytes than it says, or more than `maximum_member_bytes`.
        """

    @abstractmethod
    def read_all(self) -> Iterator[tuple[str, bytes | BadImage]]:
        """Yield name and content of every member in the order of the archive; for a damaged one the reason."""

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> Self:
        """Return the open archive."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def _add_folder(self, raw_name: str) -> None:
        self._count_entry()
        if name := self._checked_name(raw_name):
            self._folders.add(name)

    def _add_file(self, raw_name: str, size: int) -> str:
        """Note a file under its checked name and return that name."""
        self._count_entry()
        name = self._checked_name(raw_name)
        if not name:
            self._refuse(raw_name, "has no name")
        if name in self._sizes:
            self._refuse(raw_name, "is there twice")
        if size < 0:
            self._refuse(raw_name, "has a negative length")
        self._sizes[name] = size
        self._bytes += size
        if self._bytes > self.limits.maximum_bytes:
            self._refuse(raw_name, f"brings the unpacked size above {self.limits.maximum_bytes:,} bytes")
        return name

    def _count_entry(self) -> None:
        self._entries += 1
        if self._entries > self.limits.maximum_members:
            raise UserError(
                f"the archive {self.path} holds more than {self.limits.maximum_members:,} files and folders: "
                "pack only the images, or divide them among several archives"
            )

    def _check_ratio(self, raw_name: str, unpacked: int, packed: int) -> None:
        if unpacked > max(self.limits.ratio_floor, self.limits.maximum_ratio * packed):
            self._refuse(raw_name, f"unpacks from {packed:,} to {unpacked:,} bytes, which no image does")

    def _check_ratio_of_all(self, packed: int) -> None:
        # Each may be below the floor, or claim the same packed bytes as the others: only the file's own size is sure.
        if self._bytes > max(self.limits.ratio_floor, self.limits.maximum_ratio * packed):
            raise UserError(
                f"the archive {self.path} is refused: its {len(self._sizes):,} members together unpack from "
                f"{packed:,} to {self._bytes:,} bytes, which no images do; pack the images again"
            )

    def _checked_name(self, raw_name: str) -> str:
        if fault := fault_of_name(raw_name):
            self._refuse(raw_name, fault)
        return readable_name("/".join(part for part in raw_name.split("/") if part not in ("", ".")))

    def _refuse(self, raw_name: str, fault: str, remedy: str = "pack the images again without it") -> NoReturn:
        raise UserError(f"the archive {self.path} is refused: its member {shortened(raw_name)!r} {fault}; {remedy}")

    def _complete(self, name: str, data: bytes) -> bytes:
        if len(data) < self._sizes[name]:
            raise BadImage("damaged in the archive: it ends early")
        return data

    def _too_large(self, name: str) -> BadImage | None:
        if self._sizes[name] <= self.limits.maximum_member_bytes:
            return None
        return BadImage(f"{self._sizes[name]:,} bytes, more than the allowed {self.limits.maximum_member_bytes:,}")


class ZipArchive(Archive):
    """A ZIP archive: every member is reached at once, and has a checksum of its own."""

    def __init__(self, path: Path, limits: ArchiveLimits) -> None:
        super().__init__(path, limits)
        self._infos: dict[str, zipfile.ZipInfo] = {}
        with _whole(path):
            self._zip = zipfile.ZipFile(path)
        try:
            for info in self._zip.infolist():
                self._add(info)
            self._check_ratio_of_all(path.stat().st_size)
        except BaseException:
            self.close()
            raise

    def read(self, name: str) -> bytes:
        """Return the content of one member."""
        if fault := self._too_large(name):
            raise fault
        try:
            with self._zip.open(self._infos[name]) as member:
                # Read without a length, zipfile unpacks all there is before it looks at the size that was declared.
                data = b"".join(iter(lambda: member.read(BLOCK), b""))
        except DAMAGE as error:
            raise BadImage(f"damaged in the archive: {_first_words(error)}") from error
        return self._complete(name, data)

    def read_all(self) -> Iterator[tuple[str, bytes | BadImage]]:
        """Yield name and content of every member in the order of the archive."""
        for name in sorted(self._infos, key=lambda name: self._infos[name].header_offset):
            try:
                yield name, self.read(name)
            except BadImage as fault:
                yield name, fault

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def _add(self, info: zipfile.ZipInfo) -> None:
        name = _zip_name(info)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if name.endswith("/"):
            self._add_folder(name)
            return
        if info.flag_bits & ZIP_ENCRYPTED:
            self._refuse(name, "is encrypted")
        if info.create_system == 3 and kind not in (0, stat.S_IFREG):  # 3: Unix, whose file types are in the high bits
            self._refuse(name, "is a link" if kind == stat.S_IFLNK else "is a link or a device and no file")
        if info.compress_type not in ZIP_METHODS:
            fault = f"is compressed by method {info.compress_type}, which cannot be read here"
            self._refuse(name, fault, "pack the images again with the usual method, deflate")
        self._check_ratio(name, info.file_size, info.compress_size)
        self._infos[self._add_file(name, info.file_size)] = info


class TarArchive(Archive):
    """A tar archive, plain or gzip: members are found by reading it once from beginning to end."""

    def __init__(self, path: Path, limits: ArchiveLimits, packed: bool) -> None:
        super().__init__(path, limits)
        self._offsets: dict[str, int] = {}
        self._packed_bytes = path.stat().st_size
        self._packed = packed
        self._file: IO[bytes] | gzip.GzipFile = gzip.GzipFile(path) if packed else path.open("rb")
        try:
            with _whole(path):
                self._index()
        except BaseException:
            self.close()
            raise

    def read(self, name: str) -> bytes:
        """Return the content of one member."""
        if fault := self._too_large(name):
            raise fault
        try:
            self._file.seek(self._offsets[name])
            data = self._file.read(self._sizes[name])
        except DAMAGE as error:
            raise BadImage(f"damaged in the archive: {_first_words(error)}") from error
        return self._complete(name, data)

    def read_all(self) -> Iterator[tuple[str, bytes | BadImage]]:
        """Yield name and content of every member in the order of the archive."""
        for name in self._offsets:  # filled in the order of the archive
            try:
                yield name, self.read(name)
            except BadImage as fault:
                yield name, fault

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _index(self) -> None:
        with tarfile.open(fileobj=_Headers(self._file), mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
            for info in tar:
                self._add(info)
            end = tar.offset
        # tarfile takes an archive that was cut off between two members for a whole one.
        self._file.seek(end)
        if len(self._file.read(tarfile.BLOCKSIZE)) < tarfile.BLOCKSIZE:
            raise tarfile.ReadError("the end mark is missing")
        if self._packed:
            while self._file.read(BLOCK):  # to the end of the file: only there gzip compares its checksum
                self._check_ratio("(end of the archive)", self._file.tell(), self._packed_bytes)

    def _add(self, info: tarfile.TarInfo) -> None:
        if self._packed:
            self._check_ratio(info.name, info.offset_data + info.size, self._packed_bytes)
        if info.isdir():
            self._add_folder(info.name)
            return
        if not info.isreg() or info.issparse():
            self._refuse(info.name, "is a link, a device or a sparse file and no plain file")
        self._offsets[self._add_file(info.name, info.size)] = info.offset_data


class _Headers(io.BufferedIOBase):
    """The file as tarfile sees it while it looks for members.

    tarfile reads an extended header in one piece, whatever length it claims; a real one is far below a mebibyte.
    """

    def __init__(self, file: IO[bytes] | gzip.GzipFile) -> None:
        self._file = file

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= BLOCK:
            raise tarfile.ReadError("a header is too long")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def open_archive(path: Path, limits: ArchiveLimits = DEFAULT_LIMITS) -> Archive:
    """Open a ZIP or tar archive, checking every member's name, kind and size before anything is read.

    Args:
        path: the archive; its suffix does not matter.
        limits: what it may hold.

    Returns:
        The open archive, to be used in a `with` statement.

    Raises:
        UserError: there is no such file, it is no such archive, is damaged, or holds what no archive of images
            holds: names that lead elsewhere, links, devices, encrypted or repeated members, a bomb.
    """
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except FileNotFoundError as error:
        raise UserError(f"the archive {path} is missing: give the path of a ZIP or tar file") from error
    except OSError as error:
        raise UserError(f"the archive {path} cannot be read: {error.strerror}") from error
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return ZipArchive(path, limits)
    if head.startswith(b"\x1f\x8b"):
        return TarArchive(path, limits, packed=True)
    if is_tar_header(head):
        return TarArchive(path, limits, packed=False)
    content = describe_content(head) or "of an unknown kind"
    raise UserError(f"{path} is {content} and no ZIP or tar archive: download it again, or pack the images as ZIP")


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise UserError(
            f"the archive {path} is damaged or cut off ({_first_words(error)}): download or pack it again"
        ) from error


def is_tar_header(head: bytes) -> bool:
    """Return whether a file that begins with `head`, 512 bytes or more, is a tar archive; no more of it is read.

    `tarfile.is_tarfile` reads the first member's extended header too, whatever length that claims.
    """
    block = head[: tarfile.BLOCKSIZE]
    if block == bytes(tarfile.BLOCKSIZE):
        return True  # an archive without members is two blocks of zeros
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Return a member's name, undoing zipfile's guess of code page 437 where the bytes are UTF-8, as from macOS."""
    if info.flag_bits & ZIP_UTF8:
        return info.orig_filename
    try:
        return info.orig_filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.orig_filename


def _first_words(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def read_members(archives: Path, wanted: Collection[Key]) -> Iterator[tuple[Key, bytes | BadImage]]:
    """Yield each wanted member and its content, or what is wrong with it, archive by archive in the archive's order."""
    for name in sorted({archive for archive, _ in wanted}):
        with open_archive(archives / name) as archive:
            for member, content in archive.read_all():
                if (name, member) in wanted:
                    yield (name, member), content
