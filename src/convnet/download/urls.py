"""Addresses of files: web addresses and local paths."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from convnet.system.errors import UserError


def check_url(url: str) -> None:
    """Raise a UserError unless `url` is an http, https or file address without a password, or a local path."""
    try:
        parts = urlsplit(url)
        if is_local(url):
            usable = local_path(url) != Path() and parts.netloc in ("", "localhost")
        elif "@" in parts.netloc:
            raise UserError(f"{shown(url)} is given with a user name or password; write the `url` without them")
        else:
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except (ValueError, RuntimeError) as error:  # a wrong bracket, port or ~user
        # The address and the error are left out: they may hold a password.
        raise UserError("a `url` in params.yaml is malformed; correct its host, port or home folder") from error
    if not usable:
        raise UserError(f"{shown(url)} is not an http, https or file address; correct the `url` in params.yaml")


def is_local(url: str) -> bool:
    """Return whether `url` is a file address or a path."""
    return url.lower().startswith("file:") or not re.match(r"[a-z][a-z0-9+.-]*:", url, re.IGNORECASE)


def local_path(url: str) -> Path:
    """Return the path of a local address."""
    return Path(unquote(urlsplit(url).path)) if url.lower().startswith("file:") else Path(url).expanduser()


def shown(url: str) -> str:
    """Return an address or a path for a message."""
    return without_secrets(url) if "://" in url else url


def without_secrets(url: str) -> str:
    """Return an address as it may be printed: without user name, password, query (it may hold a token) and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
