"""Stage evaluate: compute the metrics of a dataset's variants and of models without a network, and check the labels."""

import argparse
from pathlib import Path

from convnet.data.splits import SPLITS
from convnet.evaluation.evaluate import evaluate
from convnet.evaluation.of_data import checked_labels, trivial_numbers
from convnet.evaluation.schema import CHECK
from convnet.jobs.predictions import load_predictions
from convnet.params.load import load_params
from convnet.system.errors import command
from convnet.system.files import write_json


@command
def main() -> None:
    """Write `<variant>.json` for every variant, `trivial.json` and `label_check.json`, without loading a model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path, help="CSV of the split stage, to check the labels")
    parser.add_argument("--summary", type=Path, help="JSON of the split stage, with --manifest")
    parser.add_argument("arrays", type=Path, help="folder of the prepare stage")
    parser.add_argument("features", type=Path, help="folder of the features")
    parser.add_argument("models", type=Path, help="folder that holds one folder per variant")
    parser.add_argument("destination", type=Path, help="folder for the evaluations")
    arguments = parser.parse_args()
    run = load_params().run
    for variant in run.variants:
        evaluation = evaluate(arguments.arrays, arguments.models / variant, arguments.features)
        write_json(arguments.destination / "variants" / f"{variant}.json", evaluation.model_dump())
    divisions = None
    if run.own_splits:
        by_seed = load_predictions(arguments.models / run.variants[0] / "predictions.npz")
        divisions = [{split: of_seed[split].index for split in SPLITS} for _, of_seed in sorted(by_seed.items())]
    write_json(arguments.destination / "trivial.json", trivial_numbers(arguments.arrays, divisions))
    if arguments.manifest is not None:
        check = checked_labels(arguments.arrays, arguments.features, arguments.manifest, arguments.summary)
        write_json(arguments.destination / CHECK, check)


if __name__ == "__main__":
    main()
