"""Stage explain: draw what the networks of a dataset see."""

import argparse
from pathlib import Path

from convnet.params.load import load_params
from convnet.system.errors import command


@command
def main() -> None:
    """Parse arguments and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("arrays", type=Path, help="folder of the prepare stage")
    parser.add_argument("models", type=Path, help="folder that holds one folder per variant")
    parser.add_argument("destination", type=Path, help="folder for the images and their list")
    arguments = parser.parse_args()
    params = load_params()
    # Here and not above: the import costs seconds. The device comes first, it quietens what the others load.
    from convnet.backend.device import configure_device

    configure_device(threads=params.engine.threads_per_job, precision="float32")
    from convnet.analysis.explain import explain_dataset

    explain_dataset(params, arguments.dataset, arguments.arrays, arguments.models, arguments.destination)


if __name__ == "__main__":
    main()
