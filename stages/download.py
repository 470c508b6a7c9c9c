"""Stage download: make a dataset's archives, rendered here, downloaded, or packed from a folder."""

import argparse
import sys
from pathlib import Path

from convnet.data.sources import bring_sources
from convnet.params.load import load_params
from convnet.system.errors import command, printable


@command
def main() -> None:
    """Write the dataset's archives, and print what the user should know."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("destination", type=Path, help="folder for the archives and sources.json")
    arguments = parser.parse_args()
    dataset = load_params().dataset(arguments.dataset)
    for note in bring_sources(arguments.dataset, dataset, arguments.destination):
        print(printable(f"{arguments.dataset}: {note}"), file=sys.stderr)


if __name__ == "__main__":
    main()
