"""How long a study of a user's own images takes, and what equal tuning adds, as `convnet init` prints it."""

from collections.abc import Mapping
from pathlib import Path

from convnet.engine.forecast import Work, duration, forecast
from convnet.engine.run import parallel_processes
from convnet.params.edit import write_dataset
from convnet.params.load import load_params
from convnet.params.recipe import BackboneRecipe, resolve
from convnet.params.schema import Params

TRIALS = (16, 8, 4)  # powers of 2, at which Sobol points are even
LEAST_BUDGET = 600.0  # seconds; tuning may take as long as the study, or this if the study is short
LONGEST_FINE_TUNING = 3600.0  # seconds for all its seeds; a network of ImageNet takes hours on a processor


def time_lines(params: Params, dataset: str, counts: Mapping[str, int]) -> list[str]:
    """Return a line on the time of the study, and one that proposes trials of tuning where they fit in.

    A variant that trains to a plateau counts with its cap of epochs. Features are not in these times.

    Args:
        params: with the dataset.
        dataset: its name.
        counts: images by split.
    """
    works = [_work(params, dataset, variant, counts) for variant in params.run.variants]
    study = _seconds(params, works, len(params.run.seeds))
    if study is None:
        return []
    jobs = len(works) * len(params.run.seeds)
    lines = [f"time for training: {jobs} jobs, at most roughly {duration(study)} on this machine"]
    if params.run.own_splits or params.tuning.trials:
        return lines
    for trials in TRIALS:
        tuning = _seconds(params, works, trials)
        if tuning is not None and tuning <= max(study, LEAST_BUDGET):
            more = f"{trials} trials of each variant take at most roughly {duration(tuning)} more"
            return [*lines, f"equal tuning is off: {more}; to use them, set tuning.trials to {trials}"]
    return lines


def drop_slow_fine_tuning(path: Path, dataset: str, counts: Mapping[str, int]) -> list[str]:
    """Take the fine-tuned variants out of the run in params.yaml if they take too long; return the line on it."""
    params = load_params(path)
    works = [_work(params, dataset, variant, counts) for variant in params.run.fine_tune_variants]
    seconds = _seconds(params, works, len(params.run.seeds))
    if not works or seconds is None or seconds <= LONGEST_FINE_TUNING:
        return []
    write_dataset(path, dataset, {}, {"fine_tune_variants": []})
    names = ", ".join(params.run.fine_tune_variants)
    return [f"run.fine_tune_variants is empty: {names} takes up to {duration(seconds)}; to train it, name it there"]


def _seconds(params: Params, works: list[Work], times: int) -> float | None:
    many = works * times
    return forecast(many, parallel_processes(params, len(many))).total


def _work(params: Params, dataset: str, variant: str, counts: Mapping[str, int]) -> Work:
    recipe = resolve(params, dataset, variant)
    backbone = params.backbones[recipe.backbone] if isinstance(recipe, BackboneRecipe) else None
    threads = params.engine.threads_per_job
    return Work(recipe, counts["train"], counts["validation"], counts["test"], threads, backbone)
