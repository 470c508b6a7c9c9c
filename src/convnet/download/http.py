"""One file over HTTP into a partial file that survives a kill: ranges (RFC 9110, section 14), retries, back-off."""

import email.utils
import http.client
import os
import re
import shutil
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from email.message import Message
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urljoin, urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from convnet.system.errors import UserError, printable
from convnet.system.files import read_json, write_json
from convnet.system.progress import progress

MIB = 2**20
LONGEST_WAIT = 120.0  # seconds; a server that asks for more is given up, for a command must end
SPACE_MARGIN = 64 * MIB  # left free on the disk, so that a download never fills it to the last byte
PASSING = (TimeoutError, ConnectionResetError, ConnectionAbortedError, BrokenPipeError, http.client.BadStatusLine)
HEAD_BYTES = 512  # enough to tell a web page from an archive


class UnavailableError(Exception):
    """This address does not give the file, and asking it again would not help; another address may."""


class _PassingError(Exception):
    """A fault that passes by itself; `pause` is how many seconds the server asks to wait, if it says so."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


class _RestartError(Exception):
    """The partial file cannot be continued: the download starts again from the first byte."""


@dataclass(frozen=True)
class _Source:
    """What a partial file is the beginning of; kept as JSON beside it, because the next process must know."""

    url: str
    etag: str | None
    last_modified: str | None
    total: int | None

    @property
    def validator(self) -> str | None:
        """Return the If-Range value; a weak ETag must not be used there (RFC 9110, 13.1.5)."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified

    def changed(self, now: "_Source") -> bool:
        """Whether the server has another file now. A 206 answer may leave headers out, so None tells nothing."""
        pairs = [(self.etag, now.etag), (self.last_modified, now.last_modified), (self.total, now.total)]
        return any(new is not None and new != old for old, new in pairs)


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
    """Bring `partial` to the whole file at `url`, going on from what an earlier run left there.

    The attempts are counted anew whenever a MiB was gained, so a long file over a poor line is not given up.

    Args:
        url: an http or https address.
        partial: where the bytes go; `<partial>.json` beside it remembers what they are part of.
        label: what the file is called in messages.
        expected_bytes: the known size; a server that announces another one is refused before anything is read.
        retries: attempts after the first one.
        timeout: seconds without a byte after which the connection is given up.
        wait: called with the seconds between two attempts: 1, 2, 4, ... or what the server asks for.

    Returns:
        Whether the file was joined from several connections; only then can a wrong checksum be our doing.

    Raises:
        UnavailableError: the address does not give the file.
        UserError: the disk has too little room.
    """
    attempt, joined, furthest = 0, False, _size(partial)
    while True:
        try:
            return _connect_once(url, partial, label, expected_bytes, timeout) or joined
        except _PassingError as fault:
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
            _say(f"{label}: {fault}; attempt {attempt + 1} of {retries + 1} in {pause:.0f} s")
            wait(pause)


def discard(partial: Path) -> None:
    """Remove a partial file and what is remembered about it."""
    partial.unlink(missing_ok=True)
    _source_file(partial).unlink(missing_ok=True)


def without_secrets(url: str) -> str:
    """Return an address as it may be printed: without user name, password, query (it may hold a token) and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


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


def _connect_once(url: str, partial: Path, label: str, expected_bytes: int | None, timeout: float) -> bool:
    """Read over one connection (two if the partial file is of no use); return whether an earlier part was used."""
    saved = _read_source(partial)
    start = _size(partial)
    if saved is None or saved.url != without_secrets(url) or saved.validator is None:
        saved, start = None, 0
    if saved and start == saved.total and start > 0:
        return True  # killed between the last byte and the move: nothing is left to ask for
    try:
        return _read_from(url, partial, label, expected_bytes, timeout, start, saved)
    except _RestartError as reason:
        _say(f"{label}: {reason}; starting again")
        discard(partial)
        return _read_from(url, partial, label, expected_bytes, timeout, 0, None)


def _read_from(
    url: str,
    partial: Path,
    label: str,
    expected_bytes: int | None,
    timeout: float,
    start: int,
    saved: _Source | None,
) -> bool:
    with _open(url, timeout, start, saved) as response:
        source = _source_of(url, response, start)
        if response.headers.get_content_type() == "text/html":
            raise _page_answered()
        if saved and start and response.status == 206:
            if saved.changed(source):
                raise _RestartError("the file on the server has changed")
            total = source.total if source.total is not None else saved.total
        elif response.status == 200:
            if saved and start:
                why = "the file on the server has changed" if saved.changed(source) else "the server cannot resume"
                _say(f"{label}: {why}; starting again")
            start, total = 0, source.total
        else:
            raise UnavailableError(f"HTTP {response.status} {response.reason}")

        head = b"" if start else _read_head(response)
        if is_page(head):
            raise _page_answered()
        if expected_bytes is not None and total not in (None, expected_bytes):
            raise UnavailableError(f"bytes: expected {expected_bytes:,}, found {total:,}")
        whole = total if total is not None else expected_bytes
        if whole is not None:
            check_space(partial.parent, whole - start, label)
        _write(response, partial, head, start, total, expected_bytes, label, source)

    size = _size(partial)
    if whole is not None and size < whole:
        raise _PassingError(f"the connection ended at {size:,} of {whole:,} bytes")
    return start > 0


def _write(
    response: http.client.HTTPResponse,
    partial: Path,
    head: bytes,
    start: int,
    total: int | None,
    expected_bytes: int | None,
    label: str,
    source: _Source,
) -> None:
    # Without a Content-Length one byte too many is enough to see that the size is wrong.
    end = total if total is not None else None if expected_bytes is None else expected_bytes + 1
    length = None if end is None else end - start - len(head)
    with partial.open("ab" if start else "wb") as file:  # "wb" empties it before the new source is remembered
        if not start:
            write_json(_source_file(partial), asdict(source))
        file.write(head)
        mebibytes = _mebibytes(response, file, length)
        shown = label if not start or total is None else f"{label} from {start / total:.0%}"
        for _ in progress(mebibytes, total=0 if length is None else length // MIB, label=shown, unit="MiB"):
            pass
        file.flush()
        os.fsync(file.fileno())


def _mebibytes(response: http.client.HTTPResponse, file: IO[bytes], length: int | None) -> Iterator[int]:
    """Write the body to `file` as it arrives and yield once per MiB; at most `length` bytes."""
    received = 0
    while length is None or received < length:
        try:
            piece = response.read1(MIB if length is None else min(MIB, length - received))
        except (OSError, http.client.HTTPException) as error:
            raise _PassingError(_reason(error)) from error
        if not piece:
            return
        file.write(piece)
        before, received = received // MIB, received + len(piece)
        yield from range(before, received // MIB)


def _read_head(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(HEAD_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _PassingError(_reason(error)) from error


def _open(url: str, timeout: float, start: int, saved: _Source | None) -> http.client.HTTPResponse:
    # http.client refuses blanks and letters outside ASCII; "%" is kept, for what is quoted already stays as it is.
    request = Request(quote(url, safe="%/:?#[]@!$&'()*+,;=~"), headers={"User-Agent": "convnet"})
    if saved and saved.validator and start:
        request.add_header("Range", f"bytes={start}-")
        request.add_header("If-Range", saved.validator)
    try:
        response = _opener().open(request, timeout=timeout)
    except HTTPError as error:
        error.close()
        if error.code == 416 and start:
            raise _RestartError("the server does not have the range that is missing") from error
        # Not error.reason: for a redirect it repeats the whole address, which may hold a token.
        reason = f"HTTP {error.code} {http.client.responses.get(error.code, '')}".rstrip()
        if error.code < 400:
            reason += ", a redirect in a circle or out of http"
        if error.code in (408, 429) or error.code >= 500:
            raise _PassingError(reason, _retry_after(error.headers)) from error
        raise UnavailableError(reason) from error
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: an address that is none
        cause = error.reason if isinstance(error, URLError) else error
        if isinstance(cause, PASSING):
            raise _PassingError(_reason(cause)) from error
        raise UnavailableError(_reason(cause)) from error
    assert isinstance(response, http.client.HTTPResponse)
    return response


class _Redirects(HTTPRedirectHandler):
    """Follow redirects, but never from a protected connection to an open one, nor out of HTTP."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> Request | None:
        target = urljoin(req.full_url, newurl)
        schemes = urlsplit(req.full_url).scheme, urlsplit(target).scheme
        if schemes not in (("http", "http"), ("http", "https"), ("https", "https")):
            fp.close()
            raise UnavailableError(f"refused a redirect from {schemes[0]} to {schemes[1]}")
        return super().redirect_request(req, fp, code, msg, headers, target)


def _opener() -> OpenerDirector:
    # Not build_opener: that one also follows ftp, file and data addresses.
    opener = OpenerDirector()
    for handler in (
        ProxyHandler(),
        HTTPHandler(),
        HTTPSHandler(),
        HTTPDefaultErrorHandler(),
        _Redirects(),
        HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _source_of(url: str, response: http.client.HTTPResponse, start: int) -> _Source:
    total = response.length  # what http.client will read of this answer; None if the server does not say
    if response.status == 206 and start:
        content_range = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if content_range is None or int(content_range[1]) != start:
            raise _RestartError("the server sent another range than asked for")
        total = None if content_range[2] == "*" else int(content_range[2])
    headers = response.headers
    return _Source(without_secrets(url), headers.get("ETag"), headers.get("Last-Modified"), total)


def _retry_after(headers: Message) -> float | None:
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _page_answered() -> UnavailableError:
    return UnavailableError("the server sent a web page, not the file: a sign-in page, or the address has moved")


def _reason(error: BaseException | str) -> str:
    if isinstance(error, TimeoutError):
        return "the server did not answer in time"
    if isinstance(error, socket.gaierror):
        return "the server's name was not found (no connection?)"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted ({error.verify_message})"
    if isinstance(error, ConnectionError | http.client.IncompleteRead):
        return "the connection broke"
    if isinstance(error, str):
        return error
    if isinstance(error, OSError):
        return f"no connection ({error.strerror or error})"
    return f"{type(error).__name__}: {error}"


def _read_source(partial: Path) -> _Source | None:
    try:
        return _Source(**read_json(_source_file(partial)))
    except (UserError, TypeError):  # missing, damaged, or written by another version: no more than a fresh start
        return None


def _source_file(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)
