"""Send a job to another machine: its settings, and its files by digest; and bring its result back."""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from os import getpid
from pathlib import Path
from shutil import rmtree

from convnet.jobs.job import Job
from convnet.system.errors import UserError
from convnet.system.files import atomic_path, file_digest, link
from convnet.system.locks import locked

RESULT_FILES = {"facts.json", "history.json", "model.keras", "predictions.npz", "timing.json"}


@dataclass(frozen=True)
class InputFile:
    """A file that a job reads.

    Attributes:
        place: its path below the folder of the job's inputs.
        digest: its SHA-256, 64 hexadecimal digits.
        bytes: its length.
    """

    place: Path
    digest: str
    bytes: int


@dataclass(frozen=True)
class ShippedJob:
    """A job whose paths are relative to a folder that its receiver chooses.

    Attributes:
        job: the job.
        key: the sender's key, which the receiver must compute as well.
        inputs: the files it reads.
    """

    job: Job
    key: str
    inputs: tuple[InputFile, ...]


@dataclass(frozen=True)
class PackedResult:
    """The files of a finished job's result, by name, and the digest of all of them."""

    files: dict[str, bytes]
    digest: str


def ship(job: Job) -> tuple[ShippedJob, dict[str, Path]]:
    """Return the form of a job that is sent, and the paths of its files here, by digest."""
    inputs, places = [], {}

    def send(name: str, path: Path) -> Path:
        target = Path(name) if path.is_dir() else Path(name) / path.name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                status = file.stat()
                digest = _digest(file.resolve(), status.st_mtime_ns, status.st_size)
                inputs.append(InputFile(target / file.relative_to(path), digest, status.st_size))
                places[digest] = file
        return target

    sent = _with_paths(job if job.recipe.kind == "features" else replace(job, features=None), send)
    return ShippedJob(sent, job.key, tuple(inputs)), places


def receive(shipped: ShippedJob, cache: Path, folder: Path, fetch: Callable[[str], Iterable[bytes]]) -> Job:
    """Bring the files of a job into `folder`; each is fetched if this machine lacks it, and each is verified.

    Args:
        shipped: the job as it arrived.
        cache: folder of the files this machine has, by digest; several jobs may use it at once.
        folder: for the job's inputs.
        fetch: returns the content of a file by its digest, in pieces.

    Returns:
        The job with the paths of this machine.

    Raises:
        UserError: a file did not arrive as it was sent, or the disk is full.
    """
    for file in shipped.inputs:
        target = folder / file.place
        target.parent.mkdir(parents=True, exist_ok=True)
        link(_cached(file, cache, fetch), target)
    return _with_paths(shipped.job, lambda _, path: folder / path)


def pack_result(job: Job) -> PackedResult:
    """Return the result of a finished job in the form that is sent."""
    files = {path.name: path.read_bytes() for path in job.result.iterdir()}
    return PackedResult(files, digest_of_all(files))


def store_result(job: Job, packed: PackedResult) -> None:
    """Put a result that arrived into the store, whole or not at all.

    Raises:
        UserError: it is not the result of this job, or did not arrive as it was sent.
    """
    if digest_of_all(packed.files) != packed.digest:
        raise UserError(f"{job.label}: its result did not arrive as it was sent; run the same command again")
    if wrong := sorted(packed.files.keys() ^ RESULT_FILES):
        raise UserError(f"{job.label}: its result was not stored, because of unknown or missing files: {wrong}")
    temporary = job.folder / f"arrived-{getpid()}.partial"
    rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        for name, content in packed.files.items():
            (temporary / name).write_bytes(content)
        temporary.rename(job.result)
    except OSError:
        if not job.done:  # another process was not first: equal jobs have equal results
            raise
    finally:
        rmtree(temporary, ignore_errors=True)


def _with_paths(job: Job, new: Callable[[str, Path], Path]) -> Job:
    """Return the job with each of its paths replaced by `new(name, path)`."""
    backbone = job.backbone and replace(job.backbone, weights=new("backbone", job.backbone.weights))
    return replace(
        job,
        arrays=new("arrays", job.arrays),
        features=job.features and new("features", job.features),
        backbone=backbone,
        start_model=job.start_model and new("start", job.start_model),
    )


def digest_of_all(files: dict[str, bytes]) -> str:
    """Return the SHA-256 of the names and contents of files."""
    lines = [f"{name!r} {sha256(files[name]).hexdigest()}" for name in sorted(files)]
    return sha256("\n".join(lines).encode()).hexdigest()


@functools.cache
def _digest(path: Path, modified: int, length: int) -> str:
    """Return the digest of a file; a run of many jobs reads each file once."""
    return file_digest(path)


def _cached(file: InputFile, cache: Path, fetch: Callable[[str], Iterable[bytes]]) -> Path:
    """Return the file in the cache, fetched first if it is not whole there."""
    path = cache / file.digest
    with locked(cache / f"{file.digest}.lock", waiting="another job of this machine is fetching the same file"):
        if path.is_file() and file_digest(path) == file.digest:
            return path
        digest = sha256()
        with atomic_path(path, file.bytes) as temporary:
            with temporary.open("wb") as stream:
                for piece in fetch(file.digest):
                    digest.update(piece)
                    stream.write(piece)
            if digest.hexdigest() != file.digest:
                raise UserError(f"{file.place} did not arrive as it was sent; run the same command again")
        return path
