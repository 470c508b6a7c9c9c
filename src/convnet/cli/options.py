"""Options and outputs that several subcommands share."""

import argparse
import sys
from pathlib import Path
from typing import TextIO

BAD_FILES = 1  # exit code of --strict


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the arguments MODEL and --seed."""
    parser.add_argument("model", metavar="MODEL", type=Path, help="a .keras file, or the folder of a variant")
    parser.add_argument("--seed", type=int, help="which model of a folder; default: the first")


def add_inference(parser: argparse.ArgumentParser) -> None:
    """Add the options --calibrated and --strict."""
    parser.add_argument("--calibrated", action="store_true", help="apply the temperature fitted on validation images")
    parser.add_argument("--strict", action="store_true", help=f"exit with {BAD_FILES} if a file could not be used")


def standard_output() -> TextIO:
    """Return standard output, in UTF-8 on every terminal, as all files of the pipeline are."""
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]  # a real stream
    return sys.stdout


def exit_strictly(bad: bool) -> None:
    """Exit with the code of --strict if `bad`."""
    if bad:
        sys.stdout.flush()
        sys.exit(BAD_FILES)
