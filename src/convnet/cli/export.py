"""`convnet export`: write a model for other programs."""

import argparse
from pathlib import Path

from convnet.cli.options import add_model
from convnet.jobs.model_files import find_model
from convnet.system.errors import printable

HELP = "write a model for other programs, and check that it gives the same probabilities there"
EXAMPLE = "convnet export models/best/pets --to onnx --images photos/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `run` reads."""
    add_model(parser)
    parser.add_argument("--to", choices=("onnx", "litert", "saved_model"), required=True, help="the format")
    output = "file or new folder to write; default: DATASET.onnx, DATASET.tflite or DATASET_saved_model, here"
    parser.add_argument("--output", type=Path, help=output)
    images = "images to check on; default: noise"
    parser.add_argument("--images", metavar="PATH", type=Path, nargs="+", default=[], help=images)


def run(arguments: argparse.Namespace) -> None:
    """Write the files, and print how far the exported model's probabilities differ."""
    from convnet.inference.export import export_model

    done = export_model(find_model(arguments.model, arguments.seed), arguments.to, arguments.output, arguments.images)
    kind = "images" if done.real else "images of noise"
    print(f"{printable(str(done.path))} and {printable(done.labels.name)} are written")
    print("preprocess.py beside them prepares images in other programs")
    print(f"largest difference of a probability on {done.images} {kind}: {done.difference:.2g}")
    if done.rounding is not None:
        print(f"the saved model computes in 16 bits and differs from both by up to {done.rounding:.2g}")
