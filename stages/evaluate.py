"""Stage evaluate: turn predictions into numbers, without loading a model."""

import argparse
from pathlib import Path

from convnet.evaluation.evaluate import evaluate, summarise
from convnet.params.load import load_params
from convnet.system.errors import command
from convnet.system.files import write_json


@command
def main() -> None:
    """Parse arguments and evaluate one variant on one dataset."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arrays", type=Path, help="folder of the prepare stage")
    parser.add_argument("model", type=Path, help="folder of the train, transfer or fine_tune stage")
    parser.add_argument("evaluation", type=Path, help="JSON with every number, for compare and report")
    parser.add_argument("metrics", type=Path, help="small JSON for `dvc metrics show`")
    parser.add_argument("--features", type=Path, help="folder of the features stage, where the variant uses it")
    arguments = parser.parse_args()
    load_params()  # no stage works on a broken params.yaml
    evaluation = evaluate(arguments.arrays, arguments.model, arguments.features)
    write_json(arguments.evaluation, evaluation.model_dump())
    write_json(arguments.metrics, summarise(evaluation))


if __name__ == "__main__":
    main()
