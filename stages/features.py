"""Stage features: run the frozen backbone once over every image of a dataset."""

import argparse
from pathlib import Path

from convnet.features.cache import bring_features
from convnet.params.load import load_params
from convnet.system.errors import command
from convnet.system.files import read_json, write_json


@command
def main() -> None:
    """Write the features, if any variant of the run needs them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plan", type=Path, help="JSON of the plan stage")
    parser.add_argument("arrays", type=Path, help="folder of the prepare stage")
    parser.add_argument("backbone", type=Path, help="folder of the backbone stage")
    parser.add_argument("destination", type=Path, help="folder for the features")
    arguments = parser.parse_args()
    params, plan = load_params(), read_json(arguments.plan)
    if plan["needed"]:
        bring_features(params, plan, arguments.arrays, arguments.backbone, arguments.destination)
    else:
        write_json(arguments.destination / "features.json", {"needed": False})


if __name__ == "__main__":
    main()
