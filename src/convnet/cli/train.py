"""`convnet train`: every training job of params.yaml at once."""

import argparse
import sys

from convnet.engine.data_stages import make_data
from convnet.engine.queue import TUNING, before_jobs, forecast_run, train_all, unfinished
from convnet.engine.run import choose_engine
from convnet.params.load import load_params
from convnet.params.schema import Params

HELP = "run every training job at once, here or on a Ray cluster"
EXAMPLE = "convnet train -j 4 && dvc repro"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `run` reads."""
    parser.add_argument("-j", "--jobs", metavar="N", type=int, help="local processes; default: engine.parallel_jobs")
    parser.add_argument("--engine", choices=("local", "ray"), help="default: engine.kind")
    parser.add_argument("--address", help="of a Ray cluster; default: engine.address")
    dry_run = "make the data that the jobs need, print each job without a result and how long all take, and stop"
    parser.add_argument("--dry-run", action="store_true", help=dry_run)


def run(arguments: argparse.Namespace) -> None:
    """Make the data that the jobs need, and run all jobs."""
    params = choose_engine(load_params(), arguments.jobs, arguments.engine, arguments.address)
    if arguments.dry_run:
        make_data()
        _print_plan(params)
        return
    make_data(before_jobs(params))
    train_all(params)
    print("every job has its result; `dvc repro` takes them from the store", file=sys.stderr)


def _print_plan(params: Params) -> None:
    """Print each job without a result, and how long all take."""
    untuned = [dataset for dataset in params.run.datasets if not (TUNING / f"{dataset}.json").is_file()]
    if params.tuning.trials and untuned:
        trials = f"up to {params.tuning.trials * len(params.run.variants)} jobs of one seed for each dataset"
        print(f"tuning is still to come: {trials} ({', '.join(untuned)})", file=sys.stderr)
        print("the jobs below have the settings of params.yaml, which tuning may change", file=sys.stderr)
        params = params.model_copy(update={"tuning": params.tuning.model_copy(update={"trials": 0})})
    for line in unfinished(params):
        print(line)
    print(forecast_run(params), file=sys.stderr)
