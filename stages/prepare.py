"""Stage prepare: pack the images of a manifest into uint8 arrays of one size."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from convnet.data.arrays import check_batch_sizes, prepare_arrays
from convnet.data.decoding import Limits
from convnet.data.manifest import Row, read_manifest
from convnet.params.load import load_params
from convnet.system.errors import command


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
    rows = read_manifest(arguments.manifest)
    check_batch_sizes(params, arguments.dataset, *_training_images(rows))  # first: packing them may take long
    prepare_arrays(
        rows,
        arguments.archives,
        image_size=image_size,
        limits=limits,
        destination=arguments.destination,
    )


def _training_images(rows: Sequence[Row]) -> tuple[int, int]:
    """Return how many images there are to train on, and how many classes they have."""
    training = [row.class_name for row in rows if row.accepted and row.split == "train"]
    return len(training), len(set(training))


if __name__ == "__main__":
    main()
