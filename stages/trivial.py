"""Stage trivial: evaluate the majority class, and logistic regression on colours and thumbnails."""

import argparse
from pathlib import Path

from convnet.data.arrays import load_arrays
from convnet.evaluation.trivial_models import trivial_rows
from convnet.params.load import load_params
from convnet.system.errors import command
from convnet.system.files import read_json, write_json


@command
def main() -> None:
    """Parse arguments, fit the trivial models and write their rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arrays", type=Path, help="folder of the prepare stage")
    parser.add_argument("destination", type=Path, help="JSON to write")
    arguments = parser.parse_args()
    load_params()  # no stage works on a broken params.yaml
    opened = {split: load_arrays(arguments.arrays, split) for split in ("train", "validation", "test")}
    train, validation, test = ((arrays.images, arrays.labels) for arrays in opened.values())
    classes = read_json(arguments.arrays / "dataset.json")["classes"]
    rows = trivial_rows(train, validation, test, classes)
    write_json(arguments.destination, [row.model_dump() for row in rows])


if __name__ == "__main__":
    main()
