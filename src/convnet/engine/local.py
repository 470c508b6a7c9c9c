"""Jobs side by side in processes of this machine: each named if it fails alone, nobody left behind."""

import io
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from convnet.backend.memory import memory_advice
from convnet.engine.job_log import SECONDS_BETWEEN_LINES, Tally
from convnet.engine.job_process import run_job
from convnet.jobs.job import Job
from convnet.system.processes import start_shielded, stay_with_parent
from convnet.system.progress import show_progress_every

SECONDS_BETWEEN_LINES_OF_A_JOB = 30.0
JOBS_PER_PROCESS = 20  # then a fresh one: whatever memory the libraries keep between jobs stays bounded


@dataclass(frozen=True)
class _Note:
    """A line that a job wrote to standard error, for example that a state is damaged."""

    line: str


@dataclass(frozen=True)
class _Ended:
    """A job has ended; `failure` says why it has no result, if so."""

    failure: str | None


@dataclass
class _Worker:
    """A process that runs one job after the other, so that the import of the libraries is paid for once."""

    process: SpawnProcess
    pipe: Connection
    job: Job | None = None
    ended: int = 0


def run_in_processes(jobs: Sequence[Job], processes: int, tally: Tally) -> None:
    """Run jobs, up to `processes` at once, and count each in `tally` as it ends.

    Whether this returns, raises or is killed, its processes end with it; what they have saved is kept.
    """
    waiting = deque(jobs)
    workers: list[_Worker] = []
    try:
        while waiting or any(worker.job for worker in workers):
            while waiting and len(workers) < processes:
                workers.append(_start())
            for worker in workers:
                if worker.job is None and waiting:
                    worker.job = waiting.popleft()
                    with suppress(ConnectionError):  # it died: the pipe's end tells so below, and names the job
                        worker.pipe.send(worker.job)
            ready = wait([worker.pipe for worker in workers if worker.job], timeout=SECONDS_BETWEEN_LINES)
            for worker in [worker for worker in workers if worker.pipe in ready]:
                if _hear(worker, tally):
                    _end(worker)
                    workers.remove(worker)
            tally.waited(sum(worker.job is not None for worker in workers))
    finally:
        for worker in workers:
            _end(worker)


def _start() -> _Worker:
    # Fresh interpreters instead of forks: TensorFlow does not survive a fork.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    start_shielded(process)
    theirs.close()
    return _Worker(process, ours)


def _hear(worker: _Worker, tally: Tally) -> bool:
    """Tell what a worker has to say, or that it died; return whether its process has done its part."""
    assert worker.job is not None
    message = _receive(worker, worker.job)
    if isinstance(message, _Note):
        tally.note(message.line)
        return False
    tally.ended(worker.job, message.failure)
    worker.job, worker.ended = None, worker.ended + 1
    # After a failure the libraries may hold anything, the memory that ran out among it.
    return message.failure is not None or worker.ended == JOBS_PER_PROCESS


def _receive(worker: _Worker, job: Job) -> _Note | _Ended:
    try:
        message: _Note | _Ended = worker.pipe.recv()
    except (EOFError, OSError):  # its end of the pipe is closed, maybe in the middle of a message
        worker.process.join()
        return _Ended(f"{job.label}: {_death(worker.process.exitcode or 0, job.recipe.fit.batch_size)}")
    return message


def _death(code: int, batch_size: int) -> str:
    if code == -signal.SIGKILL:
        return (
            "its process was killed, most likely because the memory ran out; lower engine.parallel_jobs or "
            f"{memory_advice(batch_size)}, and run the same command again"
        )
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"its process ended with {how}; run the same command again to go on from its last epoch"


def _end(worker: _Worker) -> None:
    # Without ceremony: results and states are whole or absent whenever a process ends.
    worker.process.kill()
    worker.process.join()
    worker.pipe.close()


def _work(pipe: Connection) -> None:
    """Run the jobs that the parent sends, until it ends this process."""
    stay_with_parent()
    show_progress_every(SECONDS_BETWEEN_LINES_OF_A_JOB)
    while True:
        job: Job = pipe.recv()
        # What Python writes to standard error is for the user; what libraries in C++ write past it is not.
        with _output_in(job.folder / f"output-{os.getpid()}.partial"), redirect_stderr(_Notes(pipe)):
            failure = run_job(job)
        pipe.send(_Ended(failure))


class _Notes(io.TextIOBase):
    """A standard error whose lines go to the parent, whole and at once."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._begun = ""
        self._one_at_a_time = threading.Lock()

    def write(self, text: str) -> int:
        with self._one_at_a_time, suppress(ConnectionError):  # the parent is gone, and this process will be
            *lines, self._begun = (self._begun + text).split("\n")
            for line in filter(str.strip, lines):
                self._pipe.send(_Note(line))
        return len(text)


@contextmanager
def _output_in(path: Path) -> Iterator[None]:
    """Send what this process and its libraries print to a file: lines of several jobs at once are no use to anybody."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = os.dup(1), os.dup(2)
    with path.open("ab") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, kept in enumerate(before, start=1):
            os.dup2(kept, number)
            os.close(kept)
        path.unlink(missing_ok=True)
