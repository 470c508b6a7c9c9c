"""Stage split: verify every image once, and divide the good ones into train, validation and test."""

import argparse
import sys
from pathlib import Path

from convnet.data.decoding import Limits
from convnet.data.manifest import SplitRules, build_manifest, duplicates_line, rejected_line, write_manifest
from convnet.params.load import load_params
from convnet.system.errors import command, printable
from convnet.system.files import write_json


@command
def main() -> None:
    """Parse arguments, build the manifest, and name rejected files in one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("archives", type=Path, help="folder of the download stage")
    parser.add_argument("manifest", type=Path, help="CSV to write")
    parser.add_argument("summary", type=Path, help="JSON to write")
    arguments = parser.parse_args()
    params = load_params()
    rules = SplitRules(**params.split_rules(arguments.dataset).model_dump())
    rows, summary = build_manifest(arguments.archives, limits=Limits(**params.images.model_dump()), split=rules)
    write_manifest(rows, arguments.manifest)
    write_json(arguments.summary, summary)
    for line in (rejected_line(summary), duplicates_line(summary)):
        if line:
            print(printable(line), file=sys.stderr)


if __name__ == "__main__":
    main()
