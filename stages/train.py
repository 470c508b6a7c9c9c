"""Stages train, transfer and fine_tune: train one variant on one dataset, one job per seed."""

import argparse
from pathlib import Path

from convnet.engine.run import run_jobs
from convnet.jobs.gather import gather
from convnet.jobs.planning import plan_jobs
from convnet.params.load import load_params
from convnet.system.errors import command


@command
def main() -> None:
    """Run the jobs that have no result yet, and gather all results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", required=True)
    parser.add_argument("--features", type=Path, help="folder of the features stage, for a feature variant")
    parser.add_argument("--backbone", type=Path, help="folder of the backbone stage, for a variant with a backbone")
    parser.add_argument("--start", type=Path, help="folder of the variant that fine-tuning starts from")
    parser.add_argument("arrays", type=Path, help="folder of the prepare stage")
    parser.add_argument("destination", type=Path, help="folder for models, history and predictions")
    arguments = parser.parse_args()
    params = load_params()
    jobs = plan_jobs(
        params,
        arguments.variant,
        arguments.arrays,
        features=arguments.features,
        backbone=arguments.backbone,
        start=arguments.start,
    )
    run_jobs(jobs, params)
    gather(jobs, arguments.destination)


if __name__ == "__main__":
    main()
