"""Stage prepare: pack the images of a manifest into uint8 arrays of one size."""

import argparse
from pathlib import Path

from convnet.data.arrays import check_batch_sizes, prepare_arrays, size_name
from convnet.data.manifest import COLUMNS
from convnet.params.load import load_params
from convnet.params.recipe import other_sizes
from convnet.system.csv_tables import read_csv
from convnet.system.errors import command


@command
def main() -> None:
    """Check that a batch can be filled, and pack the arrays."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("archives", type=Path, help="folder of the download stage")
    parser.add_argument("manifest", type=Path, help="CSV of the split stage")
    parser.add_argument("destination", type=Path, help="folder for the arrays")
    arguments = parser.parse_args()
    params = load_params()
    image_size = params.dataset(arguments.dataset).image_size
    manifest = read_csv(arguments.manifest, COLUMNS)
    training = manifest.loc[manifest["split"] == "train", "class"]
    check_batch_sizes(params, arguments.dataset, len(training), training.nunique())  # before the long packing
    prepare_arrays(manifest, arguments.archives, image_size, params.images, arguments.destination)
    for size in other_sizes(params, arguments.dataset):
        folder = arguments.destination / size_name(size)
        prepare_arrays(manifest, arguments.archives, size, params.images, folder)


if __name__ == "__main__":
    main()
