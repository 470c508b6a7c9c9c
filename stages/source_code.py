"""Stage source_code: list the files that each stage's script needs, with their digests."""

import argparse
from pathlib import Path

from convnet.params.load import load_params
from convnet.pipeline.code_digests import describe
from convnet.system.errors import command
from convnet.system.files import write_text


@command
def main() -> None:
    """Write one list per script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path, help="folder of the package")
    parser.add_argument("scripts", type=Path, help="folder of the stages' scripts")
    parser.add_argument("destination", type=Path, help="folder for one list per script")
    arguments = parser.parse_args()
    load_params()  # the first stage of `dvc repro`: it reports a broken params.yaml
    for script in sorted(arguments.scripts.glob("*.py")):
        write_text(arguments.destination / f"{script.stem}.txt", describe(script))


if __name__ == "__main__":
    main()
