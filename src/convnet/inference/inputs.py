"""The images a user names: files, folders and archives, read one at a time.

In a folder or an archive a file counts if its suffix or its content is that of an image; other files are skipped. A
file that the user names always counts, so that a mistake is reported.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from convnet.data.archives import open_archive
from convnet.data.decoding import MAXIMUM_BYTES
from convnet.data.file_types import HEAD_BYTES, describe_content
from convnet.data.formats import OTHER_SUFFIXES, SUFFIXES
from convnet.data.image_faults import BadImage
from convnet.data.member_names import is_clutter
from convnet.data.packing import list_folder, skipped_note
from convnet.data.tar_archive import is_tar_header
from convnet.system.errors import UserError, printable

ARCHIVES = {"a ZIP archive", "an empty ZIP archive", "a gzip file"}
IMAGE_WORDS = {"image", "photograph", "drawing"}  # the last word of `describe_content`


@dataclass(frozen=True)
class Place:
    """Where an image is: a file, or a member of an archive; `named` if the user named the file itself."""

    path: str
    member: str | None = None
    named: bool = field(default=False, compare=False)


def find_places(paths: Sequence[Path]) -> list[Place]:
    """List what files, folders and archives hold, in the order given and sorted within each.

    An archive that cannot be opened is listed as a file, so that reading it reports the reason.

    Raises:
        UserError: a path does not exist, is neither a file nor a folder, or a folder in it cannot be opened.
    """
    places: list[Place] = []
    for path in paths:
        if path.is_dir():
            places += [Place(str(path / name)) for name in folder_files(path)[0]]
        elif not path.is_file():
            raise UserError(f"{path} is neither a file nor a folder: give files, folders or archives of images")
        elif is_archive(path):
            try:
                with open_archive(path) as archive:
                    names = [member.name for member in archive.members()]
            except UserError:
                places.append(Place(str(path), named=True))
            else:
                places += [Place(str(path), name) for name in names if not any(map(is_clutter, name.split("/")))]
        else:
            places.append(Place(str(path), named=True))
    return list(dict.fromkeys(places))


def read_places(places: Iterable[Place]) -> Iterator[tuple[Place, bytes | BadImage | None]]:
    """Yield every place once: its content, its fault, or None if nothing claims to be an image.

    The members of an archive come together, in the archive's order.
    """
    ordered = list(places)
    members: dict[str, dict[str, Place]] = {}
    for place in ordered:
        if place.member is not None:
            members.setdefault(place.path, {})[place.member] = place
    for place in ordered:
        if place.member is None:
            yield place, _read_file(Path(place.path), place.named)
            continue
        wanted = members.pop(place.path, {})  # empty after the first member of this archive
        if wanted:
            yield from _read_members(place.path, wanted)


def folder_files(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of all files and folders below `folder`, relative to it and sorted, without hidden ones.

    A link to a file inside the folder is followed. Every other link is skipped, with a line on stderr.

    Raises:
        UserError: a folder in it cannot be opened.
    """
    found = list_folder(folder)
    if note := skipped_note(found.skipped):
        print(printable(f"{folder}: {note}"), file=sys.stderr)
    return found.files, found.folders


def is_archive(path: Path) -> bool:
    """Return whether a file is a ZIP or tar archive, by its content."""
    head = _head(path)
    content = describe_content(head)
    # A tar file has no signature at its beginning, so its test comes last.
    return content in ARCHIVES or (content is None and is_tar_header(head))


def _read_file(path: Path, named: bool) -> bytes | BadImage | None:
    if not named and not _claims_to_be_image(path.name, _head(path)):
        return None
    try:
        if is_archive(path):
            if named:
                open_archive(path).close()  # raises: `find_places` lists the members of any archive that opens
            return BadImage("an archive inside a folder is not opened; give its path")
        if (length := path.stat().st_size) > MAXIMUM_BYTES:
            return BadImage(f"{length:,} bytes, more than the allowed {MAXIMUM_BYTES:,}")
        return path.read_bytes()
    except UserError as fault:
        return BadImage(str(fault))
    except OSError as error:
        return BadImage(f"cannot be read: {error.strerror}")


def _read_members(path: str, wanted: dict[str, Place]) -> Iterator[tuple[Place, bytes | BadImage | None]]:
    with open_archive(Path(path)) as archive:
        for name, content in archive.read_all():
            if (place := wanted.get(name)) is None:
                continue
            known = isinstance(content, BadImage) or _claims_to_be_image(name, content)
            yield place, content if known else None


def _claims_to_be_image(name: str, content: bytes) -> bool:
    if PurePosixPath(name).suffix.lower() in {*SUFFIXES, *OTHER_SUFFIXES}:
        return True
    words = (describe_content(content) or "").split()
    return bool(words) and words[-1] in IMAGE_WORDS


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""  # reading the whole file reports the reason
