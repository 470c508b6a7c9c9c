"""Stage prepare: pack the images of a manifest into uint8 arrays of one size."""

import argparse
from pathlib import Path

from convnet.data.arrays import check_batch_sizes, prepare_arrays, size_name
from convnet.data.division import training_images
from convnet.data.manifest import COLUMNS
from convnet.data.splits import SPLITS
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
    counts = {split: int((manifest["split"] == split).sum()) for split in SPLITS}
    fewest = training_images(counts, params.run.split, len(params.run.seeds))
    classes = manifest.loc[manifest["split"] == "train", "class"].nunique()
    check_batch_sizes(params, arguments.dataset, fewest, classes)  # before the long packing
    images = params.of_dataset("images", arguments.dataset)
    prepare_arrays(manifest, arguments.archives, image_size, images, arguments.destination)
    for size in other_sizes(params, arguments.dataset):
        prepare_arrays(manifest, arguments.archives, size, images, arguments.destination / size_name(size))


if __name__ == "__main__":
    main()
