"""Stage features: bring the weights of a dataset's backbones, and run each once over every image."""

import argparse
import sys
from pathlib import Path

from convnet.features.dataset import bring_dataset
from convnet.params.load import load_params
from convnet.system.errors import command, printable
from convnet.system.files import read_json


@command
def main() -> None:
    """Write weights and features, if any variant of the run needs them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("plan", type=Path, help="JSON of the plan stage")
    parser.add_argument("arrays", type=Path, help="folder of the prepare stage")
    parser.add_argument("backbone", type=Path, help="folder for the weight file and backbone.json")
    parser.add_argument("features", type=Path, help="folder for the features")
    arguments = parser.parse_args()
    params, plan = load_params(), read_json(arguments.plan)
    folders = arguments.arrays, arguments.backbone, arguments.features
    for note in bring_dataset(params, arguments.dataset, plan, *folders):
        print(printable(note), file=sys.stderr)


if __name__ == "__main__":
    main()
