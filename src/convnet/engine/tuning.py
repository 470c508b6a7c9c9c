"""Equal tuning: every variant of a dataset trains the same number of trials, and the validation loss chooses one."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from convnet.engine.run import run_jobs
from convnet.evaluation.metrics import log_loss
from convnet.jobs.gather import gather
from convnet.jobs.job import Job
from convnet.jobs.planning import plan_jobs
from convnet.jobs.predictions import load_predictions
from convnet.jobs.store import timing
from convnet.params.schema import Params
from convnet.params.tuning import Overrides, trials_of, with_settings
from convnet.system.errors import UserError
from convnet.system.files import read_json


def tune_variants(params: Params, arrays: Path, features: Path, backbone: Path) -> dict[str, Any]:
    """Train `tuning.trials` settings of every variant of the run, with the seed of `tuning`, and choose one each.

    Args:
        params: the whole of params.yaml.
        arrays: folder of the prepare stage.
        features: folder of the features.
        backbone: folder of the backbone's weights.

    Returns:
        By variant: chosen (its overrides) and trials (settings, validation_loss, seconds). The last two are None where
        training failed.

    Raises:
        UserError: the settings of params.yaml failed to train.
    """
    run = params.run.model_copy(update={"seeds": (params.tuning.seed,)})
    params = params.model_copy(update={"run": run}).with_numbers({})
    first = [name for name in (*run.pixel_variants, *run.feature_variants) if not params.base_of(name)]
    plan = partial(plan_jobs, arrays=arrays, features=features, backbone=backbone)
    tuned = _tune(params, first, plan)
    for start in sorted({params.start_of(name) for name in run.fine_tune_variants}):
        params = with_settings(params, {start: tuned[start]["chosen"]})
        with TemporaryDirectory(prefix="start-") as folder:
            gather(plan(params, start), Path(folder))
            going_on = partial(plan_jobs, arrays=arrays, backbone=backbone, start=Path(folder))
            of_start = [name for name in run.fine_tune_variants if params.start_of(name) == start]
            tuned |= _tune(params, [name for name in of_start if not params.base_of(name)], going_on)
    return tuned


def use_tuning(params: Params, path: Path) -> Params:
    """Return the settings with the changes that the tune stage chose for a dataset."""
    tuned = read_json(path)["variants"]
    return with_settings(params, {name: found["chosen"] for name, found in tuned.items()})


def _tune(params: Params, variants: Sequence[str], plan: Callable[[Params, str], list[Job]]) -> dict[str, Any]:
    """Train all trials of some variants in one queue."""
    settings = {name: trials_of(params, plan(params, name)[0].recipe) for name in variants}
    jobs = {
        name: [plan(with_settings(params, {name: trial}), name)[0] for trial in trials]
        for name, trials in settings.items()
    }
    try:
        run_jobs([job for of_variant in jobs.values() for job in of_variant], params)
    except UserError:
        # A trial may fail: its rate is too high. The settings of params.yaml must train.
        if not all(of_variant[0].done for of_variant in jobs.values()):
            raise
    return {name: _choose(settings[name], jobs[name]) for name in variants}


def _choose(settings: Sequence[Overrides], jobs: Sequence[Job]) -> dict[str, Any]:
    losses = [_validation_loss(job) if job.done else math.inf for job in jobs]
    best = losses.index(min(losses))
    trials: list[Mapping[str, Any]] = [
        {
            "settings": trial,
            "validation_loss": round(loss, 4) if job.done else None,
            "seconds": timing(job)["seconds_training"] if job.done else None,
        }
        for trial, job, loss in zip(settings, jobs, losses, strict=True)
    ]
    return {"chosen": settings[best], "trials": trials}


def _validation_loss(job: Job) -> float:
    seen = load_predictions(job.result / "predictions.npz")[job.seed]["validation"]
    return log_loss(seen.probabilities, seen.labels)
