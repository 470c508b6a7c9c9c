"""Files that are either whole or absent: digests, atomic writes, canonical JSON."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from convnet.system.errors import UserError

FULL = {errno.ENOSPC, errno.EDQUOT}
NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no NaN, so equal values give equal text.

    Raises:
        ValueError: `value` holds NaN or infinity.
    """
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def json_digest(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


@contextmanager
def atomic_path(path: Path, size: int = 0) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success fsync it and rename it to `path`, or remove it after an error.

    `path` is never half written: it holds its old content until the new one is on disk.

    Args:
        path: the file to write.
        size: the least number of bytes to be written, where known, for the message of a full disk.

    Raises:
        UserError: the disk is full, or the folder cannot be written; the old file is intact.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=f".partial{path.suffix}")
        os.close(handle)
        temporary = Path(name)
        yield temporary
        _sync(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        if temporary is None and error.errno in NOT_WRITABLE:
            raise UserError(
                f"{path} cannot be written ({error.strerror}): make its folder writable and run the same command again"
            ) from error
        if error.errno in FULL:
            written = temporary.stat().st_size if temporary and temporary.exists() else 0
            if temporary:
                temporary.unlink(missing_ok=True)  # its bytes count as free
            raise full_disk(path, max(size, written)) from error
        raise
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)


def full_disk(path: Path, needed: int) -> UserError:
    """Return the error of a disk that was full while writing `path`, which takes `needed` bytes or more."""
    free = shutil.disk_usage(next(folder for folder in path.parents if folder.exists())).free
    return UserError(
        f"the disk is full while writing {path} (at least {needed:,} bytes needed, {free:,} free); "
        "what was there is intact: make room and run the same command again"
    )


def link(source: Path, target: Path) -> None:
    """Give `target` the content of `source`: the same file where the file system can, since neither is written into."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        with atomic_path(target, source.stat().st_size) as temporary:
            shutil.copyfile(source, temporary)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, atomically."""
    content = text.encode("utf-8", "surrogateescape")
    with atomic_path(path, len(content)) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as canonical JSON to `path`, atomically."""
    write_text(path, canonical_json(value))


def read_json(path: Path) -> Any:
    """Read JSON from `path`.

    Raises:
        UserError: the file is missing or not JSON.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run `dvc repro` to make it") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); delete it and run `dvc repro`") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
