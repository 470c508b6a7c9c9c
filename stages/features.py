"""Stage features: run the frozen backbone once over every image of a dataset."""

import argparse
from pathlib import Path

from convnet.errors import command
from convnet.params import load_params
from convnet.plans import needs_features, plan_views, weights_file
from convnet.storage import write_json


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
    if not needs_features(params, arguments.dataset):
        write_json(arguments.destination / "features.json", {"needed": False})
        return
    views = plan_views(params, arguments.dataset)
    # Here and not above: the import costs seconds.
    from convnet.device import configure_device

    configure_device(threads=params.engine.threads_per_job, precision="float32")
    from convnet.features import extract_features

    dataset = params.datasets[arguments.dataset]
    backbone = params.backbones[dataset.backbone]
    extract_features(
        arguments.arrays,
        dataset.image_size,
        dataset.backbone,
        backbone,
        dataset.last_layer or backbone.last_layer,
        weights_file(arguments.backbone),
        views,
        arguments.destination,
    )


if __name__ == "__main__":
    main()
