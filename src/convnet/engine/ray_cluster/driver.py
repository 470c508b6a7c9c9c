"""Run jobs as tasks on a Ray cluster: send them, run them again when a machine is lost, and store their results."""

import importlib
import logging
import os
import pickle
import socket
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from convnet.engine.job_log import SECONDS_BETWEEN_LINES, JobLog
from convnet.engine.job_process import forget_failure, traceback_file
from convnet.engine.ray_cluster.job_files import ship, store_result
from convnet.engine.ray_cluster.worker import Outcome, identity, run_shipped
from convnet.jobs.job import Job
from convnet.params.schema import Engine
from convnet.system.errors import UserError
from convnet.system.files import write_text

LEAST_IN_FLIGHT = 64  # jobs submitted and not ended: enough for machines that join, too few to fill the memory
TIMES_LOST = 3  # a job is sent again so often after its machine or process was lost
SECONDS_TO_ANSWER = 10.0
PIECE = 64 * 2**20  # bytes; a file travels in pieces, so that no machine holds a large one in memory twice


def run_on_ray(jobs: Sequence[Job], engine: Engine, log: JobLog) -> None:
    """Run jobs on the cluster, and count each in `log` once its result is in the store here.

    Raises:
        UserError: Ray is not installed, the cluster cannot be reached, or none of its machines may be used.
    """
    with _connected(engine) as ray:
        _Driver(ray, jobs, engine, log).run()


class _Driver:
    """Submits jobs and receives their outcomes."""

    def __init__(self, ray: Any, jobs: Sequence[Job], engine: Engine, log: JobLog) -> None:
        self._ray, self._engine, self._log = ray, engine, log
        self._identity = identity()
        # max_calls: a new process per job, so that none inherits threads, precision or memory from another.
        self._task = ray.remote(max_calls=1)(run_shipped)
        self._waiting = deque(jobs)
        self._running: dict[Any, Job] = {}
        self._refused: dict[str, str] = {}  # why, by machine
        self._uploads = _Uploads(ray, jobs)

    def run(self) -> None:
        self._warn_of_small_machines()
        while self._waiting or self._running:
            while self._waiting and len(self._running) < self._most_in_flight():
                self._submit(self._waiting.popleft())
            ready, _ = self._ray.wait(list(self._running), timeout=SECONDS_BETWEEN_LINES)
            for reference in ready:
                self._receive(self._running.pop(reference), reference)
            self._check_that_a_machine_is_left()
            self._log.waited(len(self._running))

    def _submit(self, job: Job) -> None:
        shipped, places = ship(job)
        options: dict[str, Any] = {
            "num_cpus": self._engine.cpus_per_job,
            "num_gpus": self._engine.gpus_per_job,
            "max_retries": TIMES_LOST,
            "name": job.label,
        }
        if self._refused:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(self._refused))})"}
        reference = self._task.options(**options).remote(
            self._identity, pickle.dumps(shipped), self._uploads.pieces(places)
        )
        self._running[reference] = job

    def _receive(self, job: Job, reference: Any) -> None:
        forget_failure(job)
        try:
            outcome = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            outcome = Outcome("", failure=f"{job.label}: {_first_line(error.cause)}")
        except self._ray.exceptions.RayError as error:
            failure = (
                f"{job.label}: its process or machine was lost {TIMES_LOST + 1} times ({_first_line(error)}), most "
                "likely because the memory ran out; run the same command again"
            )
            outcome = Outcome("", failure=failure)
        if outcome.refusal is None:
            self._log.ended(job, self._store(job, outcome))
            self._uploads.release(job)
            return
        self._waiting.appendleft(job)
        if outcome.node not in self._refused:
            self._refused[outcome.node] = outcome.refusal
            nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in self._ray.nodes()}
            self._log.line(f"machine {nodes.get(outcome.node, outcome.node)} is refused: {outcome.refusal}")

    def _store(self, job: Job, outcome: Outcome) -> str | None:
        """Store the job's result or its traceback; return the reason for a missing result."""
        if outcome.traceback is not None:
            with suppress(OSError, UserError):  # on a full disk the sentence is all
                write_text(traceback_file(job), outcome.traceback)  # the path that `failure` names
        if outcome.result is not None:
            try:
                store_result(job, outcome.result)
            except UserError as error:
                return str(error)
        return outcome.failure

    def _check_that_a_machine_is_left(self) -> None:
        """Look after every wait, because the last good machine may be lost after the others were refused.

        Raises:
            UserError: only refused machines are left.
        """
        able = {n["NodeID"] for n in self._able()} if self._refused else set()
        if able and able <= self._refused.keys():
            reason = list(self._refused.values())[-1]
            raise UserError(f"every machine of the cluster that could run a job was refused, the last because {reason}")

    def _able(self) -> list[dict[str, Any]]:
        """Return the machines that are large enough for a job."""
        return [
            node
            for node in self._ray.nodes()
            if node["Alive"]
            and node["Resources"].get("CPU", 0) >= self._engine.cpus_per_job
            and node["Resources"].get("GPU", 0) >= self._engine.gpus_per_job
        ]

    def _warn_of_small_machines(self) -> None:
        if not self._able():
            self._log.line(
                f"no machine of the cluster has {self._engine.cpus_per_job} cores and {self._engine.gpus_per_job:g} "
                "GPUs for a job (engine.cpus_per_job, engine.gpus_per_job): waiting for one to join"
            )

    def _most_in_flight(self) -> int:
        cores = self._ray.cluster_resources().get("CPU", 0)
        return max(LEAST_IN_FLIGHT, 2 * int(cores / self._engine.cpus_per_job))


class _Uploads:
    """The input files in Ray's object store: each is put there once, and released after the last job that needs it."""

    def __init__(self, ray: Any, jobs: Sequence[Job]) -> None:
        self._ray = ray
        self._pieces: dict[str, list[Any]] = {}
        self._needed: Counter[str] = Counter()
        self._of_job: dict[str, set[str]] = {}
        for job in jobs:
            self._of_job[job.key] = set(ship(job)[1])
            self._needed.update(self._of_job[job.key])

    def pieces(self, places: dict[str, Path]) -> dict[str, list[Any]]:
        """Return references to the pieces of files, given by digest."""
        for digest, path in places.items():
            if digest not in self._pieces:
                self._pieces[digest] = list(self._put(path))
        return {digest: self._pieces[digest] for digest in places}

    def release(self, job: Job) -> None:
        """Release the files that only this job still needed."""
        for digest in self._of_job.pop(job.key):
            self._needed[digest] -= 1
            if not self._needed[digest]:
                self._pieces.pop(digest, None)

    def _put(self, path: Path) -> Iterator[Any]:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                yield self._ray.put(np.frombuffer(piece, np.uint8))  # an array is shared without a copy


@contextmanager
def _connected(engine: Engine) -> Iterator[Any]:
    """Connect to the cluster, or start a Ray of this machine alone; leave it at the end."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read at import: Ray reports nothing to anybody
    try:
        ray = importlib.import_module("ray")
    except ImportError as error:
        raise UserError("engine.kind is ray, but Ray is not installed; install convnet with its extra [ray]") from error
    try:
        if engine.address:
            host, _, port = engine.address.rpartition(":")
            # Seconds, where Ray's own attempt takes minutes.
            socket.create_connection((host, int(port)), SECONDS_TO_ANSWER).close()
        ray.init(
            address=engine.address or "local",
            include_dashboard=None if engine.address else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"the Ray cluster at {engine.address or 'this machine'} cannot be used ({_first_line(error)}); start it, "
            "or correct engine.address, as in 10.0.0.5:6379"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _first_line(error: BaseException) -> str:
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {line}"
