"""The command `convnet`: use trained models, and bring own images into the pipeline."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TextIO

from convnet.cli.train import add_sweep_arguments, run_sweep
from convnet.jobs.model_files import find_model
from convnet.system.errors import UserError, command, printable

# Nothing here loads Keras; the functions that need it import their modules when they are called.

BAD_FILES = 1  # exit code of --strict


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; `--help` shows the rest."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {printable(message)}; see {self.prog} --help\n")


@command
def main() -> None:
    """Run the subcommand that the command line names."""
    arguments = _parser().parse_args()
    run: Callable[[argparse.Namespace], None] = arguments.run
    try:
        run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # what is read has been checked by now: a place that cannot be written to
        raise UserError(f"{error.filename or 'a file'} cannot be used: {error.strerror or error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="convnet", description=__doc__, **_epilog("convnet predict models/best/pets photos/"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    _add_predict(commands)
    _add_evaluate(commands)
    _add_export(commands)
    _add_init(commands)
    _add_sweep(commands)
    return parser


def _command(commands: "argparse._SubParsersAction[_Parser]", name: str, what: str, example: str) -> _Parser:
    parser = commands.add_parser(
        name,
        help=what,
        description=what[0].upper() + what[1:] + ".",
        **_epilog(example),
    )
    return parser


def _epilog(example: str) -> dict[str, Any]:
    """Return the arguments of a parser whose help ends with an example."""
    return {"epilog": f"example:\n  {example}", "formatter_class": argparse.RawDescriptionHelpFormatter}


def _add_sweep(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = _command(
        commands, "sweep", "run every training job at once, here or on a Ray cluster", "convnet sweep -j 4 && dvc repro"
    )
    add_sweep_arguments(parser)
    parser.set_defaults(run=run_sweep)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", type=Path, help="a .keras file, or the folder of a variant")
    parser.add_argument("--seed", type=int, help="which model of a folder; default: the first")


def _add_predict(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = _command(
        commands,
        "predict",
        "name the class of images, with one probability per class",
        "convnet predict models/best/pets photos/ holiday.zip --output predictions.csv",
    )
    _add_model(parser)
    parser.add_argument("paths", metavar="PATH", type=Path, nargs="+", help="images, folders or archives")
    parser.add_argument("--format", choices=("csv", "jsonl"), default="csv", help="default: csv")
    parser.add_argument("--output", type=Path, help="file to write; default: standard output")
    parser.add_argument("--calibrated", action="store_true", help="apply the temperature fitted on validation images")
    parser.add_argument("--strict", action="store_true", help=f"exit with {BAD_FILES} if a file could not be used")
    parser.set_defaults(run=_predict)


def _add_evaluate(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = _command(
        commands,
        "evaluate",
        "measure a model on images whose folders name their classes",
        "convnet evaluate models/best/pets labelled_photos/",
    )
    _add_model(parser)
    parser.add_argument("pictures", metavar="FOLDER", type=Path, help="one folder per class, or an archive of them")
    parser.add_argument("--split", choices=("train", "validation", "test"), help="which part of a divided folder")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="default: table")
    parser.add_argument("--calibrated", action="store_true", help="apply the temperature fitted on validation images")
    parser.add_argument("--strict", action="store_true", help=f"exit with {BAD_FILES} if a file could not be used")
    parser.set_defaults(run=_evaluate)


def _add_export(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = _command(
        commands,
        "export",
        "write a model for other programs, and check that it gives the same probabilities there",
        "convnet export models/best/pets --to onnx --images photos/",
    )
    _add_model(parser)
    parser.add_argument("--to", choices=("onnx", "litert", "saved_model"), required=True, help="the format")
    parser.add_argument(
        "--output",
        type=Path,
        help="file or new folder to write; default: DATASET.onnx, DATASET.tflite or DATASET_saved_model, here",
    )
    parser.add_argument(
        "--images", metavar="PATH", type=Path, nargs="+", default=[], help="images to check on; default: noise"
    )
    parser.set_defaults(run=_export)


def _add_init(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = _command(
        commands,
        "init",
        "look at own images and make them a dataset in params.yaml",
        "convnet init photos/ && dvc repro",
    )
    parser.add_argument("source", metavar="FOLDER", type=Path, help="one folder per class, or an archive of them")
    parser.add_argument("--name", help="of the dataset; default: after the folder")
    parser.add_argument("--rendered", action="store_true", help="the images are drawn, not photographed")
    parser.add_argument("--backbone", help="default: what suits the images and can be had")
    parser.add_argument("--keep", action="store_true", help="keep the other datasets of the run beside it")
    parser.set_defaults(run=_init)


def _predict(arguments: argparse.Namespace) -> None:
    from convnet.inference.predict import Counts, predict_files
    from convnet.system.files import atomic_path

    counts = Counts()
    model = find_model(arguments.model, arguments.seed)
    lines = predict_files(model, arguments.paths, arguments.calibrated, arguments.format, counts)
    if arguments.output is None:
        _standard_output().writelines(lines)
    else:
        with atomic_path(arguments.output) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(lines)
    print(counts.sentence(), file=sys.stderr)
    _end_strictly(arguments.strict and counts.bad > 0)


def _evaluate(arguments: argparse.Namespace) -> None:
    from convnet.inference.evaluate_folder import evaluate_labelled, evaluation_text

    model = find_model(arguments.model, arguments.seed)
    result = evaluate_labelled(model, arguments.pictures, arguments.split, arguments.calibrated)
    # ASCII: any name survives, also one that is no UTF-8.
    as_json = json.dumps(result, sort_keys=True, allow_nan=False, indent=1) + "\n"
    text = as_json if arguments.format == "json" else evaluation_text(result)
    _standard_output().write(text)
    _end_strictly(arguments.strict and bool(result["rejected"]))


def _export(arguments: argparse.Namespace) -> None:
    from convnet.inference.export import export_model

    done = export_model(find_model(arguments.model, arguments.seed), arguments.to, arguments.output, arguments.images)
    kind = "images" if done.real else "images of noise"
    print(f"{printable(str(done.path))} and {printable(done.labels.name)} are written")
    print(f"largest difference of a probability on {done.pictures} {kind}: {done.difference:.2g}")
    if done.rounding is not None:
        print(f"the saved model computes in 16 bits and differs from both by up to {done.rounding:.2g}")


def _init(arguments: argparse.Namespace) -> None:
    from convnet.cli.init import Wishes, initialise

    wishes = Wishes(arguments.source, arguments.name, arguments.rendered, arguments.backbone, arguments.keep)
    _standard_output().write(initialise(wishes))


def _standard_output() -> TextIO:
    """Return standard output in UTF-8, whatever the terminal's setting, as every file of the pipeline is."""
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]  # a real stream
    return sys.stdout


def _end_strictly(bad: bool) -> None:
    if bad:
        sys.stdout.flush()
        sys.exit(BAD_FILES)


if __name__ == "__main__":
    main()
