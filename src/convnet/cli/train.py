"""`convnet train`: every training job of params.yaml at once."""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from convnet.engine.queue import _make_data, _run, _with_engine, fine_tune_jobs, first_jobs, unfinished
from convnet.params.load import load_params
from convnet.system.errors import UserError


def add_sweep_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `run_sweep` reads to the parser of its subcommand."""
    parser.add_argument("-j", "--jobs", metavar="N", type=int, help="local processes; default: engine.parallel_jobs")
    parser.add_argument("--engine", choices=("local", "ray"), help="default: engine.kind")
    parser.add_argument("--address", help="of a Ray cluster; default: engine.address")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="make the data that the jobs need, print each job that has no result yet, and stop",
    )


def run_sweep(arguments: argparse.Namespace) -> None:
    """Make the data the jobs need, run all jobs, and those of fine-tuning once what they start from is there.

    Raises:
        UserError: the options contradict each other, the data cannot be made, or at least one job failed; the others
            have their results.
    """
    params = _with_engine(load_params(), arguments)
    _make_data()
    jobs = first_jobs(params)
    if arguments.dry_run:
        for line in unfinished(params, jobs):
            print(line)
        return
    failures = _run(jobs, params)
    with TemporaryDirectory(prefix="start-") as folder:
        tuning = fine_tune_jobs(params, Path(folder))
        failures += _run(tuning, params)
    if failures:
        raise UserError("; ".join(failures))
    print("every job has its result; `dvc repro` takes them from the store", file=sys.stderr)
