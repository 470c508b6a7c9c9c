"""Stage prepare: pack the images of a manifest into uint8 arrays of one size."""

import argparse
from pathlib import Path

from convnet.arrays import prepare_arrays
from convnet.errors import command
from convnet.images import Limits
from convnet.manifest import read_manifest
from convnet.params import load_params


@command
def main() -> None:
    """Parse arguments and pack the arrays."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("archives", type=Path, help="folder of the download stage")
    parser.add_argument("manifest", type=Path, help="CSV of the split stage")
    parser.add_argument("destination", type=Path, help="folder for the arrays")
    arguments = parser.parse_args()
    params = load_params()
    limits = Limits(**params.images.model_dump())
    image_size = params.dataset(arguments.dataset).image_size
    prepare_arrays(
        read_manifest(arguments.manifest),
        arguments.archives,
        image_size=image_size,
        limits=limits,
        destination=arguments.destination,
    )


if __name__ == "__main__":
    main()
