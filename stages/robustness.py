"""Stage robustness: measure every model of a dataset on perturbed copies of its validation and test images."""

import argparse
from pathlib import Path

from convnet.params.load import load_params
from convnet.system.errors import command
from convnet.system.files import write_json


@command
def main() -> None:
    """Measure and write the rows, unless params.yaml switches it off."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("arrays", type=Path, help="folder of the prepare stage")
    parser.add_argument("models", type=Path, help="folder that holds one folder per variant")
    parser.add_argument("destination", type=Path, help="JSON to write")
    arguments = parser.parse_args()
    params = load_params()
    if params.robustness.images_per_split == 0:
        write_json(arguments.destination, {"dataset": arguments.dataset, "rows": []})
        return
    # Imported late, because it costs seconds.
    from convnet.backend.device import configure_device

    configure_device(threads=params.engine.threads_per_job, precision="float32")
    from convnet.analysis.robustness import measure_robustness

    models = {
        variant: [arguments.models / variant / f"seed-{seed}.keras" for seed in params.run.seeds]
        for variant in params.run.variants
    }
    rows = measure_robustness(arguments.arrays, models, params.robustness.images_per_split, params.split.seed)
    write_json(arguments.destination, {"dataset": arguments.dataset, "rows": rows})


if __name__ == "__main__":
    main()
