"""Stage features: run the frozen backbone once over every image of a dataset."""

import argparse
from pathlib import Path

from convnet.errors import command
from convnet.params import load_params
from convnet.plans import weights_file
from convnet.storage import read_json, write_json


@command
def main() -> None:
    """Parse arguments and extract features, if any variant of the run needs them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("arrays", type=Path, help="folder of the prepare stage")
    parser.add_argument("backbone", type=Path, help="folder of the backbone stage")
    parser.add_argument("destination", type=Path, help="folder for the features")
    arguments = parser.parse_args()
    params = load_params()
    recipes = [params.recipe(arguments.dataset, variant) for variant in params.run.feature_variants]
    if not any(recipe.kind == "features" for recipe in recipes):
        write_json(arguments.destination / "features.json", {"needed": False})
        return
    # Here and not above: the import costs seconds.
    from convnet.device import configure_device

    configure_device(threads=params.engine.threads_per_job, precision="float32")
    from convnet.features import Views, extract_features

    augmented = next((recipe for recipe in recipes if recipe.augmented_views is not None), None)
    views = None
    if augmented is not None and augmented.augmentation is not None and augmented.augmented_views is not None:
        splits = ("train", "validation", "test") if params.run.resplit else ("train",)
        views = Views(augmented.augmentation, augmented.augmented_views, splits, params.split.seed)
    name = params.datasets[arguments.dataset].backbone
    last_layer = params.datasets[arguments.dataset].last_layer or params.backbones[name].last_layer
    extract_features(
        arguments.arrays,
        tuple(read_json(arguments.arrays / "dataset.json")["image_size"]),
        name,
        params.backbones[name],
        last_layer,
        weights_file(arguments.backbone),
        views,
        arguments.destination,
    )


if __name__ == "__main__":
    main()
