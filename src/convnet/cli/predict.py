"""`convnet predict`: name the class of images."""

import argparse
import sys
from pathlib import Path

from convnet.cli.options import add_inference, add_maximum_pixels, add_model, exit_strictly, standard_output
from convnet.inference.outputs import check_file
from convnet.jobs.model_files import check_model, find_model
from convnet.system.files import atomic_path

HELP = "name the class of images, with one probability per class"
EXAMPLE = "convnet predict models/best/pets photos/ holiday.zip --output predictions.csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `run` reads."""
    add_model(parser)
    parser.add_argument("paths", metavar="PATH", type=Path, nargs="+", help="images, folders or archives")
    parser.add_argument("--format", choices=("csv", "jsonl"), default="csv", help="default: csv")
    parser.add_argument("--output", type=Path, help="file to write; default: standard output")
    add_maximum_pixels(parser)
    add_inference(parser)


def run(arguments: argparse.Namespace) -> None:
    """Write one line per image, and print the counts to standard error."""
    from convnet.inference.predict import UNUSUAL, Counts, predict_files

    counts = Counts()
    if arguments.output is not None:
        check_file(arguments.output)
    model = find_model(arguments.model, arguments.seed)
    if check_model(model).kind == "rendered":
        print("this model learnt from rendered images; its answers on photographs mean little", file=sys.stderr)
    lines = predict_files(
        model, arguments.paths, arguments.calibrated, arguments.format, counts, arguments.maximum_pixels
    )
    if arguments.output is None:
        standard_output().writelines(lines)
    else:
        with atomic_path(arguments.output) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(lines)
    if counts.unusual:
        print(f"{counts.unusual:,} images are marked: the model is {UNUSUAL}", file=sys.stderr)
    print(counts.sentence(), file=sys.stderr)
    exit_strictly(arguments.strict and counts.bad > 0)
