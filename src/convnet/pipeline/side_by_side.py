"""Run the stages of several datasets side by side; DVC alone runs one stage after the other.

Datasets have nothing in common before they are compared, and DVC's locks allow several `dvc repro` in one project at
a time. So `make repro` starts one per dataset, each kept to processor cores of its own, before the one that runs what
is left. Results do not depend on it: the number of threads of a job is fixed by `engine.threads_per_job`.
The stages on one set of cores share the import of their libraries (warm_start.py).
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dvc.repo import Repo

from convnet.params.load import load_params
from convnet.pipeline.warm_start import warm_server
from convnet.system.errors import UserError, command

DVC = ("dvc", "--wait-for-lock", "repro")
SHARED = "source_code"  # the stage that all chains depend on
SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class Chain:
    """The stages of one dataset, each after those it depends on."""

    dataset: str
    stages: list[str]


@dataclass(frozen=True)
class _Place:
    """Where one chain at a time may run."""

    cores: Sequence[int]
    environment: dict[str, str]


@dataclass(frozen=True)
class _Run:
    """A `dvc repro` at work on a chain."""

    chain: Chain
    place: _Place
    process: "subprocess.Popen[str]"
    telling: threading.Thread


def plan_chains(project: Path, datasets: Sequence[str]) -> list[Chain]:
    """Return one chain per dataset, its stages in the order of dvc.yaml.

    Datasets often share a backbone. The first chain begins with it, since else all would come to it at once and wait
    for the one that trains it.
    """
    with Repo(str(project)) as repo:
        names = [stage.name for stage in repo.index.stages]
    chains = [Chain(dataset, [name for name in names if dataset_of(name, datasets) == dataset]) for dataset in datasets]
    chains[0].stages.sort(key=lambda name: not name.startswith("backbone@"))
    return chains


def dataset_of(stage: str, datasets: Sequence[str]) -> str | None:
    """Return the dataset in a stage's name, as in `train@pets-baseline`, or None."""
    item = stage.partition("@")[2]
    fitting = [dataset for dataset in datasets if item == dataset or item.startswith(f"{dataset}-")]
    return max(fitting, key=len, default=None)


def run_chains(chains: Sequence[Chain], core_sets: Sequence[Sequence[int]]) -> list[str]:
    """Run all chains, as many at once as there are sets of cores; return the datasets that failed.

    A chain that fails ends alone. Whatever ends this function, the processes end with it.
    """
    waiting = deque(chains)
    running: list[_Run] = []
    failed = []
    with ExitStack() as servers:
        free = deque(_make_place(cores, servers) for cores in core_sets)
        try:
            while waiting or running:
                while waiting and free:
                    running.append(_start(waiting.popleft(), free.popleft()))
                time.sleep(SECONDS_BETWEEN_LOOKS)
                for run in [run for run in running if run.process.poll() is not None]:
                    running.remove(run)
                    run.telling.join()
                    free.append(run.place)
                    if run.process.returncode != 0:
                        failed.append(run.chain.dataset)
        finally:
            for run in running:
                run.process.terminate()
                run.process.wait()
                run.telling.join()
    return failed


def _make_place(cores: Sequence[int], servers: ExitStack) -> _Place:
    with _kept_to(cores):  # a new process inherits it
        return _Place(cores, servers.enter_context(warm_server()))


def _start(chain: Chain, place: _Place) -> _Run:
    # --single-item: the stages in this order and nothing else, for DVC would lock the shared one for each chain anew.
    words = [*DVC, "--single-item", *chain.stages]
    with _kept_to(place.cores):
        process = subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=place.environment,
        )
    telling = threading.Thread(target=_tell, args=(chain.dataset, process))
    telling.start()
    return _Run(chain, place, process, telling)


@contextmanager
def _kept_to(cores: Sequence[int]) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _tell(dataset: str, process: "subprocess.Popen[str]") -> None:
    """Pass on what a chain says, line by line, since two progress bars in one terminal would overwrite each other."""
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            if line.strip():
                print(f"{dataset} | {line.rstrip()}", flush=True)


def split_cores(cores: Sequence[int], chains: int) -> list[list[int]]:
    """Divide cores among chains as evenly as they go."""
    return [list(cores[number::chains]) for number in range(chains)]


@command
def main() -> None:
    """Run the chains of the project in this folder, if there are several and cores for them.

    Raises:
        UserError: a dataset's chain failed; dvc has said why.
    """
    params = load_params()
    if not hasattr(os, "sched_getaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    side_by_side = min(len(params.run.datasets), len(cores) // params.engine.threads_per_job)
    if side_by_side < 2 or params.engine.kind == "ray":
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the chains are ended too
    if subprocess.run([*DVC, SHARED], check=False).returncode != 0:
        raise UserError(f"{SHARED}: not finished, dvc has said why above; mend it and run `make repro` again")
    failed = run_chains(plan_chains(Path(), params.run.datasets), split_cores(cores, side_by_side))
    if failed:
        raise UserError(
            f"{', '.join(failed)}: not finished, dvc has said why above; mend it and run `make repro` again"
        )


if __name__ == "__main__":
    main()
