"""Archives inside an archive, one level deep: a download of `train.zip` and `test1.zip` in one ZIP."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import PurePosixPath
from typing import IO, Any

from convnet.data.archive_base import Archive, ArchiveLimits
from convnet.system.errors import UserError

SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")
# Archives that no part of the program opens.
CLOSED_SUFFIXES = (".7z", ".rar", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tar.lz4", ".zipx")
PASSES = 3  # over a tar.gz for each archive in it: to its end, its list of members, and its members
MOST_READ = 500 * 2**20  # bytes that a small file may cost
Open = Callable[[IO[bytes], int, ArchiveLimits], Archive[Any] | None]


class NestedArchive(Archive[tuple[Archive[Any], str]]):
    """The members of the archives in an archive; the folder around them is the archive's name without suffix.

    The limits hold for all together: members, unpacked bytes, and the ratio of these to the outer file.
    """

    def __init__(self, outer: Archive[Any], names: list[str], open_inner: Open) -> None:
        super().__init__(outer.path, outer.limits)
        self._opened = ExitStack()
        self._opened.callback(outer.close)
        try:
            _check_passes(outer, len(names))
            for member in outer.members():
                if member.name not in names:
                    self._add_file(member.name, member.bytes, (outer, member.name), member.name in outer.specials)
            for name in names:
                self._add_archive(outer, name, open_inner)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all files."""
        self._opened.close()

    def _add_archive(self, outer: Archive[Any], name: str, open_inner: Open) -> None:
        left = replace(
            self.limits,
            maximum_members=self.most_members - self._entries,
            maximum_bytes=self.limits.maximum_bytes - self._bytes,
        )
        size = outer.size(name)
        try:
            inner = open_inner(self._opened.enter_context(outer.open(name)), size, left)
        except UserError as error:
            raise UserError(f"{name} in {error}") from error
        if inner is None:
            self._add_file(name, size, (outer, name))
            return
        self._opened.callback(inner.close)
        folder = without_suffix(name)
        for entry in inner.folders():
            self._add_folder(f"{folder}/{entry}")
        for member in inner.members():
            self._add_file(f"{folder}/{member.name}", member.bytes, (inner, member.name), member.name in inner.specials)
        self._check_ratio(name, self._bytes, self._packed_bytes)

    def _content(self, name: str) -> bytes:
        archive, member = self._places[name]
        return archive.read(member)

    def _in_order(self) -> list[str]:
        order: dict[int, dict[str, int]] = {}
        ranks = []
        for name, (archive, member) in self._places.items():
            if id(archive) not in order:
                order[id(archive)] = {inner: rank for rank, inner in enumerate(archive._in_order())}
            ranks.append((id(archive), order[id(archive)][member], name))
        position = {archive: index for index, archive in enumerate(order)}
        return [name for _, _, name in sorted((position[archive], rank, name) for archive, rank, name in ranks)]


def _check_passes(outer: Archive[Any], count: int) -> None:
    """Refuse an archive of many archives that is read from its beginning several times for each.

    Raises:
        UserError: the passes are too many for a file of this size.
    """
    read = PASSES * count * outer.unpacked_bytes
    if outer.sequential and read > max(MOST_READ, outer.limits.maximum_ratio * outer.packed_bytes):
        raise UserError(
            f"the archive {outer.path} is rejected: reading {count:,} archives inside a tar.gz takes too long; "
            "unpack it and give the folder"
        )


def archives_inside(names: list[str], is_image: Callable[[str], bool]) -> list[str]:
    """Return the members that are archives by their suffix, in an archive that holds no image itself."""
    if any(is_image(name) for name in names):
        return []
    return [name for name in names if name.lower().endswith(SUFFIXES)]


def is_archive_name(name: str) -> bool:
    """Return whether a file is an archive by its suffix."""
    return name.lower().endswith((*SUFFIXES, *CLOSED_SUFFIXES))


def without_suffix(name: str) -> str:
    """Return an archive's name without `.zip`, `.tar.gz` and the like."""
    suffix = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)] or PurePosixPath(name).name
