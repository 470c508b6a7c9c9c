"""`convnet sweep`: every training job of params.yaml at once, on all processes or machines there are.

`dvc repro` runs one stage after the other, and each waits for its own few jobs. Here those of all datasets, variants,
seeds and shares stand in one queue; their results lie in the job store, where `dvc repro` finds them afterwards.
"""

import argparse
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from convnet.engine.run import run_jobs
from convnet.jobs.gather import gather
from convnet.jobs.job import Job
from convnet.jobs.planning import plan_jobs
from convnet.params.recipe import FineTuneRecipe, resolve
from convnet.params.schema import Params
from convnet.system.errors import UserError
from convnet.system.processes import start_shielded, stay_with_parent

# The stages before training, as dvc.yaml calls them; their outputs are found where dvc.yaml puts them.
STAGES_BEFORE = ("prepare", "features")
ARRAYS, FEATURES, BACKBONES = Path("data/arrays"), Path("data/features"), Path("data/backbones")


def first_jobs(params: Params) -> list[Job]:
    """Return the jobs that start from nothing but data: all datasets, variants and seeds, and the size sweep."""
    jobs = []
    for dataset in params.run.datasets:
        wanted = [(variant, 1.0) for variant in params.run.pixel_variants + params.run.feature_variants]
        if params.sweep.enabled:
            wanted += [(variant, share) for variant in params.sweep.variants for share in params.sweep.shares]
        for variant, share in wanted:
            jobs += plan_jobs(
                params,
                variant,
                ARRAYS / dataset,
                features=FEATURES / dataset,
                backbone=BACKBONES / dataset,
                share=share,
            )
    return jobs


@dataclass(frozen=True)
class _Tuning:
    """A fine-tuned variant of a dataset, the variant it starts from, and the jobs of that."""

    dataset: str
    variant: str
    start: str
    starting: list[Job]

    @property
    def ready(self) -> bool:
        return all(job.done for job in self.starting)

    def jobs(self, params: Params, gathered: Path | None) -> list[Job]:
        """Return its jobs; without the models they start from, they have no key yet, only their labels."""
        arrays, backbone = ARRAYS / self.dataset, BACKBONES / self.dataset
        return plan_jobs(params, self.variant, arrays, backbone=backbone, start=gathered)


def fine_tune_jobs(params: Params, folder: Path) -> list[Job]:
    """Return the jobs that go on from another variant, for every dataset where all of its jobs have results.

    Args:
        params: the whole of params.yaml.
        folder: where the models they start from are gathered.
    """
    jobs = []
    for tuning in _tunings(params):
        if tuning.ready:
            jobs += _ready_jobs(tuning, params, folder)
        else:
            print(f"{tuning.dataset}/{tuning.variant} is left out: {tuning.start} has not finished", file=sys.stderr)
    return jobs


def unfinished(params: Params, jobs: Sequence[Job]) -> list[str]:
    """Return one line for each job that has no result, those that wait for another variant after the others.

    Args:
        params: the whole of params.yaml.
        jobs: from `first_jobs`.
    """
    tunings = list(_tunings(params))
    with TemporaryDirectory(prefix="start-") as folder:
        ready = [job for tuning in tunings if tuning.ready for job in _ready_jobs(tuning, params, Path(folder))]
    distinct: dict[str, Job] = {}
    for job in [*jobs, *ready]:
        distinct.setdefault(job.key, job)
    lines = [job.label for job in distinct.values() if not job.done]
    for tuning in tunings:
        if not tuning.ready:
            lines += [f"{job.label} (waits for {tuning.start})" for job in tuning.jobs(params, None)]
    return lines


def _tunings(params: Params) -> Iterator[_Tuning]:
    for dataset in params.run.datasets:
        arrays, features, backbone = ARRAYS / dataset, FEATURES / dataset, BACKBONES / dataset
        for variant in params.run.fine_tune_variants:
            recipe = resolve(params, dataset, variant)
            assert isinstance(recipe, FineTuneRecipe)
            start = recipe.start
            starting = plan_jobs(params, start, arrays, features=features, backbone=backbone)
            yield _Tuning(dataset, variant, start, starting)


def _ready_jobs(tuning: _Tuning, params: Params, folder: Path) -> list[Job]:
    gathered = folder / tuning.dataset / tuning.start
    if not gathered.exists():
        gather(tuning.starting, gathered)
    return tuning.jobs(params, gathered)


def _run(jobs: list[Job], params: Params) -> list[str]:
    try:
        run_jobs(jobs, params)
    except UserError as error:
        return [str(error)]
    return []


def _with_engine(params: Params, arguments: argparse.Namespace) -> Params:
    kind = arguments.engine or params.engine.kind
    if arguments.jobs is not None and arguments.jobs < 1:
        raise UserError(f"--jobs is {arguments.jobs}; give 1 or more")
    if arguments.jobs is not None and kind == "ray":
        raise UserError("--jobs counts processes of this machine, but the engine is ray: give --engine local with it")
    if arguments.address is not None and kind != "ray":
        raise UserError("--address is that of a Ray cluster, but the engine is local: give --engine ray with it")
    given = {"parallel_jobs": arguments.jobs, "kind": arguments.engine, "address": arguments.address}
    changes = {key: value for key, value in given.items() if value is not None}
    return params.model_copy(update={"engine": params.engine.model_copy(update=changes)})


def _make_data() -> None:
    """Bring arrays, backbones and features up to date, by the pipeline itself."""
    # Not through `subprocess`: what is started so does not end with a parent that is killed.
    process = multiprocessing.get_context("spawn").Process(target=_run_dvc)
    start_shielded(process)
    try:
        process.join()
    finally:
        process.kill()  # its stages end with it, see convnet.system.errors.command
        process.join()
    if process.exitcode:
        raise UserError(f"dvc repro {' '.join(STAGES_BEFORE)} failed (see above); mend that and run the same command")


def _run_dvc() -> None:
    """Run the stages before training, in a process that ends when its parent ends."""
    stay_with_parent()
    # The stages' commands say `python`: this interpreter's folder goes first.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    from dvc.cli import main

    sys.exit(main(["repro", "--quiet", *STAGES_BEFORE]))
