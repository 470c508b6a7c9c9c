"""The store of finished jobs: the place of a result, whether it is still whole, and numbers kept beside."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from convnet.jobs.job import STORE, Job
from convnet.system.errors import UserError
from convnet.system.files import file_digest, json_digest, read_json, write_json

# Where a result keeps its digests: the one file of it that differs from run to run anyway, and travels with the rest.
SEALED, SEAL = "timing.json", "sha256"


@contextmanager
def result_folder(job: Job) -> Iterator[Path]:
    """Yield a folder to fill; on success it becomes the job's result in one rename."""
    for left_over in job.folder.glob("result-*.partial"):  # of a process that was killed
        shutil.rmtree(left_over, ignore_errors=True)
    temporary = job.folder / f"result-{os.getpid()}.partial"
    temporary.mkdir(parents=True)
    try:
        yield temporary
        _seal(temporary)
        shutil.rmtree(job.result, ignore_errors=True)
        temporary.replace(job.result)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _seal(folder: Path) -> None:
    """Write the SHA-256 of every file of a result into one of them; its own is that of all else it holds."""
    content = read_json(folder / SEALED)
    content[SEAL] = {path.name: file_digest(path) for path in folder.iterdir() if path.name != SEALED}
    content[SEAL][SEALED] = json_digest(content)
    write_json(folder / SEALED, content)


def damaged_file(job: Job) -> Path | None:
    """Return a file of a finished job's result that is missing or not as it was written, or None.

    Raises:
        UserError: a file cannot be read, which may pass: it need not be damaged.
    """
    path = job.result / SEALED
    try:
        content = read_json(path)
        digests: dict[str, str] = content[SEAL]
        if digests.pop(SEALED) != json_digest(content):  # in this order: the digest does not cover itself
            return path
        for name in sorted(digests):
            path = job.result / name
            if file_digest(path) != digests[name]:
                return path
    # No JSON, or not what `_seal` wrote.
    except (UserError, AttributeError, KeyError, TypeError, ValueError, FileNotFoundError):
        return path
    except OSError as error:
        advice = f"run the same command again, or delete {job.result} to retrain"
        raise UserError(f"{path} cannot be read ({error.strerror}): {advice}") from error
    return None


def facts(job: Job) -> dict[str, Any]:
    """Return the deterministic facts of a finished job."""
    return dict(read_json(job.result / "facts.json"))


def timing(job: Job) -> dict[str, Any]:
    """Return the seconds and the machine of a finished job."""
    content = dict(read_json(job.result / SEALED))
    content.pop(SEAL, None)
    return content


def keep(made: Path, kept: Path) -> None:
    """Move the folder `made` to `kept`, unless another process was first: then that one's stays."""
    try:
        made.replace(kept)
    except OSError:
        if not kept.is_dir():
            raise


def stored_json(kind: str, decides: Mapping[str, Any], compute: Callable[[], Any]) -> Any:
    """Return numbers from the store, or compute them and keep them there.

    Args:
        kind: begins the name in the store.
        decides: all that decides the numbers, code and versions included.
        compute: returns them, as JSON can hold them.
    """
    kept = STORE / f"{kind}-{json_digest(decides)}.json"
    if not kept.is_file():
        write_json(kept, compute())
    return read_json(kept)
