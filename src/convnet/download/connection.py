"""HTTP connections: redirects, certificates and faults."""

import socket
import ssl
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import InvalidHeader, ProtocolError, TimeoutError
from urllib3.util import Retry


class UnavailableError(Exception):
    """The address does not give the file, and a retry would not help; another address may give it."""


class PassingError(Exception):
    """A fault that passes by itself; `pause` is the wait that the server asks for in seconds, or None."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


def connection_fault(error: Exception) -> UnavailableError | PassingError:
    """Return the fault of a failed connection, without the text of requests: it may hold an address with a token."""
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
        return PassingError("the server did not answer in time")
    if first(ProtocolError, ConnectionError):
        return PassingError("the connection broke")
    system = next((cause for cause in causes if isinstance(cause, OSError) and cause.strerror), None)
    return UnavailableError(f"no connection ({system.strerror if system else type(error).__name__})")


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


def new_session() -> requests.Session:
    """Return a session that sends no password and follows safe redirects only."""
    session = _Session()
    session.auth = lambda request: request  # or requests looks for a password in ~/.netrc
    session.mount("https://", _Adapter())
    return session


def status_fault(response: requests.Response) -> UnavailableError | PassingError:
    """Return the fault that a status other than success reports."""
    reason = f"HTTP {response.status_code} {response.reason or ''}".rstrip()
    if response.status_code not in (408, 429) and response.status_code < 500:
        return UnavailableError(reason)
    try:
        return PassingError(reason, Retry().get_retry_after(response.raw))
    except InvalidHeader:
        return PassingError(reason)
