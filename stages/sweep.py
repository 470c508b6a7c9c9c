"""Stage sweep: train chosen variants on nested subsets of the training images."""

import argparse
from pathlib import Path

from convnet.engine.run import run_jobs
from convnet.evaluation.learning_curve import summarise_sweep
from convnet.jobs.planning import plan_jobs
from convnet.params.load import load_params
from convnet.system.errors import command
from convnet.system.files import write_json


@command
def main() -> None:
    """Parse arguments and run the sweep, if params.yaml switches it on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("arrays", type=Path, help="folder of the prepare stage")
    parser.add_argument("features", type=Path, help="folder of the features stage")
    parser.add_argument("backbone", type=Path, help="folder of the backbone stage")
    parser.add_argument("destination", type=Path, help="JSON to write")
    arguments = parser.parse_args()
    params = load_params().with_numbers({})  # all sizes with the same seeds
    jobs = {
        variant: [
            job
            for share in params.sweep.shares
            for job in plan_jobs(
                params,
                variant,
                arguments.arrays,
                features=arguments.features,
                backbone=arguments.backbone,
                share=share,
            )
        ]
        for variant in params.swept(arguments.dataset)
    }
    if jobs:
        run_jobs([job for of_variant in jobs.values() for job in of_variant], params)
    rendered = params.dataset(arguments.dataset).kind == "rendered"
    write_json(arguments.destination, {"dataset": arguments.dataset, "variants": summarise_sweep(jobs, rendered)})


if __name__ == "__main__":
    main()
