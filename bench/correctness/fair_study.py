"""One study by three rules: fixed lengths, plateaus, and plateaus with equal tuning.

    CONVNET_DATA=<folder> python -m bench.correctness.fair_study --folder <new folder>

cats_vs_dogs with 200 training photographs of each class, 100 for validation and 250 for the test. Three copies of the
project run the same variants and seeds. A stopped run resumes when the same folder is named again.
The result is bench/results/fair_study.json.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.lib.material import REAL_ARCHIVE
from bench.lib.numbers import RESULTS
from bench.lib.studies import facts_of_run, line_of, minutes_of, rows_of, run_study
from convnet.data.archives import open_archive
from convnet.data.sources import data_folder
from convnet.system.files import read_json, write_json

# By split: the archive's own folder, and the range of images per class taken from it in the order of names.
PARTS = {"train": ("train", 0, 200), "validation": ("train", 200, 300), "test": ("validation", 0, 250)}
CLASSES = ("cats", "dogs")
PLATEAU = {"length": "plateau", "epochs": 100, "patience": 25}
COURSE = {"training.epochs": 15, "transfer.epochs": 20}


def write_photographs(folder: Path) -> None:
    """Write the photographs of the study as `<split>/<class>/<file>`."""
    archives = data_folder()
    if archives is None:
        raise SystemExit("CONVNET_DATA is not set; name the folder that holds the course's archives")
    with open_archive(archives / REAL_ARCHIVE) as archive:
        contents = {
            name: data for name, data in archive.read_all() if isinstance(data, bytes) and name.endswith(".jpg")
        }
    for split, (part, first, end) in PARTS.items():
        for class_name in CLASSES:
            names = sorted(name for name in contents if f"/{part}/{class_name}/" in f"/{name}")
            for name in names[first:end]:
                path = folder / split / class_name / Path(name).name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(contents[name])


def settings_of(photographs: Path, seeds: int, rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes of params.yaml, by dotted key."""
    return {
        "run.datasets": ["cats200"],
        "run.seeds": list(range(seeds)),
        "run.pixel_variants": ["baseline", "augmented", "dropout"],
        "run.feature_variants": ["transfer", "transfer_dropout"],
        "run.fine_tune_variants": [],
        "datasets.cats200": {
            "kind": "photographs",
            "source": {"folder": str(photographs.resolve())},
            "image_size": [150, 150],
            "backbone": "inception_v3",
        },
        **rule,
    }


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
    if not photographs.exists():
        write_photographs(photographs)
    plateau = {"datasets.cats200.training": PLATEAU, "datasets.cats200.transfer": PLATEAU}
    rules: dict[str, dict[str, Any]] = {
        "fixed": COURSE,
        "plateau": plateau,
        "plateau and tuning": plateau | {"tuning": {"trials": arguments.trials, "seed": 1000}},
    }
    studies = {}
    for name, rule in rules.items():
        project = arguments.folder / name.replace(" ", "-")
        verdicts = run_study(project, settings_of(photographs, arguments.seeds, rule), arguments.jobs)
        rows = rows_of(verdicts["cats200"])
        tuned = read_json(project / "data" / "tuning" / "cats200.json")["variants"]
        studies[name] = {
            "rows": rows,
            "chosen": {variant: found["chosen"] for variant, found in tuned.items()},
            "minutes_of_training": minutes_of(project, "cats200"),
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
