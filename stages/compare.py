"""Stage compare: compare every variant with what it changes, and write tables for readers and for dvc plots."""

import argparse
import sys
from pathlib import Path

from convnet.comparison.verdict import verdict
from convnet.comparison.wording import opening_sentences
from convnet.evaluation.schema import read_evaluation, read_trivial
from convnet.params.load import load_params
from convnet.report.tables import write_tables
from convnet.system.errors import command, printable
from convnet.system.files import write_json


@command
def main() -> None:
    """Parse arguments, compare, and print the answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("evaluations", type=Path, help="folder of the evaluate stages")
    parser.add_argument("trivial", type=Path, help="folder of the trivial stage")
    parser.add_argument("destination", type=Path, help="folder for the tables")
    arguments = parser.parse_args()
    params = load_params()
    evaluations = [
        read_evaluation(arguments.evaluations / f"{dataset}-{variant}.json")
        for dataset in params.run.datasets
        for variant in params.run.variants
    ]
    write_tables([evaluation.model_dump() for evaluation in evaluations], arguments.destination)
    verdicts, against = {}, {variant: params.against(variant) for variant in params.run.variants}
    for dataset in params.run.datasets:
        of_dataset = [evaluation for evaluation in evaluations if evaluation.dataset == dataset]
        trivial = read_trivial(arguments.trivial / f"{dataset}.json")
        verdicts[dataset] = verdict(of_dataset, trivial, against, params.run.margin / 100)
    write_json(arguments.destination / "verdict.json", {name: found.model_dump() for name, found in verdicts.items()})
    for sentence in opening_sentences(list(verdicts.values())):
        print(printable(sentence), file=sys.stderr)


if __name__ == "__main__":
    main()
