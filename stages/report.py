"""Stage report: draw the charts and write one offline page, from numbers and images of earlier stages."""

import argparse
from dataclasses import fields
from pathlib import Path

from convnet.params.load import load_params
from convnet.report.build import Folders, report
from convnet.system.errors import command


@command
def main() -> None:
    """Parse arguments and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in (field.name for field in fields(Folders)):
        parser.add_argument(f"--{name}", type=Path, required=True, help=f"folder of the {name}")
    parser.add_argument("destination", type=Path, help="the reports folder")
    arguments = vars(parser.parse_args())
    destination = arguments.pop("destination")
    params = load_params()
    report(Folders(**arguments), params.run.datasets, params.run.variants, destination, params.report.language)


if __name__ == "__main__":
    main()
