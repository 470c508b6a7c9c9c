"""Every variant of params.yaml on the default sets, and on photographs with InceptionV3: which remedy helps?

    python -m bench.correctness.all_remedies --folder <new folder>
    CONVNET_DATA=<folder> python -m bench.correctness.all_remedies --folder <new folder> --images photographs

The photographs are those of fair_study: 200 training images of each class of cats_vs_dogs. A copy of the project runs
all variants and draws its page. Variants that ensembles join have as many more seeds as each ensemble joins. A stopped
run resumes when the same folder is named again. The result is bench/results/all_remedies_<images>.json.
"""

import argparse
import os
import subprocess
from pathlib import Path
from typing import Any

from bench.lib.material import PROJECT, copy_project, run_environment
from bench.lib.numbers import RESULTS
from bench.lib.photographs import DATASET, settings_of, write_photographs
from bench.lib.studies import facts_of_run, line_of, minutes_of, rows_of, run_study
from convnet.params.load import load_params
from convnet.params.recipe import FineTuneRecipe, HeadRecipe, resolve
from convnet.params.schema import Params
from convnet.params.seeds import write_numbers
from convnet.system.files import write_json

# Trained to the plateau, as photographs need it; most variants end before the cap.
PLATEAU = {"length": "plateau", "epochs": 60, "patience": 15}


def lists_of_variants(params: Params, dataset: str, without: tuple[str, ...]) -> dict[str, Any]:
    """Return the lists of `run` that name every variant of params.yaml but a few, by dotted key."""
    lists: dict[str, list[str]] = {"pixel": [], "feature": [], "fine_tune": []}
    for variant in params.variants:
        if variant in without:
            continue
        recipe = resolve(params, dataset, variant)
        kind = "fine_tune" if isinstance(recipe, FineTuneRecipe) else "feature"
        lists[kind if isinstance(recipe, HeadRecipe | FineTuneRecipe) else "pixel"].append(variant)
    return {f"run.{kind}_variants": names for kind, names in lists.items()}


def settings_for(images: str, folder: Path, seeds: int) -> dict[str, Any]:
    """Return the changes of params.yaml, by dotted key."""
    params = load_params(PROJECT / "params.yaml")
    shared = {"run.seeds": list(range(seeds)), "run.looks": []}
    if images == "default":
        return shared | lists_of_variants(params, params.run.datasets[0], ())
    photographs = folder / "photographs"
    write_photographs(photographs)
    # Here every head is on averaged features, so transfer_average would be transfer. A plateau excludes the other two.
    without = ("transfer_average", "early_stopping", "cosine_decay")
    names = lists_of_variants(params, "cats_vs_dogs", without)
    plateau = {f"datasets.{DATASET}.training": PLATEAU, f"datasets.{DATASET}.transfer": PLATEAU}
    return shared | settings_of(photographs, seeds) | plateau | names


def raise_seeds(project: Path, seeds: int) -> None:
    """Write to seeds.yaml of a copy how many seeds ensembles need, for as many ensembles as others have seeds."""
    params = load_params(project / "params.yaml")
    needed: dict[str, int] = {}
    for variant in params.run.variants:
        trained, count = params.trained_for(variant, seeds)
        needed[trained] = max(count, needed.get(trained, 0))
    more = {variant: count for variant, count in needed.items() if count > seeds}
    write_numbers(dict.fromkeys(params.run.datasets, more), project / "seeds.yaml")


def main() -> None:
    """Run the study, draw its page, and write its verdicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for the photographs and the copy of the project")
    parser.add_argument("--images", choices=("default", "photographs"), default="default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="processes at once, of one thread each")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the result file")
    arguments = parser.parse_args()
    project = arguments.folder / f"project-{arguments.images}"
    if not project.exists():
        copy_project(project, settings_for(arguments.images, arguments.folder, arguments.seeds))
        raise_seeds(project, arguments.seeds)
    verdicts = run_study(project, {}, arguments.jobs)
    subprocess.run(["dvc", "repro"], cwd=project, env=os.environ | run_environment(project), check=True)
    rows = [row for verdict in verdicts.values() for row in rows_of(verdict)]
    minutes = {name: minutes_of(project, name) for name in verdicts}
    result = {**facts_of_run(arguments), "rows": rows, "minutes_of_training": minutes}
    write_json(arguments.out / f"all_remedies_{arguments.images}.json", result)
    for row in rows:
        print(line_of(row))


if __name__ == "__main__":
    main()
