"""The command `convnet`: train all jobs, use trained models, and add own images to the pipeline."""

import argparse
import os
import sys
from typing import NoReturn

from convnet.cli import decide, evaluate, export, init, predict, preset, prune, train
from convnet.system.errors import UserError, command, printable

# None of these modules loads Keras when it is imported; their `run` does.
SUBCOMMANDS = {
    "predict": predict,
    "evaluate": evaluate,
    "export": export,
    "init": init,
    "train": train,
    "decide": decide,
    "preset": preset,
    "prune": prune,
}


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line in one line; `--help` prints the rest."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {printable(message)}; see {self.prog} --help\n")


@command
def main() -> None:
    """Run the subcommand that the command line names."""
    arguments = build_parser().parse_args()
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has stopped early, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # all inputs are checked by now, so the output cannot be written
        raise UserError(f"{error.filename or 'a file'} cannot be used: {error.strerror or error}") from error


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all subcommands; its result holds `run`, which takes the parsed arguments."""
    raw = argparse.RawDescriptionHelpFormatter
    example = "example:\n  {}"
    parser = _Parser(
        prog="convnet",
        description=__doc__,
        epilog=example.format("convnet predict models/best/pets photos/"),
        formatter_class=raw,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    for name, module in SUBCOMMANDS.items():
        about = f"{module.HELP[0].upper()}{module.HELP[1:]}."
        texts = {"help": module.HELP, "description": about, "epilog": example.format(module.EXAMPLE)}
        of_command = commands.add_parser(name, formatter_class=raw, **texts)
        module.add_arguments(of_command)
        of_command.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    main()
