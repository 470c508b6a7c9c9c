"""Which looks and how many test images decide a study? Simulate it from the spreads of its own evaluations.

    python -m bench.correctness.plan_looks            writes bench/results/planned_looks.json

Spreads come from the evaluations of an earlier run. The variance between seeds is pooled over all variants of a kind of
network, because three seeds of one variant show little of it. That of the images comes from each comparison. The true
differences are the measured ones. A simulated study trains on with the open comparisons until the last look. Printed
for each plan: how often each remedy is decided, the mean number of seeds of each variant, and how many comparisons of
more than 4 points stay open.
"""

import argparse
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.lib.verdict_studies import SEED
from convnet.comparison.decisions import MARGIN
from convnet.comparison.looks import decide_in_looks
from convnet.comparison.paired import compare, correct
from convnet.comparison.random_effects import Estimate, crossed_estimate, separate_estimate
from convnet.evaluation.schema import Evaluation, read_evaluation
from convnet.params.load import load_params
from convnet.params.schema import Params
from convnet.system.files import write_json

RESULTS = Path(__file__).parents[1] / "results" / "planned_looks.json"
PLANS = ((3,), (3, 5), (3, 5, 10), (4, 8), (5,), (5, 8), (5, 10), (6,), (8,))
TIMES = (1, 2, 4, 6)  # the test images of the evaluations
CLEAR = 0.04  # differences above this should be decided


@dataclass(frozen=True)
class Spread:
    """One comparison: its difference and its variances, of one entry of a table."""

    variant: str
    other: str
    difference: float
    seeds: tuple[float, float]  # variance between seeds of the variant and of the other
    unit: float
    rest: float
    paired: bool


def spreads(params: Params, evaluations: Mapping[str, Evaluation], between: Mapping[bool, float]) -> list[Spread]:
    """Return the spreads of every comparison of a dataset.

    Args:
        params: names the comparisons.
        evaluations: by variant.
        between: variance between seeds, by whether there is a backbone.
    """
    found = []
    for name, evaluation in evaluations.items():
        for other in params.against(name) if name != "baseline" else ():
            difference = compare(evaluations[other], evaluation, "accuracy")
            parts = difference.components
            assert parts is not None
            seeds = tuple(between[evaluations[of].backbone is not None] for of in (name, other))
            if difference.paired and evaluation.backbone is not None:
                seeds = (parts.seed, 0.0)  # heads on one set of features share more than the start of a seed
            unit, rest = parts.unit, parts.rest
            found.append(Spread(name, other, difference.estimate.mean, seeds, unit, rest, difference.paired))  # type: ignore[arg-type]
    return found


def between_seeds(evaluations: Sequence[Evaluation]) -> dict[bool, float]:
    """Return the variance of the accuracy between seeds beyond chance image by image, pooled by kind of network."""
    found: dict[bool, list[float]] = defaultdict(list)
    for evaluation in evaluations:
        table = np.stack([correct(run) for run in evaluation.seeds])
        _, parts = crossed_estimate(table)
        assert parts is not None
        found[evaluation.backbone is not None].append(parts.seed)
    return {kind: float(np.mean(values)) for kind, values in found.items()}


def estimate(spread: Spread, tables: Sequence[npt.NDArray[np.float64]], seeds: int) -> Estimate:
    """Return the estimate from the first seeds of the tables of the variant and the other."""
    variant, other = (table[:seeds] for table in tables)
    return (crossed_estimate(variant - other) if spread.paired else separate_estimate(variant, other))[0]


def draw(spread: Spread, seeds: int, images: int, random: np.random.Generator) -> list[npt.NDArray[np.float64]]:
    """Return (seeds, images) of the variant and of the other, as normal numbers."""
    unit = np.sqrt(spread.unit) * random.standard_normal(images)
    means = (spread.difference + unit, np.zeros(images))
    return [
        mean + np.sqrt(variance) * random.standard_normal((seeds, 1))
        + np.sqrt(spread.rest / 2) * random.standard_normal((seeds, images))
        for mean, variance in zip(means, spread.seeds, strict=True)
    ]  # fmt: skip


def simulate(rows: Sequence[Spread], looks: Sequence[int], images: int, studies: int) -> dict[str, Any]:
    """Return how often each comparison is decided, and the seeds that the variants need."""
    random = np.random.default_rng([SEED, 5, images, *looks])
    decided: dict[str, int] = defaultdict(int)
    seeds: dict[str, int] = defaultdict(int)
    undecided = 0
    for _ in range(studies):
        drawn = [draw(row, looks[-1], images, random) for row in rows]
        table = [[estimate(row, tables, look) for row, tables in zip(rows, drawn, strict=True)] for look in looks]
        standings = decide_in_looks(table, MARGIN)
        used: dict[str, int] = defaultdict(int)
        for row, (look, found) in zip(rows, standings, strict=True):
            assert look is not None
            for name in (row.variant, row.other):
                used[name] = max(used[name], looks[look])
            decided[row.variant] += found.decision != "not decided"
            undecided += abs(row.difference) > CLEAR and found.decision == "not decided"
        for name, number in used.items():
            seeds[name] += number
    share = {name: round(100 * count / studies, 1) for name, count in decided.items()}
    means = {name: round(total / studies, 2) for name, total in seeds.items()}
    return {"decided": share, "seeds": means, "clear_but_open": round(undecided / studies, 2)}


def main() -> None:
    """Simulate every plan for every dataset."""
    parser = argparse.ArgumentParser(description="Choose looks and test images from the spreads of a run.")
    parser.add_argument("evaluations", type=Path, nargs="?", default=Path("data/evaluations"))
    parser.add_argument("--studies", type=int, default=300, help="simulated studies per plan")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if not arguments.evaluations.is_dir():
        parser.exit(0, f"{arguments.evaluations} is missing: run `make repro` first\n")
    params = load_params()
    read = {
        dataset: {v: read_evaluation(arguments.evaluations / dataset / "variants" / f"{v}.json")
                  for v in params.run.variants}
        for dataset in params.run.datasets
    }  # fmt: skip
    between = between_seeds([evaluation for of_dataset in read.values() for evaluation in of_dataset.values()])
    results: list[dict[str, Any]] = []
    for dataset, evaluations in read.items():
        rows = spreads(params, evaluations, between)
        images = len(evaluations["baseline"].seeds[0].test_labels)
        for looks, times in itertools.product(PLANS, TIMES):
            found = simulate(rows, looks, times * images, arguments.studies)
            results.append({"dataset": dataset, "looks": looks, "test_images": times * images, **found})
            print(dataset, looks, times * images, found, flush=True)
    facts = {
        "command": f"python -m bench.correctness.plan_looks --studies {arguments.studies}",
        "unit": "percent of studies; numbers of seeds",
        "between_seeds": {"pixels": between[False], "backbone": between[True]},
    }
    write_json(arguments.out, facts | {"plans": results})


if __name__ == "__main__":
    main()
