"""Stage explain: draw feature maps, Grad-CAM and augmented images of a dataset's networks."""

import argparse
from pathlib import Path

from convnet.params.load import load_params
from convnet.system.errors import command


@command
def main() -> None:
    """Draw and write the images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("arrays", type=Path, help="folder of the prepare stage")
    parser.add_argument("models", type=Path, help="folder that holds one folder per variant")
    parser.add_argument("destination", type=Path, help="folder for the images and their list")
    arguments = parser.parse_args()
    params = load_params()
    # Imported late, because it costs seconds. The device comes first: it silences the libraries that follow.
    from convnet.backend.device import configure_device

    configure_device(threads=params.engine.threads_per_job, precision="float32")
    from convnet.analysis.explain import explain_dataset

    explain_dataset(params, arguments.dataset, arguments.arrays, arguments.models, arguments.destination)


if __name__ == "__main__":
    main()
