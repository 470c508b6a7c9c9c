"""As many seeds as it takes, beside as many seeds for all: one study by `convnet decide`, and by one look at its end.

    CONVNET_DATA=<folder> python -m bench.correctness.decide_study --folder <new folder>

cats_vs_dogs with 200 training photographs of each class, 100 for validation and 250 for the test. Every variant trains
to its plateau. The first copy of the project runs `convnet decide`. The second trains all variants to the last look and
is judged there once, by the rule of one look. Both copies share a job store, so no seed trains twice. A stopped run
resumes when the same folder is named again. The result is bench/results/decide_study.json.
"""

import argparse
from pathlib import Path
from typing import Any

from bench.lib.material import copy_project
from bench.lib.numbers import RESULTS
from bench.lib.photographs import DATASET, settings_of, write_photographs
from bench.lib.studies import facts_of_run, line_of, minutes_of, rows_of, run_study
from convnet.comparison.schema import Verdict
from convnet.system.files import write_json

DECIDE = ("convnet", "decide", "--no-report")
TRAIN = ("convnet", "train")
KEPT = ("decision", "difference_points", "interval_points", "seeds")


def spent(project: Path, verdict: Verdict) -> dict[str, Any]:
    """Return the seeds of each variant, the jobs, and the summed minutes of training."""
    seeds = {row.variant: len(row.seeds) for row in verdict.variants}
    minutes = minutes_of(project, verdict.dataset)
    return {"seeds": seeds, "jobs": sum(seeds.values()), "minutes_of_training": round(sum(minutes.values()), 1)}


def beside(decided: Verdict, last: Verdict) -> list[dict[str, Any]]:
    """Return one row per comparison: `convnet decide` and one look at the end."""
    pairs = zip(rows_of(decided), rows_of(last), strict=True)
    return [
        {
            "variant": one["variant"],
            "against": one["against"],
            "decide": {key: one[key] for key in KEPT},
            "all": {key: other[key] for key in KEPT},
            "same": one["decision"] == other["decision"],
        }
        for one, other in pairs
    ]


def main() -> None:
    """Run both studies and write their verdicts side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for the photographs and the copies of the project")
    parser.add_argument("--looks", type=int, nargs="+", default=[3, 5, 10], help="numbers of seeds")
    parser.add_argument("--epochs", type=int, default=100, help="cap of the plateau")
    parser.add_argument("--patience", type=int, default=25, help="of the plateau, in epochs")
    parser.add_argument("--side", type=int, default=150, help="pixels of the images")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once, of one thread each")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the result file")
    arguments = parser.parse_args()
    photographs, looks = arguments.folder / "photographs", arguments.looks
    write_photographs(photographs)
    plateau = {"length": "plateau", "epochs": arguments.epochs, "patience": arguments.patience}
    rule = {f"datasets.{DATASET}.training": plateau, f"datasets.{DATASET}.transfer": plateau}
    ways = {
        "decide": (DECIDE, settings_of(photographs, looks[0], arguments.side) | rule | {"run.looks": looks}),
        "all": (TRAIN, settings_of(photographs, looks[-1], arguments.side) | rule | {"run.looks": looks[-1:]}),
    }
    # Both copies come first: a change of the code during the hours of a run would train every seed again.
    for name, (_, settings) in ways.items():
        if not (arguments.folder / name).exists():
            copy_project(arguments.folder / name, settings)
    store = arguments.folder / "decide" / ".jobs"
    verdicts = {
        name: run_study(arguments.folder / name, settings, arguments.jobs, train, store)[DATASET]
        for name, (train, settings) in ways.items()
    }
    rows = beside(verdicts["decide"], verdicts["all"])
    cost = {name: spent(arguments.folder / name, verdict) for name, verdict in verdicts.items()}
    write_json(arguments.out / "decide_study.json", {**facts_of_run(arguments), "spent": cost, "rows": rows})
    for name, verdict in verdicts.items():
        print(f"{name}: {cost[name]['jobs']} jobs, {cost[name]['minutes_of_training']} minutes of training")
        for row in rows_of(verdict):
            print(f"  {line_of(row)}, {row['seeds']} seeds")


if __name__ == "__main__":
    main()
