"""List the files of a user's folder, and pack them into one archive, so that later stages read only archives."""

import configparser
import os
import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from convnet.data.member_names import escape_name, fault_of_name, is_clutter, shortened
from convnet.system.errors import UserError
from convnet.system.files import atomic_path
from convnet.system.progress import progress

EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first date of a ZIP archive
BLOCK = 2**20
CACHED = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}")  # the name of a file in DVC's cache, by its MD5


@dataclass(frozen=True)
class FolderFiles:
    """Names below a folder, relative to it, sorted; hidden and system files are skipped.

    Attributes:
        files: files, links to files inside the folder, and links into DVC's cache.
        folders: all folders.
        empty: folders without any file or folder that counts.
        only_skipped: what is skipped in folders that hold nothing else.
        skipped: other links, and special files.
    """

    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    only_skipped: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def list_folder(folder: Path) -> FolderFiles:
    """List all that is below `folder`.

    Raises:
        UserError: a folder cannot be read.
    """
    root, found = folder.resolve(), FolderFiles()
    caches = _dvc_caches(root)
    waiting = [""]  # a list and not recursion: folders may be nested deeper than Python's stack
    while waiting:
        inside, empty, skipped = waiting.pop(), True, []
        for entry in _entries(root / inside):
            name = f"{inside}/{entry.name}" if inside else entry.name
            if entry.is_dir(follow_symlinks=False):
                found.folders.append(name)
                waiting.append(name)
            elif _is_file_inside(root, caches, entry):
                found.files.append(name)
            else:
                skipped.append(name)
                continue
            empty = False
        if inside and empty:
            found.only_skipped.extend(skipped)
            found.empty.append(inside)
        found.skipped.extend(skipped)
    for names in (found.files, found.folders, found.empty, found.only_skipped, found.skipped):
        names.sort()
    return found


def skipped_note(skipped: list[str]) -> str | None:
    """Return one phrase on skipped links and special files, or None."""
    return f"links and special files skipped: {len(skipped)}, for example {skipped[0]!r}" if skipped else None


def pack_folder(folder: Path, destination: Path) -> str | None:
    """Write all files of a folder to one ZIP archive without compression; equal folders give equal bytes.

    Hidden and system files are skipped, and so are links that lead out of the folder. An empty folder becomes a folder
    entry, which shows an empty class. `convnet.data.member_names.escape_name` encodes odd names.

    Args:
        folder: the user's folder; only read.
        destination: the archive to write.

    Returns:
        A note on skipped links and escaped names, or None.

    Raises:
        UserError: the folder is missing or a file, something in it cannot be read, or is too deep for an archive.
    """
    if not folder.exists():
        raise UserError(f"the folder {folder} is missing: give the path of a folder with one subfolder per class")
    if not folder.is_dir():
        raise UserError(f"{folder} is a file and no folder: give the path of a folder with one subfolder per class")
    root, found = folder.resolve(), list_folder(folder)
    members: dict[str, Path | None] = {_member_name(root, name): root / name for name in found.files}
    members |= {f"{_member_name(root, name)}/": None for name in found.empty}
    # As links without a target, so that a class of them has its files named.
    members |= {_member_name(root, name): None for name in found.only_skipped}
    with atomic_path(destination) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, path in progress(
            sorted(members.items()), total=len(members), label=f"pack {folder.name}", unit="files"
        ):
            _write(archive, name, path)
    escaped = sorted(escape_name(name) for name in found.files + found.empty if escape_name(name) != name)
    notes = [skipped_note(sorted(map(escape_name, found.skipped)))]
    notes.append(f"names percent-escaped: {len(escaped)}, for example {escaped[0]!r}" if escaped else None)
    return "; ".join(filter(None, notes)) or None


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return [entry for entry in found if not is_clutter(entry.name)]
    except OSError as error:
        raise _unreadable(folder, error) from error


def _dvc_caches(root: Path) -> list[Path]:
    """Return the caches of the DVC project around a folder, resolved.

    `dvc add photos` with `cache.type symlink` replaces every file by a link into its cache.
    """
    project = next((folder for folder in (root, *root.parents) if (folder / ".dvc").is_dir()), None)
    if project is None:
        return []
    settings = project / ".dvc"
    places = [settings / "cache"]
    for name in ("config", "config.local"):
        config = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            config.read(settings / name, "utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue
        if place := config.get("cache", "dir", fallback=None):
            places.append(settings / Path(place).expanduser())
    return [place.resolve() for place in places]


def _is_file_inside(root: Path, caches: list[Path], entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a file, or a link to one below `root`, a resolved path, or in a cache of DVC.

    A folder from somebody else may hold links to any file of this machine.
    """
    if not entry.is_symlink():
        return entry.is_file(follow_symlinks=False)
    try:
        target = Path(entry.path).resolve(strict=True)
        cached = any(target.is_relative_to(cache) for cache in caches) and CACHED.fullmatch("/".join(target.parts[-2:]))
        return (target.is_relative_to(root) or bool(cached)) and stat.S_ISREG(target.stat().st_mode)
    except (OSError, RuntimeError):  # a broken link, or a link to itself
        return False


def _member_name(root: Path, relative: str) -> str:
    name = escape_name(relative)
    if fault := fault_of_name(name):
        raise UserError(f"{root / shortened(relative)} {fault}: move it nearer to {root}, or out of it")
    return name


def _write(archive: zipfile.ZipFile, name: str, path: Path | None) -> None:
    info = zipfile.ZipInfo(name, EARLIEST)
    info.create_system = 3  # Unix, also when packed on another system
    if path is None:
        info.external_attr = (stat.S_IFDIR | 0o755 if name.endswith("/") else stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, b"")
        return
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    try:
        info.file_size = path.stat().st_size  # zipfile chooses 32-bit or 64-bit lengths by it
    except OSError as error:
        raise _unreadable(path, error) from error
    with archive.open(info, "w") as target:
        for block in _blocks(path):
            target.write(block)


def _blocks(path: Path) -> Iterator[bytes]:
    # Reading and writing both raise OSError. Here the user's file is the cause.
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                yield block
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path} cannot be read ({error.strerror}): change its permissions or move it away")
