"""A user's folder as one archive, so that every later stage knows only archives."""

import os
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from convnet.data.member_names import escape_name, fault_of_name, is_clutter, shortened
from convnet.system.errors import UserError
from convnet.system.files import atomic_path
from convnet.system.progress import progress

EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first date a ZIP archive can hold
BLOCK = 2**20


@dataclass
class _Oddities:
    """Names, relative to the folder, that were skipped or are escaped in the archive."""

    skipped: list[str] = field(default_factory=list)
    escaped: list[str] = field(default_factory=list)

    def note(self) -> str | None:
        notes = []
        if self.skipped:
            notes.append(f"links and special files skipped: {len(self.skipped)}, for example {min(self.skipped)!r}")
        if self.escaped:
            notes.append(f"names percent-escaped: {len(self.escaped)}, for example {min(self.escaped)!r}")
        return "; ".join(notes) or None


def pack_folder(folder: Path, destination: Path) -> str | None:
    """Write all files of a folder to one ZIP archive, stored without compression.

    Equal folders give equal archives, byte for byte: sorted names, one fixed date, fixed attributes. Hidden and system
    files are left out. A link to a file inside the folder is followed, every other link is skipped. An empty folder
    becomes a folder entry, so that an empty class is noticed. Names that hold control characters, backslashes or bytes
    that are no UTF-8 are written as `convnet.data.member_names.escape_name` gives them.

    Args:
        folder: the user's folder; only read.
        destination: the archive to write.

    Returns:
        What the user would not expect: how many links were skipped and names escaped, with an example; or None.

    Raises:
        UserError: the folder is missing or is a file, something in it cannot be read, or lies too deep for an archive.
    """
    if not folder.exists():
        raise UserError(f"the folder {folder} is missing: give the path of a folder with one subfolder per class")
    if not folder.is_dir():
        raise UserError(f"{folder} is a file and no folder: give the path of a folder with one subfolder per class")
    oddities = _Oddities()
    entries = sorted(_walk(folder.resolve(), oddities))
    with atomic_path(destination) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, path in progress(entries, total=len(entries), label=f"pack {folder.name}", unit="files"):
            _write(archive, name, path)
    return oddities.note()


def _walk(root: Path, oddities: _Oddities) -> Iterator[tuple[str, Path | None]]:
    """Yield (member name, file) for all files below `root`, and (folder name, None) for folders that hold nothing."""
    waiting = [""]  # a list and no recursion: folders may be nested deeper than Python's stack
    while waiting:
        inside, empty = waiting.pop(), True
        for entry in entries_of(root / inside):
            relative = f"{inside}/{entry.name}" if inside else entry.name
            if entry.is_dir(follow_symlinks=False):
                waiting.append(relative)
            elif is_file_inside(root, entry):
                yield _member_name(root, relative, oddities), Path(entry.path)
            else:
                oddities.skipped.append(escape_name(relative))
                continue
            empty = False
        if inside and empty:
            yield _member_name(root, inside, oddities) + "/", None


def entries_of(folder: Path) -> list[os.DirEntry[str]]:
    """Return what lies in a folder, sorted by name; hidden and system files are left out.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            return sorted((entry for entry in found if not is_clutter(entry.name)), key=lambda entry: entry.name)
    except OSError as error:
        raise _unreadable(folder, error) from error


def is_file_inside(root: Path, entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a file, or a link to one below `root`, a resolved path: links that lead out are not followed.

    A folder that somebody else has packed may link to anything on the machine it is looked at.
    """
    if not entry.is_symlink():
        return entry.is_file(follow_symlinks=False)
    try:
        target = Path(entry.path).resolve(strict=True)
        return target.is_relative_to(root) and stat.S_ISREG(target.stat().st_mode)
    except (OSError, RuntimeError):  # a broken link, or a link that leads to itself
        return False


def _member_name(root: Path, relative: str, oddities: _Oddities) -> str:
    name = escape_name(relative)
    if fault := fault_of_name(name):  # too deep or too long: the rest is escaped
        raise UserError(f"{root / shortened(relative)} {fault}: move it nearer to {root}, or out of it")
    if name != relative:
        oddities.escaped.append(name)
    return name


def _write(archive: zipfile.ZipFile, name: str, path: Path | None) -> None:
    info = zipfile.ZipInfo(name, EARLIEST)
    info.create_system = 3  # Unix, also when packed on another system
    if path is None:
        info.external_attr = (stat.S_IFDIR | 0o755) << 16
        archive.writestr(info, b"")
        return
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    try:
        info.file_size = path.stat().st_size  # tells zipfile whether 64-bit lengths are needed
    except OSError as error:
        raise _unreadable(path, error) from error
    with archive.open(info, "w") as target:
        for block in _blocks(path):
            target.write(block)


def _blocks(path: Path) -> Iterator[bytes]:
    # Errors of reading and of writing are both OSError; only here it is sure that the user's file is the cause.
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                yield block
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path} cannot be read ({error.strerror}): change its permissions or move it away")
