"""Stage plan: write down what the run's variants ask of a dataset's features and of the size sweep.

The stages that make those depend on these files and not on all of `variants`: a change elsewhere leaves them alone.
"""

import argparse
from pathlib import Path

from convnet.errors import command
from convnet.params import load_params
from convnet.plans import plan_features, plan_sweep
from convnet.storage import write_json


@command
def main() -> None:
    """Parse arguments and write both plans."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("features", type=Path, help="JSON to write, for the features stage")
    parser.add_argument("sweep", type=Path, help="JSON to write, for the sweep stage")
    arguments = parser.parse_args()
    params = load_params()
    write_json(arguments.features, plan_features(params, arguments.dataset))
    write_json(arguments.sweep, plan_sweep(params, arguments.dataset))


if __name__ == "__main__":
    main()
