"""Fetch a published file once: mirrors, pinned size and checksum, and a stand-in folder for work without internet."""

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from convnet.download.connection import UnavailableError
from convnet.download.http import HEAD_BYTES, check_space, discard, download, is_page
from convnet.download.urls import check_url, is_local, local_path, shown
from convnet.system.errors import UserError
from convnet.system.files import atomic_path, file_digest
from convnet.system.locks import locked


@dataclass(frozen=True)
class Address:
    """Where a file is published, with its pins.

    Attributes:
        urls: mirrors in the order they are tried: http://, https:// or file:// addresses, or local paths.
        bytes: the size; None if it is not known.
        sha256: 64 hexadecimal digits; None if no checksum is known.
        md5: 32 hexadecimal digits, for publishers that name no better one.
        file: the name of the stored file; by default the last part of the first url.
    """

    urls: tuple[str, ...]
    bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        """Check the urls and the name.

        Raises:
            UserError: `urls` is empty, one is unusable, or the first gives no plain file name.
        """
        if not self.urls:
            raise UserError(f"no address is given for {self.file or 'a file'}; set its `url` in params.yaml")
        for url in self.urls:
            check_url(url)
        if self.name in ("", ".", "..") or "/" in self.name or "\0" in self.name:
            raise UserError(f"{shown(self.urls[0])} gives no file name; set a `url` that ends in one in params.yaml")

    @property
    def name(self) -> str:
        """Return the name of the stored file."""
        first = self.urls[0]
        path = str(local_path(first)) if is_local(first) else unquote(urlsplit(first).path)
        return self.file or path.rpartition("/")[2]

    @property
    def published(self) -> bool:
        """Whether the file has a web address."""
        return not all(is_local(url) for url in self.urls)


@dataclass(frozen=True)
class Fetched:
    """A file that is in place.

    Attributes:
        path: its place.
        sha256: its checksum.
        bytes: its size.
        origin: official (from its web address, or equal to the pin), redirected (from the stand-in folder) or local.
        note: a remark for readers of the results, or None.
    """

    path: Path
    sha256: str
    bytes: int
    origin: Literal["official", "redirected", "local"]
    note: str | None


class _Difference(NamedTuple):
    """The difference between a file and the pinned one."""

    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.what}: expected {self.expected}, found {self.found}"


def fetch(
    address: Address,
    destination: Path,
    *,
    redirect_folder: Path | None,
    partial_folder: Path | None = None,
    retries: int = 4,
    timeout: float = 30.0,
    wait: Callable[[float], None] = time.sleep,
) -> Fetched:
    """Put the file of `address` at `destination`: whole and checked, or not at all.

    The order is: the stand-in folder, `destination` itself, then every url. A kill at any moment leaves no half file
    under the final name, and the next run resumes.

    Args:
        address: where the file is published, with its pins.
        destination: the file's final path.
        redirect_folder: a folder of stand-ins. A file of that name in it, or in its sibling folder `weights`, replaces
            the download, even if it is not the official file; the note then reports the difference.
        partial_folder: the folder of unfinished downloads and of a file placed by hand; by default that of
            `destination`. Name another one if that folder is emptied between runs, as DVC does with outputs.
        retries: attempts per url after the first, for faults that pass by themselves.
        timeout: seconds without a byte after which a connection is given up.
        wait: called with the seconds between two attempts.

    Raises:
        UserError: no url gave the file, or it is not the pinned one, or the disk is full, or an address is unusable.
    """
    name = address.name
    by_hand = (partial_folder or destination.parent) / destination.name
    lock = by_hand.with_name(f".{destination.name}.lock")
    from_web = partial(_from_web, address, destination, by_hand, retries=retries, timeout=timeout, wait=wait)
    try:
        with locked(lock, waiting=f"{name}: waiting for another process that fetches the same file"):
            return _fetch_locked(address, destination, by_hand, redirect_folder, from_web)
    except OSError as error:
        where = error.filename or by_hand.parent
        raise UserError(
            f"{name} could not be stored at {destination}: {error.strerror or error} ({where}); "
            "correct that and run the same command again"
        ) from error


def _fetch_locked(
    address: Address,
    destination: Path,
    by_hand: Path,
    redirect_folder: Path | None,
    from_web: Callable[[str], Fetched],
) -> Fetched:
    if redirected := _find_redirected(address.name, redirect_folder):
        try:
            return _copy(address, redirected, destination, "redirected")
        except UnavailableError as reason:
            raise UserError(f"{redirected}: {reason}; replace it, or unset CONVNET_DATA") from reason
    failures = []
    for place in dict.fromkeys((destination, by_hand)):
        if place.is_file():
            difference = _difference(address, place)
            if difference is None:
                return _take_placed(address, place, destination)
            failures.append(f"{place}: {difference}")
    for url in address.urls:
        try:
            return _copy(address, local_path(url), destination, "local") if is_local(url) else from_web(url)
        except UnavailableError as reason:
            failures.append(f"{shown(url)}: {reason}")
    raise UserError(_failed(address.name, failures, by_hand, redirect_folder))


def _from_web(
    address: Address,
    destination: Path,
    by_hand: Path,
    url: str,
    *,
    retries: int,
    timeout: float,
    wait: Callable[[float], None],
) -> Fetched:
    unfinished = by_hand.with_name(f".{destination.name}.partial")
    for _ in range(2):
        joined = download(
            url,
            unfinished,
            label=address.name,
            expected_bytes=address.bytes,
            retries=retries,
            timeout=timeout,
            wait=wait,
        )
        difference = _difference(address, unfinished)
        if difference is None:
            # Renamed onto the temporary file, so the bytes are not written twice; across disks it is a copy.
            with atomic_path(destination) as temporary:
                shutil.move(unfinished, temporary)
            discard(unfinished)
            return _fetched(address, destination, "official")
        discard(unfinished)
        if not joined:  # joined parts may not belong together: once more, in one piece
            break
    raise UnavailableError(str(difference))


def _copy(address: Address, source: Path, destination: Path, origin: Literal["redirected", "local"]) -> Fetched:
    if source.is_dir():
        raise UnavailableError("is a folder, not a file")
    if not source.is_file():
        raise UnavailableError("no such file")
    destination.parent.mkdir(parents=True, exist_ok=True)
    check_space(destination.parent, source.stat().st_size, address.name)
    with atomic_path(destination) as temporary:
        shutil.copyfile(source, temporary)
        # The copy is checked, not the source, because later stages read the copy.
        difference = _difference(address, temporary)
        if difference and (origin == "local" or difference.what == "content"):
            raise UnavailableError(str(difference))
    return _fetched(address, destination, origin)


def _take_placed(address: Address, place: Path, destination: Path) -> Fetched:
    """Take a file that was there before; only a checksum shows that it is the official one."""
    if place != destination:
        with atomic_path(destination) as temporary:
            shutil.copyfile(place, temporary)
    return _fetched(address, destination, "official" if address.published and _has_checksum(address) else "local")


def _fetched(address: Address, path: Path, origin: Literal["official", "redirected", "local"]) -> Fetched:
    sha256, size = file_digest(path), path.stat().st_size
    note = None
    if origin == "redirected":
        difference = _difference(address, path)
        if difference:
            what, expected, found = difference
            note = f"not the official file: pinned {what} {_short(expected)}, this one {_short(found)}"
    elif address.published and not _has_checksum(address):
        note = f"no published checksum: pin sha256: {sha256} bytes: {size} in params.yaml"
    return Fetched(path, sha256, size, origin, note)


def _difference(address: Address, path: Path) -> _Difference | None:
    """Return how the file differs from what `address` pins, the checksum first; None if it fits."""
    with path.open("rb") as file:
        if is_page(file.read(HEAD_BYTES)):
            return _Difference("content", "an archive or weights", "a web page")
    if address.sha256 is not None and (sha256 := file_digest(path)) != address.sha256.lower():
        return _Difference("sha256", address.sha256.lower(), sha256)
    if address.md5 is not None and (md5 := md5_digest(path)) != address.md5.lower():
        return _Difference("md5", address.md5.lower(), md5)
    if address.bytes is not None and (size := path.stat().st_size) != address.bytes:
        return _Difference("bytes", f"{address.bytes:,}", f"{size:,}")
    return None


def md5_digest(path: Path) -> str:
    """Return the MD5 of a file, which some publishers give; 32 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _has_checksum(address: Address) -> bool:
    return address.sha256 is not None or address.md5 is not None


def _short(value: str) -> str:
    return f"{value[:8]}…" if len(value) in (32, 64) else value


def _redirect_folders(folder: Path) -> tuple[Path, Path]:
    return folder, folder.resolve().parent / "weights"


def _find_redirected(name: str, folder: Path | None) -> Path | None:
    if folder is None:
        return None
    if not folder.is_dir():
        raise UserError(f"the data folder {folder} (CONVNET_DATA) does not exist; correct or unset CONVNET_DATA")
    return next((place / name for place in _redirect_folders(folder) if (place / name).is_file()), None)


def _failed(name: str, failures: list[str], by_hand: Path, redirect_folder: Path | None) -> str:
    if redirect_folder is None:
        folders = "or in a folder named by the environment variable CONVNET_DATA"
    else:
        folders = "or in {} or {} (CONVNET_DATA), where it is missing".format(*_redirect_folders(redirect_folder))
    wrong = any("expected" in failure for failure in failures)
    pin = "; if the found file is the right one, correct its `bytes` and `sha256` in params.yaml" if wrong else ""
    return (
        f"{name} could not be fetched: {'; '.join(failures)}; "
        f"run again when the connection works, or place the file by hand at {by_hand} {folders}{pin}"
    )
