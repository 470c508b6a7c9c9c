"""Checkpoints of a running job: one file each, whole or absent. Training resumes from it with equal bits."""

import hashlib
import json
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convnet.system.errors import UserError, printable
from convnet.system.files import atomic_path

Arrays = list[NDArray[Any]]
DIGEST_BYTES = 32  # SHA-256 of the rest of the file; a ZIP archive does not notice every damage
GROUPS = ("variables", "optimizer", "best_variables", "best_optimizer")
KEPT = 2  # the newest, and the one before it in case the newest is damaged


@dataclass
class Checkpoint:
    """All that training needs to resume after `epoch` epochs.

    Random draws are functions of (seed, epoch), so no generator is stored. The best epoch's values are empty where the
    last epoch's weights count.
    """

    epoch: int
    variables: Arrays
    optimizer: Arrays
    history: list[dict[str, float]]
    seconds: float
    best_variables: Arrays = field(default_factory=list)
    best_optimizer: Arrays = field(default_factory=list)

    @property
    def losses(self) -> list[float]:
        """The validation loss of every epoch."""
        return [row["validation_loss"] for row in self.history]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint-<epoch>.npz` and remove all but the last two."""
    arrays: dict[str, NDArray[Any]] = {}
    for group in GROUPS:
        for number, array in enumerate(getattr(checkpoint, group)):
            arrays[f"{group}/{number}"] = array
    facts = {"epoch": checkpoint.epoch, "history": checkpoint.history, "seconds": checkpoint.seconds}
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
    size = sum(array.nbytes for array in arrays.values())
    path = folder / f"checkpoint-{checkpoint.epoch:05d}.npz"
    with atomic_path(path, size) as temporary, temporary.open("w+b") as file:
        file.write(bytes(DIGEST_BYTES))  # a ZIP archive may begin anywhere in its file
        np.savez(file, **arrays)  # type: ignore[arg-type]  # the stub takes the names for allow_pickle
        file.seek(DIGEST_BYTES)
        digest = hashlib.file_digest(file, "sha256").digest()
        file.seek(0)
        file.write(digest)
    for old in _files(folder)[KEPT:]:
        old.unlink(missing_ok=True)


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the newest whole checkpoint, or None. A damaged one is removed and reported on stderr.

    Raises:
        UserError: a checkpoint cannot be read. This may pass, so it stays.
    """
    try:
        return _newest_whole(folder)
    except OSError as error:
        raise UserError(
            f"{error.filename or folder} cannot be read ({error.strerror}): run the same command again, or delete it "
            "to go on without it"
        ) from error


def clear_checkpoints(folder: Path) -> None:
    """Remove all checkpoints of a finished job, and the partial file of a killed writer."""
    for path in [*_files(folder), *folder.glob(".checkpoint-*.partial.npz")]:
        path.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    """Return the files, newest first."""
    # `glob` would take a folder that cannot be read for an empty one.
    paths = folder.iterdir() if folder.is_dir() else ()
    return sorted((path for path in paths if path.match("checkpoint-*.npz")), reverse=True)


def _newest_whole(folder: Path) -> Checkpoint | None:
    paths = _files(folder)
    for number, path in enumerate(paths, start=1):
        try:
            return _read(path)
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            instead = "starting again" if number == len(paths) else "taking the one before it"
            print(printable(f"{path} is damaged ({error}): {instead}"), file=sys.stderr)
            path.unlink(missing_ok=True)
    return None


def _read(path: Path) -> Checkpoint:
    with path.open("rb") as file:
        expected = file.read(DIGEST_BYTES)
        if hashlib.file_digest(file, "sha256").digest() != expected:
            raise ValueError("its checksum does not match")
        file.seek(DIGEST_BYTES)
        return _unpack(np.load(file, allow_pickle=False))


def _unpack(archive: Any) -> Checkpoint:
    with archive as arrays:
        facts = json.loads(arrays["facts"].tobytes())
        groups: dict[str, Arrays] = {}
        for group in GROUPS:
            count = sum(name.startswith(f"{group}/") for name in arrays.files)
            groups[group] = [arrays[f"{group}/{number}"] for number in range(count)]
    return Checkpoint(**(facts | groups))
