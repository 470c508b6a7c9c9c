"""Stage train: train every variant of a dataset, one job per seed, all in one queue."""

import argparse
from pathlib import Path

from convnet.engine.tuning import use_tuning
from convnet.engine.variants import train_variants
from convnet.params.load import load_params
from convnet.system.errors import command


@command
def main() -> None:
    """Run the jobs that have no result yet, and gather all results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arrays", type=Path, help="folder of the prepare stage")
    parser.add_argument("features", type=Path, help="folder of the features")
    parser.add_argument("backbone", type=Path, help="folder of the backbone's weights")
    parser.add_argument("--tuning", type=Path, help="JSON of the tune stage; default: the settings of params.yaml")
    parser.add_argument("destination", type=Path, help="one folder per variant for models, history and predictions")
    arguments = parser.parse_args()
    params = load_params()
    if arguments.tuning:
        params = use_tuning(params, arguments.tuning)
    train_variants(params, arguments.arrays, arguments.features, arguments.backbone, arguments.destination)


if __name__ == "__main__":
    main()
