"""Tar archives, plain or gzip: one pass from beginning to end finds the members."""

import gzip
import io
import re
import tarfile
from pathlib import Path
from typing import IO, Any

from convnet.data.archive_base import BLOCK, Archive, ArchiveLimits, whole

# Extended headers hold a name of at most 4096 bytes, times and owners. The time that tarfile needs for one grows with
# the square of a run of digits in it.
MOST_HEADER_BYTES = 32 * 2**10  # of one member, all headers together
MOST_DIGITS = re.compile(rb"[0-9]{100}")


class TarArchive(Archive[int]):
    """A tar archive; `packed` if gzip compresses it."""

    def __init__(
        self,
        path: Path,
        limits: ArchiveLimits,
        packed: bool,
        file: IO[bytes] | None = None,
        packed_bytes: int | None = None,
    ) -> None:
        super().__init__(path, limits, packed_bytes)
        self.sequential = packed
        opened = file or path.open("rb")
        self._file: IO[bytes] | gzip.GzipFile = gzip.GzipFile(fileobj=opened) if packed else opened
        self._opened = opened
        try:
            with whole(path):
                self._index()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._opened.close()

    def open(self, name: str) -> IO[bytes]:
        """Return a member as a file that can be sought."""
        return io.BufferedReader(_Part(self._file, self._places[name], self._sizes[name]))

    def _content(self, name: str) -> bytes:
        self._file.seek(self._places[name])
        return self._file.read(self._sizes[name])

    def _in_order(self) -> list[str]:
        return list(self._places)

    def _index(self) -> None:
        headers = _Headers(self._file)
        with tarfile.open(fileobj=headers, mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
            headers.bytes_read = 0
            for info in tar:
                self._add(info)
                headers.bytes_read = 0
            end = tar.offset
        # tarfile accepts an archive that was cut off between two members.
        self._file.seek(end)
        if len(self._file.read(tarfile.BLOCKSIZE)) < tarfile.BLOCKSIZE:
            raise tarfile.ReadError("the end mark is missing")
        if self.sequential:
            while self._file.read(BLOCK):  # gzip compares its checksum at the end of the file
                self._check_ratio("(end of the archive)", self._file.tell(), self._packed_bytes)

    def _add(self, info: tarfile.TarInfo) -> None:
        if self.sequential:
            self._check_ratio(info.name, info.offset_data + info.size, self._packed_bytes)
        if info.isdir():
            self._add_folder(info.name)
        else:
            self._add_file(info.name, info.size, info.offset_data, special=not info.isreg() or info.issparse())


class _Part(io.RawIOBase):
    """A range of bytes of a file."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile, start: int, size: int) -> None:
        self._file, self._start, self._size, self._position = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._start + self._position)
        data = self._file.read(min(len(buffer), max(self._size - self._position, 0)))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def tell(self) -> int:
        return self._position


class _Headers(io.BufferedIOBase):
    """The file with bounded reads, for tarfile's search for members.

    tarfile reads an extended header in one piece of any claimed length, and a sparse map block by block without end.
    """

    def __init__(self, file: IO[bytes] | gzip.GzipFile) -> None:
        self._file = file
        self.bytes_read = 0  # since the last member

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0 or self.bytes_read + size > MOST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header is too long, more than {MOST_HEADER_BYTES:,} bytes")
        self.bytes_read += size
        content = self._file.read(size)
        extended = size > tarfile.BLOCKSIZE or self.bytes_read > 2 * tarfile.BLOCKSIZE
        if extended and MOST_DIGITS.search(content):
            raise tarfile.ReadError("a header holds a number of 100 digits or more")
        return content

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def is_tar_header(head: bytes) -> bool:
    """Return whether `head`, the first 512 bytes or more of a file, starts a tar archive.

    `tarfile.is_tarfile` also reads the first member's extended header, of any claimed length.
    """
    block = head[: tarfile.BLOCKSIZE]
    if block == bytes(tarfile.BLOCKSIZE):
        return True  # an archive without members is two blocks of zeros
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True
