"""`convnet sweep`: every training job of params.yaml at once, on all processes or machines there are.

`dvc repro` runs one stage after the other, and each waits for its own few jobs. Here those of all datasets, variants,
seeds and shares stand in one queue; their results lie in the job store, where `dvc repro` finds them afterwards.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from convnet.engine import run_jobs
from convnet.errors import UserError
from convnet.jobs import Job
from convnet.params import Params, load_params
from convnet.plans import plan_jobs
from convnet.results import gather

# The stages before training, as dvc.yaml calls them; their outputs are found where dvc.yaml puts them.
STAGES_BEFORE = ("prepare", "features")
ARRAYS, FEATURES, BACKBONES = Path("data/arrays"), Path("data/features"), Path("data/backbones")


def add_sweep_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `run_sweep` reads to the parser of its subcommand."""
    parser.add_argument("-j", "--jobs", metavar="N", type=int, help="local processes; default: engine.parallel_jobs")
    parser.add_argument("--engine", choices=("local", "ray"), help="default: engine.kind")
    parser.add_argument("--address", help="of a Ray cluster; default: engine.address")
    parser.add_argument("--dry-run", action="store_true", help="print the jobs that have no result yet, and stop")


def run_sweep(arguments: argparse.Namespace) -> None:
    """Make the data the jobs need, run all jobs, and those of fine-tuning once what they start from is there.

    Raises:
        UserError: the data cannot be made, or at least one job failed; the others have their results.
    """
    params = _with_engine(load_params(), arguments)
    _make_data()
    jobs = first_jobs(params)
    if arguments.dry_run:
        for job in jobs:
            if not job.done:
                print(job.label)
        return
    failures = _run(jobs, params)
    with TemporaryDirectory(prefix="start-") as folder:
        tuning = fine_tune_jobs(params, Path(folder))
        failures += _run(tuning, params)
    if failures:
        raise UserError("; ".join(failures))
    print("every job has its result; `dvc repro` takes them from the store", file=sys.stderr)


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
                dataset,
                variant,
                ARRAYS / dataset,
                features=FEATURES / dataset,
                backbone=BACKBONES / dataset,
                share=share,
            )
    return jobs


def fine_tune_jobs(params: Params, folder: Path) -> list[Job]:
    """Return the jobs that go on from another variant, for every dataset where all of its jobs have results.

    Args:
        params: the whole of params.yaml.
        folder: where the models they start from are gathered.
    """
    jobs = []
    for dataset in params.run.datasets:
        for variant in params.run.fine_tune_variants:
            start = params.recipe(dataset, variant).start
            assert start is not None  # every fine-tuned recipe has one
            arrays, features, backbone = ARRAYS / dataset, FEATURES / dataset, BACKBONES / dataset
            starting = plan_jobs(params, dataset, start, arrays, features=features, backbone=backbone)
            if not all(job.done for job in starting):
                print(f"{dataset}/{variant} is left out: {start} has not finished", file=sys.stderr)
                continue
            gathered = folder / dataset / start
            if not gathered.exists():
                gather(starting, params.dataset(dataset).pictures, gathered)
            jobs += plan_jobs(params, dataset, variant, arrays, backbone=backbone, start=gathered)
    return jobs


def _run(jobs: list[Job], params: Params) -> list[str]:
    try:
        run_jobs(jobs, params)
    except UserError as error:
        return [str(error)]
    return []


def _with_engine(params: Params, arguments: argparse.Namespace) -> Params:
    if arguments.jobs is not None and arguments.jobs < 1:
        raise UserError(f"--jobs is {arguments.jobs}; give 1 or more")
    given = {"parallel_jobs": arguments.jobs, "kind": arguments.engine, "address": arguments.address}
    changes = {key: value for key, value in given.items() if value is not None}
    return params.model_copy(update={"engine": params.engine.model_copy(update=changes)})


def _make_data() -> None:
    """Bring arrays, backbones and features up to date, by the pipeline itself."""
    # The stages' commands say `python`: this interpreter's folder goes first.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    command = [sys.executable, "-m", "dvc", "repro", "--quiet", *STAGES_BEFORE]
    done = subprocess.run(command, env=os.environ | {"PATH": path}, check=False)
    if done.returncode:
        raise UserError(f"dvc repro {' '.join(STAGES_BEFORE)} failed (see above); mend that and run the same command")
