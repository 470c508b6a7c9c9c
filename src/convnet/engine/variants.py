"""All variants of one dataset: train in one queue, and keep the folders of variants that did not change."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from convnet.engine.run import run_jobs
from convnet.jobs.gather import gather, holds
from convnet.jobs.job import Job
from convnet.jobs.planning import plan_jobs
from convnet.params.schema import Params


def train_variants(params: Params, arrays: Path, features: Path, backbone: Path, destination: Path) -> None:
    """Make `destination/<variant>` for every variant of the run, and delete the folders of other variants.

    Args:
        params: the whole of params.yaml.
        arrays: folder of the prepare stage.
        features: folder of the features.
        backbone: folder of the backbone's weights.
        destination: one folder per variant; those of an earlier run stay where their jobs are the same.

    Raises:
        UserError: at least one job failed. The others have their results in the job store.
    """
    for folder in destination.glob("*"):
        if folder.name not in params.run.variants:
            shutil.rmtree(folder)
    first = params.run.pixel_variants + params.run.feature_variants
    planned = {name: plan_jobs(params, name, arrays, features=features, backbone=backbone) for name in first}
    _make(planned, params, destination)
    starts = {name: destination / params.start_of(name) for name in params.run.fine_tune_variants}
    planned = {name: plan_jobs(params, name, arrays, backbone=backbone, start=path) for name, path in starts.items()}
    _make(planned, params, destination)


def _make(planned: Mapping[str, Sequence[Job]], params: Params, destination: Path) -> None:
    changed = {name: jobs for name, jobs in planned.items() if not holds(destination / name, jobs)}
    run_jobs([job for jobs in changed.values() for job in jobs], params)
    for name, jobs in changed.items():
        shutil.rmtree(destination / name, ignore_errors=True)
        gather(jobs, destination / name)
