"""Stage split: verify every image once, and split the usable ones into train, validation and test."""

import argparse
import sys
from pathlib import Path

from convnet.data.manifest import build_manifest
from convnet.data.split_summary import duplicates_line, rejected_line
from convnet.params.load import load_params
from convnet.system.csv_tables import write_csv
from convnet.system.errors import command, printable
from convnet.system.files import write_json


@command
def main() -> None:
    """Write the manifest and its summary, and name rejected files in one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("archives", type=Path, help="folder of the download stage")
    parser.add_argument("manifest", type=Path, help="CSV to write")
    parser.add_argument("summary", type=Path, help="JSON to write")
    arguments = parser.parse_args()
    params = load_params()
    rules = params.split_rules(arguments.dataset)
    limits = params.of_dataset("images", arguments.dataset)
    manifest, summary = build_manifest(arguments.archives, limits=limits, split=rules)
    write_csv(arguments.manifest, manifest)
    write_json(arguments.summary, summary)
    for line in (rejected_line(summary), duplicates_line(summary), *summary["remarks"]):
        if line:
            print(printable(line), file=sys.stderr)


if __name__ == "__main__":
    main()
