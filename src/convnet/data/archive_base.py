"""The common part of ZIP and tar archives: members are checked when they are listed, within limits."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tarfile import TarError
from typing import IO, Generic, NoReturn, Self, TypeVar
from zipfile import BadZipFile
from zlib import error as ZlibError  # noqa: N812 - a class, whose name in zlib looks like a function's

from convnet.data.image_faults import BadImage
from convnet.data.member_names import Member, fault_of_name, readable_name, shortened
from convnet.system.errors import UserError

BLOCK = 2**20
# The exceptions of zipfile, tarfile, zlib and gzip on damaged input (RuntimeError: too deep recursion).
DAMAGE = (
    BadZipFile, TarError, ZlibError, EOFError, OSError, ValueError, OverflowError, IndexError, KeyError,
    NotImplementedError, RuntimeError,
)  # fmt: skip
Place = TypeVar("Place")  # where a member's content starts


@dataclass(frozen=True)
class ArchiveLimits:
    """Limits on members (files and folders), unpacked bytes (of all, of one) and compression ratio.

    Photographs hardly shrink in an archive. A small drawing in one colour shrinks a thousandfold, so the ratio counts
    only above `ratio_floor` bytes. A file or folder takes at least `least_member_bytes` of the archive; this
    rule counts only above `members_floor` members.
    """

    maximum_members: int = 1_000_000
    maximum_bytes: int = 100 * 2**30
    maximum_member_bytes: int = 256 * 2**20
    maximum_ratio: float = 200.0
    least_member_bytes: int = 32
    members_floor: int = 20_000
    ratio_floor: int = 16 * 2**20


DEFAULT_LIMITS = ArchiveLimits()


class Archive(ABC, Generic[Place]):
    """The checked members of one open archive. A context manager; not for several threads at once.

    Attributes:
        sequential: whether a step back reads the archive from its beginning, as in a tar.gz.
        specials: names of links, devices and sparse files. They are members, and reading one raises `BadImage`.
    """

    def __init__(self, path: Path, limits: ArchiveLimits, packed_bytes: int | None = None) -> None:
        self.path = path
        self.limits = limits
        self.sequential = False
        self.specials: set[str] = set()
        self._places: dict[str, Place] = {}
        self._sizes: dict[str, int] = {}
        self._folders: set[str] = set()
        self._bytes = 0
        self._entries = 0
        self._packed_bytes = path.stat().st_size if packed_bytes is None else packed_bytes

    def members(self) -> list[Member]:
        """Return all files, sorted by name."""
        return sorted(Member(name, size) for name, size in self._sizes.items())

    def folders(self) -> list[str]:
        """Return all folder entries, sorted; an empty class folder appears only here."""
        return sorted(self._folders)

    def read(self, name: str) -> bytes:
        """Return the content of one member. Slow in a tar.gz, which is decompressed from its start.

        Raises:
            BadImage: the member is damaged, not a file, shorter than declared, or above `maximum_member_bytes`.
        """
        size = self._sizes[name]
        if name in self.specials:
            raise BadImage("a link or device, not a file")
        if size > self.limits.maximum_member_bytes:
            raise BadImage(f"{size:,} bytes, more than the allowed {self.limits.maximum_member_bytes:,}")
        try:
            data = self._content(name)
        except DAMAGE as error:
            raise BadImage(f"damaged in the archive: {first_words(error)}") from error
        if len(data) < size:
            raise BadImage("damaged in the archive: it ends early")
        return data

    def read_all(self) -> Iterator[tuple[str, bytes | BadImage]]:
        """Yield name and content of every member in the order of the archive, or its `BadImage`."""
        for name in self._in_order():
            try:
                yield name, self.read(name)
            except BadImage as fault:
                yield name, fault

    def size(self, name: str) -> int:
        """Return the unpacked size of a member in bytes."""
        return self._sizes[name]

    def open(self, name: str) -> IO[bytes]:
        """Return a member as a file that can be sought; its bytes stay in the archive."""
        raise NotImplementedError(name)

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    @abstractmethod
    def _content(self, name: str) -> bytes: ...

    @abstractmethod
    def _in_order(self) -> list[str]: ...

    def __enter__(self) -> Self:
        """Return the open archive."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def _add_folder(self, raw_name: str) -> None:
        self._count_entry()
        if name := self._checked_name(raw_name):
            self._folders.add(name)

    def _add_file(self, raw_name: str, size: int, place: Place, special: bool = False) -> None:
        self._count_entry()
        name = self._checked_name(raw_name)
        if not name:
            self._reject(raw_name, "has no name")
        if name in self._sizes:
            self._reject(raw_name, "is there twice")
        if size < 0:
            self._reject(raw_name, "has a negative length")
        self._places[name], self._sizes[name] = place, size
        if special:
            self.specials.add(name)
        self._bytes += size
        if self._bytes > self.limits.maximum_bytes:
            self._reject(raw_name, f"brings the unpacked size above {self.limits.maximum_bytes:,} bytes")

    @property
    def most_members(self) -> int:
        """Number of files and folders that an archive of this size may hold."""
        by_size = self._packed_bytes // self.limits.least_member_bytes
        return min(self.limits.maximum_members, max(self.limits.members_floor, by_size))

    def _count_entry(self) -> None:
        self._entries += 1
        if self._entries > self.most_members:
            raise UserError(
                f"the archive {self.path} holds more than {self.most_members:,} files and folders: "
                "pack only the images, or divide them among several archives"
            )

    def _checked_name(self, raw_name: str) -> str:
        if fault := fault_of_name(raw_name):
            self._reject(raw_name, fault)
        return readable_name("/".join(part for part in raw_name.split("/") if part not in ("", ".")))

    def _is_bomb(self, unpacked: int, packed: int) -> bool:
        return unpacked > max(self.limits.ratio_floor, self.limits.maximum_ratio * packed)

    @property
    def packed_bytes(self) -> int:
        """Number of bytes of the file."""
        return self._packed_bytes

    @property
    def unpacked_bytes(self) -> int:
        """Number of bytes of all members."""
        return self._bytes

    def _check_ratio(self, raw_name: str, unpacked: int, packed: int) -> None:
        if self._is_bomb(unpacked, packed):
            self._reject(raw_name, f"unpacks from {packed:,} to {unpacked:,} bytes, which no image does")

    def _reject(self, raw_name: str, fault: str, remedy: str = "pack the images again without it") -> NoReturn:
        raise UserError(f"the archive {self.path} is rejected: its member {shortened(raw_name)!r} {fault}; {remedy}")


@contextmanager
def whole(path: Path) -> Iterator[None]:
    """Turn the exceptions of a damaged archive into a `UserError`."""
    try:
        yield
    except DAMAGE as error:
        raise UserError(
            f"the archive {path} is damaged or cut off ({first_words(error)}): download or pack it again"
        ) from error


def first_words(error: BaseException) -> str:
    """Return the beginning of an exception's message on one line."""
    return " ".join(str(error).split())[:120] or type(error).__name__
