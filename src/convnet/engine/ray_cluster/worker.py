"""The part of the Ray engine that runs on the machines of the cluster, in a new process per job."""

import functools
import os
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from convnet.engine.job_process import run_job, traceback_file
from convnet.engine.ray_cluster.job_files import PackedResult, ShippedJob, pack_result, receive
from convnet.jobs.job import library_versions
from convnet.system.errors import UserError
from convnet.system.files import file_digest, json_digest


@dataclass(frozen=True)
class Outcome:
    """The end of a job: one of `result`, `failure` and `refusal` is given.

    Attributes:
        node: the machine, by Ray's name for it.
        result: the packed result.
        failure: why the job failed; another machine would fail as well.
        refusal: why this machine must not train for the sender; another may.
        traceback: content of the file that `failure` names, because that file is on this machine only.
    """

    node: str
    result: PackedResult | None = None
    failure: str | None = None
    refusal: str | None = None
    traceback: str | None = None


def run_shipped(sender: dict[str, str], content: bytes, pieces: dict[str, list[Any]]) -> Outcome:
    """Run a job that was sent here.

    Args:
        sender: the sender's identity.
        content: the pickled ShippedJob, read only if this machine has the same identity.
        pieces: by digest of an input file, references to its pieces in Ray's object store.
    """
    import ray  # imported late: this module is also imported where the extra [ray] is not installed

    context = ray.get_runtime_context()
    node = context.get_node_id()
    if other := difference(sender, identity()):
        return Outcome(node, refusal=other)
    if not context.get_accelerator_ids().get("GPU"):
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # no GPU was reserved, so none may be used
    shipped: ShippedJob = pickle.loads(content)
    cache = cache_folder()
    work = cache / "work"
    work.mkdir(parents=True, exist_ok=True)
    os.chdir(work)  # the job store is below it, so a job that is sent again resumes after its checkpoint

    def fetch(digest: str) -> Iterator[bytes]:
        for piece in pieces[digest]:
            yield ray.get(piece).tobytes()

    try:
        with TemporaryDirectory(dir=work, prefix="inputs-") as folder:
            job = receive(shipped, cache / "files", Path(folder), fetch)
            if job.key != shipped.key:
                return Outcome(node, refusal="it computes another key for the same job")
            failure = run_job(job)
    except UserError as error:
        return Outcome(node, failure=f"{shipped.job.label}: {error}")
    if failure is None:
        return Outcome(node, result=pack_result(job))
    path = traceback_file(job)
    text = path.read_text("utf-8", "surrogateescape") if path.is_file() else None
    return Outcome(node, failure=failure, traceback=text)


def identity() -> dict[str, str]:
    """Return the versions that must be equal on two machines for their results to be equal."""
    return {"convnet": package_digest(), **library_versions()}


@functools.cache
def package_digest(package: Path = Path(__file__).parents[2]) -> str:
    """Return the digest of all source files of a package; those that send and receive jobs must fit together too."""
    files = {path.relative_to(package).as_posix(): file_digest(path) for path in package.rglob("*.py")}
    return json_digest(files)


def difference(sender: dict[str, str], here: dict[str, str]) -> str | None:
    """Return how a machine differs from the sender of a job, or None."""
    if sender.get("convnet") != here.get("convnet"):
        return "its convnet is another than the sender's; install the same"
    names = [name for name in sorted(sender | here) if sender.get(name) != here.get(name)]
    parts = [f"{name} {here.get(name, 'missing')} instead of {sender.get(name, 'none')}" for name in names]
    return f"it has {', '.join(parts)}; install what requirements.lock names" if parts else None


def cache_folder() -> Path:
    """Return the folder of the files sent to this machine: CONVNET_CACHE, or a folder in the user's cache."""
    given = os.environ.get("CONVNET_CACHE")
    folder = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "convnet"
    return folder.absolute()  # a job changes its folder
