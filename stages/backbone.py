"""Stage backbone: download the weights of a dataset's backbone, or pretrain it here."""

import argparse
import sys
from pathlib import Path

from convnet.features.weights import bring_backbone
from convnet.params.load import load_params
from convnet.system.errors import command, printable
from convnet.system.files import write_json


@command
def main() -> None:
    """Write the weights, if any variant of the run needs them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("destination", type=Path, help="folder for the weight file and backbone.json")
    arguments = parser.parse_args()
    params = load_params()
    if not params.run.feature_variants:
        write_json(arguments.destination / "backbone.json", {"needed": False})
        return
    note = bring_backbone(params, params.dataset(arguments.dataset).backbone, arguments.destination)
    if note:
        print(printable(note), file=sys.stderr)


if __name__ == "__main__":
    main()
