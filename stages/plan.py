"""Stage plan: write down what the run's variants ask of a dataset's features.

The features depend on this file and not on all of `variants`: a change elsewhere leaves them alone.
"""

import argparse
from pathlib import Path

from convnet.jobs.feature_plan import plan_features
from convnet.params.load import load_params
from convnet.system.errors import command
from convnet.system.files import write_json


@command
def main() -> None:
    """Parse arguments and write the plan."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("destination", type=Path, help="JSON to write")
    arguments = parser.parse_args()
    write_json(arguments.destination, plan_features(load_params(), arguments.dataset))


if __name__ == "__main__":
    main()
