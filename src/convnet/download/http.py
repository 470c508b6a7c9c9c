"""One file over HTTP into a partial file that survives a kill: ranges (RFC 9110, section 14), retries, back-off."""

import os
import re
import shutil
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, InvalidHeader, ProtocolError, TimeoutError
from urllib3.util import Retry

from convnet.system.errors import UserError, printable
from convnet.system.files import read_json, write_json
from convnet.system.progress import progress

MIB = 2**20
LONGEST_WAIT = 120.0  # seconds; a server that asks for more is given up, because a command must end
SPACE_MARGIN = 64 * MIB  # left free on the disk, so that a download never fills it to the last byte
MOST_BYTES = 2**38  # of a body whose size neither the server nor params.yaml names: 256 GiB
HEAD_BYTES = 512  # enough to distinguish a web page from an archive


class UnavailableError(Exception):
    """This address does not give the file, and asking it again would not help; another address may."""


class _PassingError(Exception):
    """A fault that passes by itself; `pause` is how many seconds the server asks to wait, or None."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


class _RestartError(Exception):
    """The partial file cannot be continued: the download starts again from the first byte."""


@dataclass(frozen=True)
class _Source:
    """What a partial file is the beginning of; kept as JSON beside it for the next process."""

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
        """Read over one connection, or two if the partial file is of no use; return whether it was used."""
        saved, start = _read_source(self.partial), _size(self.partial)
        if saved is None or saved.url != without_secrets(self.url) or saved.validator is None:
            saved, start = None, 0
        if saved and start == saved.total and start > 0:
            return True  # killed between the last byte and the move
        try:
            return self._read(start, saved)
        except _RestartError as reason:
            self.print(f"{reason}; starting again")
            discard(self.partial)
            return self._read(0, None)

    def _read(self, start: int, saved: _Source | None) -> bool:
        headers = {"User-Agent": "convnet", "Accept-Encoding": "identity"}
        if saved and saved.validator and start:
            headers |= {"Range": f"bytes={start}-", "If-Range": saved.validator}
        try:
            with (
                _session() as session,
                session.get(self.url, headers=headers, timeout=self.timeout, stream=True) as response,
            ):
                _check_status(response, start)
                return self._read_answer(response, start, saved)
        except requests.TooManyRedirects as error:
            raise UnavailableError("the redirects go in a circle") from error
        except (requests.RequestException, HTTPError) as error:
            raise _fault(error) from error

    def _read_answer(self, response: requests.Response, start: int, saved: _Source | None) -> bool:
        source = _source_of(self.url, response, start)
        if response.headers.get("Content-Type", "").lower().startswith("text/html"):
            raise _page_answered()
        if response.status_code == 200 and saved and start:
            why = "the file on the server has changed" if saved.changed(source) else "the server cannot resume"
            self.print(f"{why}; starting again")
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
            raise _PassingError(f"the connection ended at {_size(self.partial):,} of {whole:,} bytes")
        return start > 0

    def _write(self, response: requests.Response, head: bytes, start: int, total: int | None, source: _Source) -> None:
        # Without a Content-Length one byte too many is enough to see that the size is wrong.
        pinned = total is not None or self.expected_bytes is not None
        end = total if total is not None else (MOST_BYTES if self.expected_bytes is None else self.expected_bytes) + 1
        length = end - start - len(head)
        with self.partial.open("ab" if start else "wb") as file:  # "wb" empties it before the source is remembered
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

    def print(self, text: str) -> None:
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
    """Bring `partial` to the whole file at `url`, resuming from what an earlier run left there.

    The count of attempts starts again whenever a MiB was gained, so a long file over a poor line is not given up.

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
    # urllib3 retries no broken body, so one loop retries everything that passes, and the adapter nothing.
    file = _Download(url, partial, label, expected_bytes, timeout)
    attempt, joined, furthest = 0, False, _size(partial)
    while True:
        try:
            return file.connect() or joined
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
            file.print(f"{fault}; attempt {attempt + 1} of {retries + 1} in {pause:.0f} s")
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


class _Session(requests.Session):
    """Follow redirects, but never from a protected connection to an open one, nor out of HTTP."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target is not None:
            schemes = urlsplit(resp.url).scheme, urlsplit(urljoin(resp.url, target)).scheme
            if schemes not in (("http", "http"), ("http", "https"), ("https", "https")):
                raise UnavailableError(f"refused a redirect from {schemes[0]} to {schemes[1]}")
        return target

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Send no password of ~/.netrc."""


class _Adapter(HTTPAdapter):
    """Trust the certificates of this machine (SSL_CERT_FILE too) beside those that come with requests."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=ssl.create_default_context(), **kwargs)

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=ssl.create_default_context(), **kwargs)


def _session() -> requests.Session:
    session = _Session()
    session.auth = lambda request: request  # or requests looks for a password in ~/.netrc
    session.mount("https://", _Adapter())
    return session


def _check_status(response: requests.Response, start: int) -> None:
    status = response.status_code
    if status == 200 or (status == 206 and start):
        return
    if status == 416 and start:
        raise _RestartError("the server does not have the range that is missing")
    reason = f"HTTP {status} {response.reason or ''}".rstrip()
    if status in (408, 429) or status >= 500:
        try:
            pause = Retry().get_retry_after(response.raw)
        except InvalidHeader:
            pause = None
        raise _PassingError(reason, pause)
    raise UnavailableError(reason)


def _mebibytes(response: requests.Response, file: IO[bytes], length: int) -> Iterator[int]:
    """Write at most `length` bytes of the body to `file` as they arrive, and yield once per MiB."""
    received = 0
    while received < length:
        try:
            piece = response.raw.read1(min(MIB, length - received), decode_content=False)
        except ProtocolError:
            if response.raw.length_remaining:
                return  # cut off, which the caller sees from the size
            raise
        if not piece:
            return
        file.write(piece)
        before, received = received // MIB, received + len(piece)
        yield from range(before, received // MIB)


def _source_of(url: str, response: requests.Response, start: int) -> _Source:
    total = response.raw.length_remaining  # None if the server does not announce it
    if response.status_code == 206:
        content_range = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if content_range is None or int(content_range[1]) != start:
            raise _RestartError("the server sent another range than asked for")
        total = None if content_range[2] == "*" else int(content_range[2])
    headers = response.headers
    return _Source(without_secrets(url), headers.get("ETag"), headers.get("Last-Modified"), total)


def _page_answered() -> UnavailableError:
    return UnavailableError("the server sent a web page, not the file: a sign-in page, or the address has moved")


def _fault(error: Exception) -> Exception:
    """Return what a failed connection means. No text of requests is repeated: it may hold an address with a token."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__

    def first(*kinds: type[BaseException]) -> Any:
        return next((cause for cause in causes if isinstance(cause, kinds)), None)

    if first(socket.gaierror):
        return UnavailableError("the server's name was not found (no connection?)")
    if first(ConnectionRefusedError):
        return UnavailableError("the connection was refused")
    if untrusted := first(ssl.SSLCertVerificationError):
        return UnavailableError(f"the server's certificate is not trusted ({untrusted.verify_message})")
    if first(requests.Timeout, TimeoutError, socket.timeout):
        return _PassingError("the server did not answer in time")
    if first(ProtocolError, ConnectionError):
        return _PassingError("the connection broke")
    system = next((cause for cause in causes if isinstance(cause, OSError) and cause.strerror), None)
    return UnavailableError(f"no connection ({system.strerror if system else type(error).__name__})")


def _read_source(partial: Path) -> _Source | None:
    try:
        return _Source(**read_json(_source_file(partial)))
    except (UserError, TypeError):  # missing, damaged, or written by another version: a fresh start
        return None


def _source_file(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
