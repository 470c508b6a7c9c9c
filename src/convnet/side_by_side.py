"""Run the stages of several datasets side by side; DVC alone runs one stage after the other.

Datasets have nothing in common before they are compared, and DVC's locks allow several `dvc repro` in one project at
a time. So `make repro` starts one per dataset, each kept to processor cores of its own, before the one that runs what
is left. Results do not depend on it: the number of threads of a job is fixed by `engine.threads_per_job`.
"""

import os
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dvc.repo import Repo

from convnet.errors import UserError, command
from convnet.params import load_params

DVC = ("dvc", "--wait-for-lock", "repro")
SECONDS_BETWEEN_LOOKS = 0.2


@dataclass
class Chain:
    """The stages of one dataset, as lists of targets for one `dvc repro` after the other."""

    dataset: str
    targets: deque[list[str]]
    cores: Sequence[int] = ()
    process: "subprocess.Popen[str] | None" = None


def plan_chains(project: Path, datasets: Sequence[str]) -> list[Chain]:
    """Return one chain per dataset.

    The first begins with the backbone: datasets often share it, and the others would come to it while it is trained.
    """
    with Repo(str(project)) as repo:
        names = [stage.name for stage in repo.index.stages]
    chains = [Chain(dataset, deque([[n for n in names if dataset_of(n, datasets) == dataset]])) for dataset in datasets]
    chains[0].targets.appendleft([f"backbone@{datasets[0]}"])
    return chains


def dataset_of(stage: str, datasets: Sequence[str]) -> str | None:
    """Return the dataset in a stage's name, as in `train@pets-baseline`, or None."""
    item = stage.partition("@")[2]
    fitting = [dataset for dataset in datasets if item == dataset or item.startswith(f"{dataset}-")]
    return max(fitting, key=len, default=None)


def run_chains(chains: Sequence[Chain], core_sets: Sequence[Sequence[int]]) -> list[str]:
    """Run all chains, as many at once as there are sets of cores; return the datasets that failed.

    Whatever ends this function, the processes end with it.
    """
    waiting, free, failed = deque(chains), deque(core_sets), []
    running: list[Chain] = []
    try:
        while waiting or running:
            while waiting and free:
                chain = waiting.popleft()
                chain.cores = free.popleft()
                _go_on(chain)
                running.append(chain)
            time.sleep(SECONDS_BETWEEN_LOOKS)
            for chain in [chain for chain in running if chain.process and chain.process.poll() is not None]:
                assert chain.process is not None
                if chain.process.returncode == 0 and chain.targets:
                    _go_on(chain)
                    continue
                if chain.process.returncode != 0:
                    failed.append(chain.dataset)
                running.remove(chain)
                free.append(chain.cores)
    finally:
        for chain in running:
            if chain.process:
                chain.process.terminate()
                chain.process.wait()
    return failed


def _go_on(chain: Chain) -> None:
    with _kept_to(chain.cores):  # a new process inherits it
        chain.process = subprocess.Popen(
            [*DVC, *chain.targets.popleft()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    threading.Thread(target=_tell, args=(chain.dataset, chain.process), daemon=True).start()


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
    for line in process.stdout:
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
    failed = run_chains(plan_chains(Path(), params.run.datasets), split_cores(cores, side_by_side))
    if failed:
        raise UserError(
            f"{', '.join(failed)}: not finished, dvc has said why above; mend it and run `make repro` again"
        )


if __name__ == "__main__":
    main()
