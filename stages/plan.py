"""Stage plan: write the settings that each stage depends on."""

import argparse
from pathlib import Path

from convnet.params.load import load_params
from convnet.pipeline.plans import write_plans
from convnet.system.errors import command


@command
def main() -> None:
    """Check params.yaml, and write one file per stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("destination", type=Path, help="folder for the plans")
    write_plans(load_params(), parser.parse_args().destination)


if __name__ == "__main__":
    main()
