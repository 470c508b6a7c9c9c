"""Stage compare: compare every variant with what it changes, and write tables for readers and for dvc plots."""

import argparse
import os
import sys
from pathlib import Path

from convnet.comparison.verdict import verdict
from convnet.comparison.wording import opening_sentences
from convnet.evaluation.schema import read_evaluation, read_label_check, read_trivial
from convnet.params.load import load_params
from convnet.pipeline.repro import CLOSING
from convnet.report.metrics_file import metrics_of
from convnet.report.tables import suggested_labels_table, write_plot_tables, write_tables
from convnet.system.csv_tables import write_csv
from convnet.system.errors import command, printable
from convnet.system.files import write_json


@command
def main() -> None:
    """Compare, and print the answer unless the caller prints it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("evaluations", type=Path, help="folder of the evaluate stages")
    parser.add_argument("tables", type=Path, help="folder for all tables")
    parser.add_argument("plots", type=Path, help="folder for the tables that dvc plots draws")
    parser.add_argument("metrics", type=Path, help="small JSON for `dvc metrics show`")
    arguments = parser.parse_args()
    params = load_params()
    run, margin = params.run, params.run.margin / 100
    against = {variant: params.against(variant) for variant in run.variants}
    evaluations, verdicts = [], []
    for dataset in run.datasets:
        folder = arguments.evaluations / dataset
        of_dataset = [read_evaluation(folder / "variants" / f"{variant}.json") for variant in run.variants]
        trivial = read_trivial(folder / "trivial.json")
        verdicts.append(verdict(of_dataset, trivial, against, margin, looks=run.declared_looks))
        evaluations += of_dataset
        if check := read_label_check(folder):
            write_csv(arguments.tables / f"suggested_labels_{dataset}.csv", suggested_labels_table(check))
    write_tables(evaluations, arguments.tables)
    write_plot_tables(evaluations, arguments.plots)
    write_json(arguments.tables / "verdict.json", {found.dataset: found.model_dump() for found in verdicts})
    write_json(arguments.metrics, metrics_of(verdicts))
    for sentence in () if os.environ.get(CLOSING) else opening_sentences(verdicts):
        print(printable(sentence), file=sys.stderr)


if __name__ == "__main__":
    main()
