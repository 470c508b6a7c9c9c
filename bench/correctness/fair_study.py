"""One study by three rules: fixed lengths, plateaus, and plateaus with equal tuning.

    CONVNET_DATA=<folder> python -m bench.correctness.fair_study --folder <new folder>

cats_vs_dogs with 200 training photographs of each class, 100 for validation and 250 for the test. Three copies of the
project run the same variants and seeds, and share a store of finished jobs. A stopped run resumes when the same folder
is named again. The result is bench/results/fair_study.json.
"""

import argparse
from pathlib import Path
from typing import Any

from bench.lib.numbers import RESULTS
from bench.lib.photographs import DATASET, settings_of, write_photographs
from bench.lib.studies import facts_of_run, line_of, minutes_of, rows_of, run_study
from convnet.system.files import read_json, write_json

PLATEAU = {"length": "plateau", "epochs": 100, "patience": 25}
COURSE = {"training.epochs": 15, "transfer.epochs": 20}


def main() -> None:
    """Run the three studies and write their verdicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for the photographs and the copies of the project")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=6, help="of the tuned study, per variant")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once, of one thread each")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the result file")
    arguments = parser.parse_args()
    photographs = arguments.folder / "photographs"
    write_photographs(photographs)
    plateau = {f"datasets.{DATASET}.training": PLATEAU, f"datasets.{DATASET}.transfer": PLATEAU}
    rules: dict[str, dict[str, Any]] = {
        "fixed": COURSE,
        "plateau": plateau,
        "plateau and tuning": plateau | {"tuning": {"trials": arguments.trials, "seed": 1000}},
    }
    studies = {}
    for name, rule in rules.items():
        project = arguments.folder / name.replace(" ", "-")
        settings, store = settings_of(photographs, arguments.seeds) | rule, arguments.folder / "jobs"
        verdicts = run_study(project, settings, arguments.jobs, store=store)
        rows = rows_of(verdicts[DATASET])
        tuned = read_json(project / "data" / "tuning" / f"{DATASET}.json")["variants"]
        studies[name] = {
            "rows": rows,
            "chosen": {variant: found["chosen"] for variant, found in tuned.items()},
            "minutes_of_training": minutes_of(project, DATASET),
            "minutes_of_tuning": {
                variant: round(sum(trial["seconds"] or 0.0 for trial in found["trials"]) / 60, 1)
                for variant, found in tuned.items()
            },
        }
        print(name)
        for row in rows:
            print(" ", line_of(row))
    write_json(arguments.out / "fair_study.json", {**facts_of_run(arguments), "studies": studies})


if __name__ == "__main__":
    main()
