"""Stage evaluate: compute the metrics of every variant of a dataset, and of models without a network."""

import argparse
from pathlib import Path

from convnet.data.arrays import load_arrays
from convnet.data.splits import SPLITS
from convnet.evaluation.evaluate import evaluate
from convnet.evaluation.trivial_models import trivial_rows
from convnet.params.load import load_params
from convnet.system.errors import command
from convnet.system.files import read_json, write_json


@command
def main() -> None:
    """Write `<variant>.json` for every variant of the run, and `trivial.json`, without loading a model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arrays", type=Path, help="folder of the prepare stage")
    parser.add_argument("features", type=Path, help="folder of the features")
    parser.add_argument("models", type=Path, help="folder that holds one folder per variant")
    parser.add_argument("destination", type=Path, help="folder for the evaluations")
    arguments = parser.parse_args()
    for variant in load_params().run.variants:
        evaluation = evaluate(arguments.arrays, arguments.models / variant, arguments.features)
        write_json(arguments.destination / "variants" / f"{variant}.json", evaluation.model_dump())
    train, validation, test = (load_arrays(arguments.arrays, split) for split in SPLITS)
    rows = trivial_rows(
        (train.images, train.labels),
        (validation.images, validation.labels),
        (test.images, test.labels),
        read_json(arguments.arrays / "dataset.json")["classes"],
    )
    write_json(arguments.destination / "trivial.json", [row.model_dump() for row in rows])


if __name__ == "__main__":
    main()
