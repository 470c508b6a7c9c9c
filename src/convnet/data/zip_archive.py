"""ZIP archives: every member is reached directly and has its own checksum."""

import stat
import zipfile
from pathlib import Path
from typing import IO

from convnet.data.archive_base import BLOCK, Archive, ArchiveLimits, whole
from convnet.system.errors import UserError

ENCRYPTED = 0x1 | 0x40 | 0x2000  # APPNOTE 4.4.4: encrypted, strongly encrypted, masked headers
UTF8 = 0x800
UNIX = 3  # the system whose file types are in the high bits of the attributes
# zipfile decompresses other methods without a bound: 500 bytes of bzip2 fill 600 MiB.
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


class ZipArchive(Archive[zipfile.ZipInfo]):
    """A ZIP archive."""

    def __init__(
        self, path: Path, limits: ArchiveLimits, file: IO[bytes] | None = None, packed_bytes: int | None = None
    ) -> None:
        super().__init__(path, limits, packed_bytes)
        with whole(path):
            self._zip = zipfile.ZipFile(file or path)
        try:
            infos = self._zip.infolist()
            # Old programs of Windows separate folders by backslashes.
            self._backslashes = any(map(_from_windows, infos)) and not any("/" in info.orig_filename for info in infos)
            for info in infos:
                self._add(info)
            self._check_ratio_of_all()
        except BaseException:
            self.close()
            raise

    def open(self, name: str) -> IO[bytes]:
        """Return a member as a file that can be sought."""
        return self._zip.open(self._places[name])

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def _content(self, name: str) -> bytes:
        with self._zip.open(self._places[name]) as member:
            # Without a length, zipfile decompresses everything before it compares the declared size.
            return b"".join(iter(lambda: member.read(BLOCK), b""))

    def _in_order(self) -> list[str]:
        return sorted(self._places, key=lambda name: self._places[name].header_offset)

    def _add(self, info: zipfile.ZipInfo) -> None:
        name = _name(info).replace("\\", "/") if self._backslashes else _name(info)
        if name.endswith("/"):
            self._add_folder(name)
            return
        if info.flag_bits & ENCRYPTED:
            self._reject(name, "is encrypted")
        if info.compress_type not in METHODS:
            fault = f"is compressed by method {info.compress_type}, which is not supported"
            self._reject(name, fault, "pack the images again with the usual method, deflate")
        self._check_ratio(name, info.file_size, info.compress_size)
        kind = stat.S_IFMT(info.external_attr >> 16)
        special = info.create_system == UNIX and kind not in (0, stat.S_IFREG)
        self._add_file(name, info.file_size, info, special)

    def _check_ratio_of_all(self) -> None:
        # Each member may be below the floor, or share its packed bytes with the others.
        if self._is_bomb(self._bytes, self._packed_bytes):
            raise UserError(
                f"the archive {self.path} is rejected: its {len(self._sizes):,} members together unpack from "
                f"{self._packed_bytes:,} to {self._bytes:,} bytes, which no images do; pack the images again"
            )


def _from_windows(info: zipfile.ZipInfo) -> bool:
    return info.create_system != UNIX and "\\" in info.orig_filename


def _name(info: zipfile.ZipInfo) -> str:
    """Undo zipfile's guess of code page 437 where the bytes are UTF-8, as in archives from macOS."""
    if info.flag_bits & UTF8:
        return info.orig_filename
    try:
        return info.orig_filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.orig_filename
