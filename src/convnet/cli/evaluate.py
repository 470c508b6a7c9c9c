"""`convnet evaluate`: measure a model on labelled images."""

import argparse
import json
from pathlib import Path

from convnet.cli.options import (
    add_inference,
    add_maximum_pixels,
    add_model,
    add_reading,
    exit_strictly,
    labels_of,
    standard_output,
)
from convnet.jobs.model_files import find_model
from convnet.params.data import GroupSource, ReadAs

HELP = "measure a model on images whose folders name their classes"
EXAMPLE = "convnet evaluate models/best/pets labelled_photos/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `run` reads."""
    add_model(parser)
    parser.add_argument("images", metavar="FOLDER", type=Path, help="one folder per class, or an archive of them")
    parser.add_argument("--split", choices=("train", "validation", "test"), help="which part of a divided folder")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="default: table")
    add_maximum_pixels(parser)
    add_inference(parser)
    add_reading(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print the metrics as a table or as JSON."""
    from convnet.inference.evaluate_folder import evaluate_labelled, evaluation_text

    model = find_model(arguments.model, arguments.seed)
    groups = GroupSource(by_folder=True) if arguments.group_by_folder else None
    settings = ReadAs(labels=labels_of(arguments), groups=groups, ignore=tuple(arguments.ignore))
    result = evaluate_labelled(
        model, arguments.images, arguments.split, arguments.calibrated, settings, arguments.maximum_pixels
    )
    # ASCII: a file name that is not UTF-8 survives.
    as_json = json.dumps(result, sort_keys=True, allow_nan=False, indent=1) + "\n"
    standard_output().write(as_json if arguments.format == "json" else evaluation_text(result))
    exit_strictly(arguments.strict and bool(result["rejected"]))
