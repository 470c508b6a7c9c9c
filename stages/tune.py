"""Stage tune: try the same settings for every variant of a dataset, and choose by the validation loss."""

import argparse
from pathlib import Path

from convnet.engine.tuning import tune_variants
from convnet.params.load import load_params
from convnet.system.errors import command
from convnet.system.files import write_json


@command
def main() -> None:
    """Train the trials, or choose nothing if params.yaml asks for none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arrays", type=Path, help="folder of the prepare stage")
    parser.add_argument("features", type=Path, help="folder of the features")
    parser.add_argument("backbone", type=Path, help="folder of the backbone's weights")
    parser.add_argument("destination", type=Path, help="JSON to write")
    arguments = parser.parse_args()
    params = load_params()
    folders = arguments.arrays, arguments.features, arguments.backbone
    tuned = tune_variants(params, *folders) if params.tuning.trials else {}
    write_json(arguments.destination, {"trials": params.tuning.trials, "variants": tuned})


if __name__ == "__main__":
    main()
