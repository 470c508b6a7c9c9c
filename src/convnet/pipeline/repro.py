"""The end of `make repro`: run `dvc repro`, then print the seconds, the verdict, and where the page is."""

import argparse
import os
import sys
import time
from pathlib import Path

from convnet.comparison.schema import Verdict
from convnet.comparison.wording import opening_sentences
from convnet.system.dvc_command import run_dvc
from convnet.system.errors import command, printable
from convnet.system.files import read_json

# Where dvc.yaml puts them.
VERDICTS, PAGE = Path("reports/tables/verdict.json"), Path("reports/index.html")

CLOSING = "CONVNET_CLOSING"  # set while a program runs the stages that prints the verdict at its end


def closing_lines(verdicts: Path, seconds: float) -> list[str]:
    """Return the verdict of a run in two lines, then its seconds and the page.

    Raises:
        UserError: the verdicts are missing.
    """
    found = [Verdict.model_validate(verdict) for verdict in read_json(verdicts).values()]
    return [*opening_sentences(found), f"{seconds:.0f} s; open {PAGE}"]


@command
def main() -> None:
    """Run every stage that changed, and print the end of a run."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("started", type=float, help="when the run began, in seconds since 1970")
    started = parser.parse_args().started
    os.environ[CLOSING] = "1"
    code = run_dvc("repro")
    if code:
        sys.exit(code)
    for line in closing_lines(VERDICTS, time.time() - started):
        print(printable(line))


if __name__ == "__main__":
    main()
