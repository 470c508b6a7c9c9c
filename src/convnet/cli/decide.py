"""`convnet decide`: as many seeds as the comparisons need, and then `dvc repro`."""

import argparse

from convnet.engine.data_stages import make_data
from convnet.engine.decide import decide
from convnet.engine.run import choose_engine
from convnet.params.load import load_params

HELP = "train seeds until the comparisons are decided, and make the report"
EXAMPLE = "convnet decide --minutes 30"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `run` reads."""
    parser.add_argument("--minutes", metavar="M", type=float, help="after the first look start nothing that ends later")
    parser.add_argument("--until", metavar="N", type=int, help="the last look, a number of seeds of run.looks")
    parser.add_argument("-j", "--jobs", metavar="N", type=int, help="local processes; default: engine.parallel_jobs")
    parser.add_argument("--engine", choices=("local", "ray"), help="default: engine.kind")
    parser.add_argument("--address", help="of a Ray cluster; default: engine.address")
    parser.add_argument("--no-report", action="store_true", help="leave `dvc repro` to the caller")


def run(arguments: argparse.Namespace) -> None:
    """Train to one look after the other, and reproduce the pipeline."""
    params = choose_engine(load_params(), arguments.jobs, arguments.engine, arguments.address)
    decide(params, arguments.minutes, arguments.until)
    if not arguments.no_report:
        make_data(None)
    elif load_params().numbers != params.numbers:  # so that no stage runs for the former numbers of seeds
        make_data("plan")
