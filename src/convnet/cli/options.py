"""Options and outputs that several subcommands share."""

import argparse
import sys
from pathlib import Path
from typing import TextIO

from convnet.params.data import LabelSource
from convnet.system.errors import UserError

BAD_FILES = 1  # exit code of --strict


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the arguments MODEL and --seed."""
    parser.add_argument("model", metavar="MODEL", type=Path, help="a .keras file, or the folder of a variant")
    parser.add_argument("--seed", type=int, help="which model of a folder; default: the first")


def add_inference(parser: argparse.ArgumentParser) -> None:
    """Add the options --calibrated and --strict."""
    parser.add_argument("--calibrated", action="store_true", help="apply the temperature fitted on validation images")
    parser.add_argument("--strict", action="store_true", help=f"exit with {BAD_FILES} if a file could not be used")


def add_maximum_pixels(parser: argparse.ArgumentParser) -> None:
    """Add the option --maximum-pixels."""
    parser.add_argument("--maximum-pixels", metavar="N", type=_positive, help="limit for an image; default: 50000000")


def add_reading(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add the options on labels and folders that `labels_of` and `ReadAs` take, and return the group of the labels."""
    labels = parser.add_argument_group("labels, where the folders do not name the classes")
    labels.add_argument("--label-from-name", metavar="PATTERN", help="file names hold them: '{label}.{number}'")
    labels.add_argument("--labels", metavar="TABLE", type=Path, help="CSV or JSON lines: file, label, split, group")
    labels.add_argument("--file-column", metavar="NAME", default="file", help="of the table; default: file")
    labels.add_argument("--label-column", metavar="NAME", default="label", help="of the table; default: label")
    labels.add_argument("--suffix", default="", help="that the table's file names lack: .jpg")
    parser.add_argument("--group-by-folder", action="store_true", help="folders are patients, scenes, clips, cameras")
    parser.add_argument(
        "--ignore", metavar="NAME", action="append", default=[], help="leave out files and folders: masks, '*_mask*'"
    )
    return labels


def labels_of(arguments: argparse.Namespace) -> LabelSource | None:
    """Return the source of the labels that the options name, or None for the class folders.

    Raises:
        UserError: two options name different places of the labels.
    """
    if arguments.labels and arguments.label_from_name:
        raise UserError("--labels and --label-from-name exclude each other: give one of them")
    if arguments.labels:
        return LabelSource(
            table=str(arguments.labels),
            file_column=arguments.file_column,
            label_column=arguments.label_column,
            suffix=arguments.suffix,
        )
    return LabelSource(from_name=arguments.label_from_name) if arguments.label_from_name else None


def standard_output() -> TextIO:
    """Return standard output, in UTF-8 on every terminal, as all files of the pipeline are."""
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]  # a real stream
    return sys.stdout


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return value


def exit_strictly(bad: bool) -> None:
    """Exit with the code of --strict if `bad`."""
    if bad:
        sys.stdout.flush()
        sys.exit(BAD_FILES)
