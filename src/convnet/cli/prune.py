"""`convnet prune`: delete the outputs of datasets and variants that params.yaml no longer runs."""

import argparse
from pathlib import Path

from convnet.params.load import load_params
from convnet.system.errors import printable

HELP = "delete the outputs of datasets and variants that params.yaml no longer runs"
EXAMPLE = "convnet prune --dry-run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `run` reads."""
    parser.add_argument("--dry-run", action="store_true", help="print the paths and delete nothing")


def run(arguments: argparse.Namespace) -> None:
    """Delete the leftovers of the project in this folder and print their paths.

    Raises:
        UserError: params.yaml is not valid; a mistyped name must not delete the results of the right one.
    """
    from convnet.pipeline.prune import delete, find_leftovers

    load_params()
    leftovers = find_leftovers(Path())
    if not arguments.dry_run:
        delete(Path(), leftovers)
    for name in leftovers:
        print(printable(f"{'would delete' if arguments.dry_run else 'deleted'} {name}"))
