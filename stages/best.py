"""Stage best: copy a dataset's best model, chosen by validation accuracy, to where it is used from."""

import argparse
import sys
from pathlib import Path

from convnet.evaluation.model_selection import choose_best
from convnet.inference.preprocess_file import write_preprocess
from convnet.params.load import load_params
from convnet.system.errors import command, printable


@command
def main() -> None:
    """Parse arguments, choose, and print the choice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("models", type=Path, help="folder that holds one folder per variant")
    parser.add_argument("destination", type=Path, help="folder for the model and what belongs to it")
    arguments = parser.parse_args()
    params = load_params()
    kind = params.dataset(arguments.dataset).kind
    best = choose_best(arguments.models, params.run.variants, kind, arguments.destination)
    write_preprocess(arguments.destination)
    images = "rendered validation images" if kind == "rendered" else "validation photographs"
    reached = f"{100 * best.accuracy:.1f} % of {images}, mean over seeds"
    print(printable(f"{arguments.dataset}: best is {best.variant}, {reached}; seed {best.seed}"), file=sys.stderr)


if __name__ == "__main__":
    main()
