"""One file over HTTP into a partial file that survives a kill: ranges (RFC 9110, section 14), retries, back-off."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import requests
from urllib3.exceptions import HTTPError, ProtocolError

from convnet.download.connection import PassingError, UnavailableError, connection_fault, new_session, status_fault
from convnet.download.urls import without_secrets
from convnet.system.errors import UserError, printable
from convnet.system.files import read_json, write_json
from convnet.system.progress import progress

MIB = 2**20
LONGEST_WAIT = 120.0  # seconds; a server that asks for more is given up, because a command must end
SPACE_MARGIN = 64 * MIB  # left free on the disk, so that a download never fills it to the last byte
MOST_BYTES = 2**38  # of a body whose size neither the server nor params.yaml names: 256 GiB
HEAD_BYTES = 512  # enough to distinguish a web page from an archive


class _RestartError(Exception):
    """The partial file cannot be continued: the download starts again from the first byte."""


@dataclass(frozen=True)
class _Source:
    """The file on the server that a partial file belongs to; stored as JSON beside it for the next process."""

    url: str
    etag: str | None
    last_modified: str | None
    total: int | None

    @property
    def validator(self) -> str | None:
        """Return the If-Range value; a weak ETag must not be used there (RFC 9110, 13.1.5)."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified

    def changed(self, now: "_Source") -> bool:
        """Whether the server has another file now; a 206 answer may leave headers out."""
        pairs = [(self.etag, now.etag), (self.last_modified, now.last_modified), (self.total, now.total)]
        return any(new is not None and new != old for old, new in pairs)


@dataclass(frozen=True)
class _Download:
    """One file on its way; the fields are arguments of `download`."""

    url: str
    partial: Path
    label: str
    expected_bytes: int | None
    timeout: float

    def connect(self) -> bool:
        """Read over one connection, or two if the partial file cannot be used; return whether it was used."""
        saved, start = _read_source(self.partial), _size(self.partial)
        if saved is None or saved.url != without_secrets(self.url) or saved.validator is None:
            saved, start = None, 0
        if saved and start == saved.total and start > 0:
            return True  # the process was killed between the last byte and the move
        try:
            return self._read(start, saved)
        except _RestartError as reason:
            self.report(f"{reason}; starting again")
            discard(self.partial)
            return self._read(0, None)

    def _read(self, start: int, saved: _Source | None) -> bool:
        headers = {"User-Agent": "convnet", "Accept-Encoding": "identity"}
        if saved and saved.validator and start:
            headers |= {"Range": f"bytes={start}-", "If-Range": saved.validator}
        try:
            with (
                new_session() as session,
                session.get(self.url, headers=headers, timeout=self.timeout, stream=True) as response,
            ):
                if response.status_code == 416 and start:
                    raise _RestartError("the server does not have the range that is missing")
                if response.status_code != 200 and not (response.status_code == 206 and start):
                    raise status_fault(response)
                return self._read_answer(response, start, saved)
        except requests.TooManyRedirects as error:
            raise UnavailableError("the redirects go in a circle") from error
        except (requests.RequestException, HTTPError) as error:
            raise connection_fault(error) from error

    def _read_answer(self, response: requests.Response, start: int, saved: _Source | None) -> bool:
        source = _source_of(self.url, response, start)
        if response.headers.get("Content-Type", "").lower().startswith("text/html"):
            raise _page_answered()
        if response.status_code == 200 and saved and start:
            why = "the file on the server has changed" if saved.changed(source) else "the server cannot resume"
            self.report(f"{why}; starting again")
            start = 0
        elif start and saved and saved.changed(source):
            raise _RestartError("the file on the server has changed")
        total = source.total if source.total is not None or not (start and saved) else saved.total
        head = b"" if start else response.raw.read(HEAD_BYTES, decode_content=False)
        if is_page(head):
            raise _page_answered()
        if self.expected_bytes is not None and total not in (None, self.expected_bytes):
            raise UnavailableError(f"bytes: expected {self.expected_bytes:,}, found {total:,}")
        whole = total if total is not None else self.expected_bytes
        check_space(self.partial.parent, 0 if whole is None else whole - start, self.label)
        self._write(response, head, start, total, source)
        if whole is not None and _size(self.partial) < whole:
            raise PassingError(f"the connection ended at {_size(self.partial):,} of {whole:,} bytes")
        return start > 0

    def _write(self, response: requests.Response, head: bytes, start: int, total: int | None, source: _Source) -> None:
        # Without a Content-Length, one byte too many shows that the size is wrong.
        pinned = total is not None or self.expected_bytes is not None
        end = total if total is not None else (MOST_BYTES if self.expected_bytes is None else self.expected_bytes) + 1
        length = end - start - len(head)
        with self.partial.open("ab" if start else "wb") as file:  # "wb" empties the file before its source is stored
            if not start:
                write_json(_source_file(self.partial), asdict(source))
            file.write(head)
            shown = self.label if not start or total is None else f"{self.label} from {start / total:.0%}"
            expected = length // MIB if pinned else 0
            for _ in progress(_mebibytes(response, file, length), total=expected, label=shown, unit="MiB"):
                if not pinned and shutil.disk_usage(self.partial.parent).free < SPACE_MARGIN:
                    discard(self.partial)
                    raise UserError(f"{self.label} of unknown size fills the disk; set `bytes` in params.yaml")
            file.flush()
            os.fsync(file.fileno())
        if not pinned and _size(self.partial) > MOST_BYTES:
            discard(self.partial)
            raise UnavailableError(f"the server sends more than {MOST_BYTES:,} bytes; set `bytes` in params.yaml")

    def report(self, text: str) -> None:
        print(printable(f"{self.label}: {text}"), file=sys.stderr, flush=True)


def download(
    url: str,
    partial: Path,
    *,
    label: str,
    expected_bytes: int | None,
    retries: int,
    timeout: float,
    wait: Callable[[float], None],
) -> bool:
    """Download the file at `url` to `partial`, and resume a partial file of an earlier run.

    The count of attempts starts again with every new MiB, so that a long file over a poor line arrives.

    Args:
        url: an http or https address.
        partial: the file to write; `<partial>.json` beside it names the file on the server.
        label: the name of the file in messages.
        expected_bytes: the known size; a server that announces another one is refused before anything is read.
        retries: attempts after the first one.
        timeout: seconds without a byte after which the connection is given up.
        wait: called with the seconds between two attempts: 1, 2, 4, ... or as many as the server asks for.

    Returns:
        Whether several connections gave the file; only then a retry can correct a wrong checksum.

    Raises:
        UnavailableError: the address does not give the file.
        UserError: the disk has too little room.
    """
    # urllib3 does not retry a broken body, so one loop retries every passing fault, and the adapter retries nothing.
    file = _Download(url, partial, label, expected_bytes, timeout)
    attempt, joined, furthest = 0, False, _size(partial)
    while True:
        try:
            return file.connect() or joined
        except PassingError as fault:
            size = _size(partial)
            joined = joined or size > 0
            if size >= furthest + MIB:
                attempt, furthest = 0, size
            if attempt == retries:
                raise UnavailableError(f"{fault} ({retries + 1} attempts)") from fault
            pause = 2.0**attempt if fault.pause is None else fault.pause
            if pause > LONGEST_WAIT:
                raise UnavailableError(f"{fault}, and the server asks to wait {pause:.0f} s") from fault
            attempt += 1
            file.report(f"{fault}; attempt {attempt + 1} of {retries + 1} in {pause:.0f} s")
            wait(pause)


def discard(partial: Path) -> None:
    """Remove a partial file and the JSON beside it."""
    partial.unlink(missing_ok=True)
    _source_file(partial).unlink(missing_ok=True)


def is_page(head: bytes) -> bool:
    """Whether a file's first bytes are those of an HTML page."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith((b"<!doctype html", b"<html"))


def check_space(folder: Path, needed: int, label: str) -> None:
    """Raise a UserError unless `needed` bytes and a margin are free on the disk of `folder`."""
    free = shutil.disk_usage(folder).free
    if needed + SPACE_MARGIN > free:
        raise UserError(
            f"{label} needs {needed:,} bytes (and {SPACE_MARGIN:,} to spare) but only {free:,} are free in "
            f"{folder}; make room and run the same command again"
        )


def _mebibytes(response: requests.Response, file: IO[bytes], length: int) -> Iterator[int]:
    """Write at most `length` bytes of the body to `file` as they arrive, and yield once per MiB."""
    received = 0
    while received < length:
        try:
            piece = response.raw.read1(min(MIB, length - received), decode_content=False)
        except ProtocolError:
            if response.raw.length_remaining:
                return  # cut off; the caller checks the size
            raise
        if not piece:
            return
        file.write(piece)
        before, received = received // MIB, received + len(piece)
        yield from range(before, received // MIB)


def _source_of(url: str, response: requests.Response, start: int) -> _Source:
    total = response.raw.length_remaining  # None without a Content-Length
    if response.status_code == 206:
        content_range = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if content_range is None or int(content_range[1]) != start:
            raise _RestartError("the server sent another range than asked for")
        total = None if content_range[2] == "*" else int(content_range[2])
    headers = response.headers
    return _Source(without_secrets(url), headers.get("ETag"), headers.get("Last-Modified"), total)


def _page_answered() -> UnavailableError:
    return UnavailableError("the server sent a web page, not the file: a sign-in page, or the address has moved")


def _read_source(partial: Path) -> _Source | None:
    try:
        return _Source(**read_json(_source_file(partial)))
    except (UserError, TypeError):  # missing, damaged, or written by another version: the download starts again
        return None


def _source_file(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
