"""Run jobs side by side in processes of this machine: a failure names its job, and no process is left behind."""

import io
import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from signal import Signals
from typing import Self

from convnet.backend.memory import memory_advice
from convnet.engine.job_log import SECONDS_BETWEEN_LINES, JobLog
from convnet.engine.job_process import run_job
from convnet.jobs.job import Job
from convnet.system.processes import shielded, stay_with_parent
from convnet.system.progress import show_progress_every

SECONDS_BETWEEN_LINES_OF_A_JOB = 30.0
# A process ends after so many: TensorFlow keeps memory of every network that it traced, once for all jobs of a recipe.
RECIPES_PER_PROCESS, JOBS_PER_PROCESS = 20, 60
KILLED = -9  # exit code of a process that SIGKILL ended
# glibc asks Linux for large pages under large arrays, which a step reads from end to end. Read when a process starts.
LARGE_PAGES = ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
LINE, ENDED = "line", "ended"  # messages: a line for standard error; a job ended, with the reason if it failed


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    job: Job | None = None
    ended: int = 0
    recipes: set[str] = field(default_factory=set)
    counts: bool = True  # whether the log counts the job

    def take(self, job: Job, counts: bool = True) -> None:
        """Send a job to the process."""
        self.job, self.counts = job, counts
        self.recipes.add(repr(job.recipe))
        with suppress(ConnectionError):  # it died: the end of the pipe shows that to `run`
            self.pipe.send(job)


class Workers:
    """Processes that run one job after the other, so that each imports the libraries once.

    However the context ends, its processes end with it. Their checkpoints and results stay.
    """

    def __init__(self) -> None:
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in list(self._workers):
            self._end(worker)

    def begin(self, job: Job) -> None:
        """Run a job ahead of the others, and do not wait for it.

        `run` does not count it. Who needs its result waits for it, or trains it again after a failure.
        """
        self._workers.append(_start())
        self._workers[-1].take(job, counts=False)

    def run(self, jobs: Sequence[Job], processes: int, log: JobLog, ahead: Sequence[Job] = ()) -> None:
        """Run jobs, up to `processes` at once, and count each in `log` as it ends.

        Jobs of `ahead` begin where a process would be idle. The call that has them among its jobs waits for them.
        """
        at_work = {worker.job.key for worker in self._workers if worker.job}
        waiting, later = (deque(job for job in some if job.key not in at_work) for some in (jobs, ahead))
        wanted = {job.key for job in jobs}
        while waiting or any(worker.job and worker.job.key in wanted for worker in self._workers):
            while (waiting or later) and len(self._workers) < processes:
                self._workers.append(_start())
            for worker in self._workers:
                if worker.job is None and (waiting or later):
                    worker.take((waiting or later).popleft())
            ready = wait([worker.pipe for worker in self._workers if worker.job], timeout=SECONDS_BETWEEN_LINES)
            for worker in [worker for worker in self._workers if worker.pipe in ready]:
                self._receive(worker, log)
            log.waited(sum(worker.job is not None for worker in self._workers))

    def _receive(self, worker: _Worker, log: JobLog) -> None:
        job = worker.job
        assert job is not None
        try:
            kind, text = worker.pipe.recv()
        except (EOFError, OSError):  # its end of the pipe is closed, perhaps in the middle of a message
            worker.process.join()
            kind, text = ENDED, f"{job.label}: {death(worker.process.exitcode or 0, job.recipe.fit.batch_size)}"
        if kind == LINE:
            log.line_once(text)
            return
        if worker.counts:
            log.ended(job, text)
        worker.job, worker.ended = None, worker.ended + 1
        worn = len(worker.recipes) >= RECIPES_PER_PROCESS or worker.ended >= JOBS_PER_PROCESS
        # After a failure the libraries may keep anything, for example the memory that ran out.
        if text is not None or worn:
            self._end(worker)

    def _end(self, worker: _Worker) -> None:
        worker.process.kill()  # results and checkpoints are whole or absent at any moment
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)


def death(code: int, batch_size: int) -> str:
    """Return why a process ended in the middle of a job, by its exit code, and what to do."""
    if code == KILLED:
        return (
            "its process was killed, most likely because the memory ran out; lower engine.parallel_jobs or "
            f"{memory_advice(batch_size)}, and run the same command again"
        )
    how = f"signal {Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"its process ended with {how}; run the same command again to resume after its last checkpoint"


def _start() -> _Worker:
    os.environ.setdefault(*LARGE_PAGES)
    # New interpreters instead of forks: TensorFlow does not survive a fork.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=[theirs], daemon=True)
    with shielded():
        process.start()
    theirs.close()
    return _Worker(process, ours)


def _work(pipe: Connection) -> None:
    """Run the jobs that the parent sends, until the parent ends this process."""
    stay_with_parent()
    show_progress_every(SECONDS_BETWEEN_LINES_OF_A_JOB)
    # Lines that Python writes to standard error are for the user; those of libraries in C++ are not.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    sys.stderr = _Lines(pipe)
    while True:
        pipe.send((ENDED, run_job(pipe.recv())))


class _Lines(io.TextIOBase):
    """A standard error that sends each whole line to the parent."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._begun = ""
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        with self._lock, suppress(ConnectionError):  # the parent has ended, and this process ends too
            *lines, self._begun = (self._begun + text).split("\n")
            for line in filter(str.strip, lines):
                self._pipe.send((LINE, line))
        return len(text)
