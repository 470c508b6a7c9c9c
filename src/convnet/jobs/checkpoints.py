"""A job's state after each epoch: one file, whole or absent, from which training goes on bit for bit."""

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
DIGEST_BYTES = 32  # SHA-256 of the rest of the file, before it: not every damage is one that a ZIP archive notices
KEPT = 2  # the newest state, and the one before in case the newest is damaged


@dataclass
class State:
    """What training needs to go on after `epoch` epochs.

    Random draws are functions of (seed, epoch), so no generator state is kept.
    """

    epoch: int
    variables: Arrays
    optimizer: Arrays
    history: list[dict[str, float]]
    seconds: float
    best_epoch: int = 0
    best_loss: float = float("inf")
    best_variables: Arrays = field(default_factory=list)


def save_state(folder: Path, state: State) -> None:
    """Write `state` as `state-<epoch>.npz` and forget all but the last two."""
    arrays: dict[str, NDArray[Any]] = {}
    for group in ("variables", "optimizer", "best_variables"):
        for number, array in enumerate(getattr(state, group)):
            arrays[f"{group}/{number}"] = array
    facts = {
        "epoch": state.epoch,
        "history": state.history,
        "seconds": state.seconds,
        "best_epoch": state.best_epoch,
        "best_loss": state.best_loss,
    }
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
    size = sum(array.nbytes for array in arrays.values())
    with atomic_path(folder / f"state-{state.epoch:05d}.npz", size) as temporary, temporary.open("w+b") as file:
        file.write(bytes(DIGEST_BYTES))  # a ZIP archive may begin anywhere in its file
        np.savez(file, **arrays)  # type: ignore[arg-type]  # the stub takes the names for allow_pickle
        file.seek(DIGEST_BYTES)
        digest = hashlib.file_digest(file, "sha256").digest()
        file.seek(0)
        file.write(digest)
    for old in _states(folder)[KEPT:]:
        old.unlink(missing_ok=True)


def load_state(folder: Path) -> State | None:
    """Return the newest whole state, or None. A damaged one is removed, and a line on stderr says so.

    Raises:
        UserError: a state cannot be read, which may pass: it need not be damaged, so it stays.
    """
    try:
        return _newest_whole(folder)
    except OSError as error:
        raise UserError(
            f"{error.filename or folder} cannot be read ({error.strerror}): run the same command again, or delete it "
            "to go on without it"
        ) from error


def clear_states(folder: Path) -> None:
    """Remove all states of a job that has finished, and what a killed writer left."""
    for path in [*_states(folder), *folder.glob(".state-*.partial.npz")]:
        path.unlink(missing_ok=True)


def _states(folder: Path) -> list[Path]:
    """Return the state files, newest first."""
    # Not by `glob`, to which a folder that cannot be read is an empty one.
    paths = folder.iterdir() if folder.is_dir() else ()
    return sorted((path for path in paths if path.match("state-*.npz")), reverse=True)


def _newest_whole(folder: Path) -> State | None:
    paths = _states(folder)
    for number, path in enumerate(paths, start=1):
        try:
            return _read(path)
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            instead = "starting anew" if number == len(paths) else "taking the state before it"
            print(printable(f"{path} is damaged ({error}): {instead}"), file=sys.stderr)
            path.unlink(missing_ok=True)
    return None


def _read(path: Path) -> State:
    with path.open("rb") as file:
        expected = file.read(DIGEST_BYTES)
        if hashlib.file_digest(file, "sha256").digest() != expected:
            raise ValueError("its checksum does not fit")
        file.seek(DIGEST_BYTES)
        return _unpack(np.load(file, allow_pickle=False))


def _unpack(archive: Any) -> State:
    with archive as arrays:
        facts = json.loads(arrays["facts"].tobytes())
        groups: dict[str, Arrays] = {}
        for group in ("variables", "optimizer", "best_variables"):
            count = sum(name.startswith(f"{group}/") for name in arrays.files)
            groups[group] = [arrays[f"{group}/{number}"] for number in range(count)]
    return State(**(facts | groups))
