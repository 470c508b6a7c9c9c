"""Stage plan: list the settings of the run's variants that a dataset's features depend on.

The features depend on this file and not on all of `variants`, so other changes do not compute them again.
"""

import argparse
from pathlib import Path

from convnet.jobs.feature_plan import plan_features
from convnet.params.load import load_params
from convnet.system.errors import command
from convnet.system.files import write_json


@command
def main() -> None:
    """Write the plan."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("destination", type=Path, help="JSON to write")
    arguments = parser.parse_args()
    write_json(arguments.destination, plan_features(load_params(), arguments.dataset))


if __name__ == "__main__":
    main()
