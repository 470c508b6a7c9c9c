"""Jobs side by side in processes of this machine: each named if it fails alone, nobody left behind."""

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from convnet.job_runner import run_job
from convnet.jobs import Job
from convnet.tally import SECONDS_BETWEEN_LINES, Tally
from convnet.workers import stay_with_parent

JOBS_PER_PROCESS = 20  # then a fresh one: whatever memory the libraries keep between jobs stays bounded


@dataclass
class _Worker:
    """A process that runs one job after the other, so that the import of the libraries is paid for once."""

    process: SpawnProcess
    pipe: Connection
    job: Job | None = None
    ended: int = 0


def run_in_processes(jobs: Sequence[Job], processes: int, seconds_between_checkpoints: float, tally: Tally) -> None:
    """Run jobs, up to `processes` at once, and count each in `tally` as it ends.

    Whether this returns, raises or is killed, its processes end with it; what they have saved is kept.
    """
    waiting = deque(jobs)
    workers: list[_Worker] = []
    try:
        while waiting or any(worker.job for worker in workers):
            while waiting and len(workers) < processes:
                workers.append(_start(seconds_between_checkpoints))
            for worker in workers:
                if worker.job is None and waiting:
                    worker.job = waiting.popleft()
                    with suppress(ConnectionError):  # it died: the pipe's end tells so below, and names the job
                        worker.pipe.send(worker.job)
            ready = wait([worker.pipe for worker in workers if worker.job], timeout=SECONDS_BETWEEN_LINES)
            for worker in [worker for worker in workers if worker.pipe in ready]:
                assert worker.job is not None
                lost, failure = _hear(worker)
                tally.ended(worker.job, failure)
                worker.job, worker.ended = None, worker.ended + 1
                # After a failure the libraries may hold anything, the memory that ran out among it.
                if lost or failure or worker.ended == JOBS_PER_PROCESS:
                    _end(worker)
                    workers.remove(worker)
            tally.waited(sum(worker.job is not None for worker in workers))
    finally:
        for worker in workers:
            _end(worker)


def _start(seconds_between_checkpoints: float) -> _Worker:
    # Fresh interpreters instead of forks: TensorFlow does not survive a fork.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, seconds_between_checkpoints), daemon=True)
    # A new process inherits the mask: Ctrl-C reaches only us, even while its interpreter is still starting.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return _Worker(process, ours)


def _hear(worker: _Worker) -> tuple[bool, str | None]:
    """Return whether the process died, and why its job failed, if it did."""
    assert worker.job is not None
    try:
        failure: str | None = worker.pipe.recv()
    except (EOFError, ConnectionError):
        worker.process.join()
        return True, f"{worker.job.label}: {_death(worker.process.exitcode or 0)}"
    return False, failure


def _death(code: int) -> str:
    if code == -signal.SIGKILL:
        return (
            "its process was killed, most likely because the memory ran out; lower engine.parallel_jobs or the "
            "batch_size and run the same command again"
        )
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"its process ended with {how}; run the same command again to go on from its last epoch"


def _end(worker: _Worker) -> None:
    # Without ceremony: results and states are whole or absent whenever a process ends.
    worker.process.kill()
    worker.process.join()
    worker.pipe.close()


def _work(pipe: Connection, seconds_between_checkpoints: float) -> None:
    """Run the jobs that the parent sends, until it ends this process."""
    stay_with_parent()
    while True:
        job: Job = pipe.recv()
        with _output_in(job.folder / f"output-{os.getpid()}.partial"):
            failure = run_job(job, seconds_between_checkpoints)
        pipe.send(failure)


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
