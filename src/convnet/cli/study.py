"""How many seeds a study of a user's own images has, and which images test it, as `convnet init` writes it."""

from typing import Any

from convnet.data.suggestions import Look
from convnet.params.schema import Params

SEEDS = 5
FEWEST_TEST_IMAGES = 200  # with fewer, a fixed test set leaves differences of 10 points open


def plan_study(look: Look, params: Params, alone: bool) -> tuple[dict[str, Any], list[str]]:
    """Return the changes of `run`, and the lines that `convnet init` prints about them.

    Args:
        look: at the images.
        params: the whole of params.yaml.
        alone: whether the dataset is the only one of the run; seeds and split are those of all datasets.
    """
    seeds = list(params.run.seeds)
    seeds += [seed for seed in range(SEEDS + len(seeds)) if seed not in seeds][: max(SEEDS - len(seeds), 0)]
    changes: dict[str, Any] = {}
    lines = []
    if alone and len(seeds) > len(params.run.seeds):
        changes["seeds"] = seeds
        lines.append(f"run.seeds is {', '.join(map(str, seeds))}: with fewer seeds, few comparisons are decided")
    test = sum(look.summary["counts"]["test"].values())
    number = len(seeds if alone else params.run.seeds)
    if test < FEWEST_TEST_IMAGES and _can_be_folds(look, params, number):
        better = f"{test} test images decide little, and with {number} folds every image is tested once"
        if alone:
            changes["split"] = "folds"
            lines.append(f"run.split is folds: {better}")
        else:
            lines.append(f"run.split is fixed for all datasets: {better}; to use them, set run.split to folds")
    return changes, lines


def _can_be_folds(look: Look, params: Params, folds: int) -> bool:
    """Return whether nothing asks for another split, and each class has a group for every fold."""
    used = look.manifest[look.manifest["verdict"] == "accepted"]
    divided = (used["official_split"] != "").any() or params.run.own_splits or params.tuning.trials
    return not divided and folds >= 3 and int(used.groupby("class")["group"].nunique().min()) >= folds
