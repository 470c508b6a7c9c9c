"""A job as it travels to another machine: its settings, and its files by digest; and its result on the way back."""

import functools
import io
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from os import getpid
from pathlib import Path
from shutil import rmtree

from convnet.jobs.job import Job
from convnet.system.errors import UserError
from convnet.system.files import atomic_path, file_digest, link, read_json
from convnet.system.locks import locked

RESULT_FILES = {"facts.json", "history.json", "model.keras", "predictions.npz", "timing.json"}


@dataclass(frozen=True)
class InputFile:
    """A file that a job reads.

    Attributes:
        place: where it belongs, below the folder of the job's inputs.
        digest: its SHA-256, 64 hexadecimal digits.
        bytes: its length.
    """

    place: str
    digest: str
    bytes: int


@dataclass(frozen=True)
class ShippedJob:
    """A job whose paths lead below a folder that its receiver chooses.

    Attributes:
        job: the job; its key is what it was, since paths are no part of it.
        key: the sender's key, which the receiver must come to as well.
        inputs: the files it reads.
    """

    job: Job
    key: str
    inputs: tuple[InputFile, ...]


@dataclass(frozen=True)
class PackedResult:
    """The result of a finished job as it travels.

    Attributes:
        content: its files as one tar archive.
        digest: the SHA-256 of `content` where it was packed.
    """

    content: bytes
    digest: str


def ship(job: Job) -> tuple[ShippedJob, dict[str, Path]]:
    """Return the form of a job that travels, and where its files lie here, by digest."""
    files = [(f"arrays/{path.relative_to(job.arrays)}", path) for path in _files(job.arrays)]
    travelling = replace(job, arrays=Path("arrays"), features=None)
    if job.recipe.kind == "features" and job.features is not None:
        files += [(f"features/{path.relative_to(job.features)}", path) for path in _files(job.features)]
        travelling = replace(travelling, features=Path("features"))
    if job.backbone is not None:
        place = f"backbone/{job.backbone.weights.name}"
        files.append((place, job.backbone.weights))
        travelling = replace(travelling, backbone=replace(job.backbone, weights=Path(place)))
    if job.start_model is not None:
        place = f"start/{job.start_model.name}"
        files.append((place, job.start_model))
        travelling = replace(travelling, start_model=Path(place))
    inputs, places = [], {}
    for place, path in files:
        status = path.stat()
        digest = _digest(path.resolve(), status.st_mtime_ns, status.st_size)
        inputs.append(InputFile(place, digest, status.st_size))
        places[digest] = path
    return ShippedJob(travelling, job.key, tuple(inputs)), places


def receive(shipped: ShippedJob, cache: Path, folder: Path, fetch: Callable[[str], Iterable[bytes]]) -> Job:
    """Bring the files of a job into `folder`, each fetched only if this machine has not got it, and each verified.

    Args:
        shipped: what arrived.
        cache: folder of the files this machine has, by digest; several jobs may use it at once.
        folder: where the job's inputs are to lie.
        fetch: gives the content of a file by its digest, in pieces.

    Returns:
        The job with paths that hold here.

    Raises:
        UserError: a file did not arrive as it was sent, or the disk is full.
    """
    for file in shipped.inputs:
        target = folder / file.place
        target.parent.mkdir(parents=True, exist_ok=True)
        link(_kept(file, cache, fetch), target)
    job = replace(shipped.job, arrays=folder / shipped.job.arrays)
    if job.features is not None:
        job = replace(job, features=folder / job.features)
    if job.backbone is not None:
        job = replace(job, backbone=replace(job.backbone, weights=folder / job.backbone.weights))
    if job.start_model is not None:
        job = replace(job, start_model=folder / job.start_model)
    return job


def pack_result(job: Job) -> PackedResult:
    """Return the result of a finished job in the form that travels."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(job.result.iterdir()):
            archive.add(path, arcname=path.name)
    content = buffer.getvalue()
    return PackedResult(content, sha256(content).hexdigest())


def store_result(job: Job, packed: PackedResult) -> None:
    """Put a result that arrived into the store, whole or not at all.

    Raises:
        UserError: it is not the result of this job, or did not arrive as it was sent.
    """
    if sha256(packed.content).hexdigest() != packed.digest:
        raise UserError(f"{job.label}: its result did not arrive as it was sent; run the same command again")
    temporary = job.folder / f"arrived-{getpid()}.partial"
    rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        _unpack(job, packed.content, temporary)
        if read_json(temporary / "facts.json")["model_sha256"] != file_digest(temporary / "model.keras"):
            raise UserError(
                f"{job.label}: its model was damaged where it was trained; delete work/{job.folder} in that machine's "
                "CONVNET_CACHE and run the same command again"
            )
        temporary.rename(job.result)
    except OSError:
        if not job.done:  # else another process was first: equal jobs have equal results
            raise
    finally:
        rmtree(temporary, ignore_errors=True)


def _unpack(job: Job, content: bytes, folder: Path) -> None:
    """Write the files of a result into `folder`, those and no others."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            if member.name not in RESULT_FILES or not member.isfile():
                raise UserError(f"{job.label}: its result arrived with {member.name!r} in it; it was not stored")
            archive.extract(member, folder, filter="data")
    missing = sorted(RESULT_FILES - {path.name for path in folder.iterdir()})
    if missing:
        raise UserError(f"{job.label}: its result arrived without {', '.join(missing)}; run the same command again")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@functools.cache
def _digest(path: Path, modified: int, length: int) -> str:
    """Return the digest of a file; a run of many jobs reads each file once."""
    return file_digest(path)


def _kept(file: InputFile, cache: Path, fetch: Callable[[str], Iterable[bytes]]) -> Path:
    """Return the file in the cache, fetched first if it is not there whole."""
    path = cache / file.digest
    with locked(cache / f"{file.digest}.lock", waiting="another job of this machine is fetching the same file"):
        if path.is_file() and path.stat().st_size == file.bytes and file_digest(path) == file.digest:
            return path
        digest = sha256()
        with atomic_path(path) as temporary:
            with temporary.open("wb") as stream:
                for piece in fetch(file.digest):
                    digest.update(piece)
                    stream.write(piece)
            if digest.hexdigest() != file.digest:
                raise UserError(f"{file.place} did not arrive as it was sent; run the same command again")
        return path
