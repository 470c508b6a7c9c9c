"""Does the interval over folds contain the truth? Train small networks on pools of images and count.

    python -m bench.correctness.simulate_folds            writes bench/results/folds_simulation.json
    python -m bench.correctness.simulate_folds --quick    a small slice, for the tests

A study is a baseline and two variants, `MLPClassifier` of scikit-learn: the baseline again with other random numbers
(true difference 0), and a narrow network. Sources are scikit-learn's 1,797 handwritten digits, and 12,000 points of two
classes. The images outside a pool give the truth. Six intervals are judged on the same studies: the larger of two
variances with the t of the folds or with twice their degrees of freedom (`comparison.folds`), images and what folds
vary beyond them, the images alone, Student's t over folds, and this t with the correction of Nadeau and Bengio (2003).

Counted per setting: how often the 95 % interval contains the true difference (at least 93 %), how often a study of
two comparisons takes any false decision after Holm's correction (at most 5 %), and how often true differences are
found.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from bench.lib.fold_studies import FoldSetting, judge, load_source, run_study
from convnet.system.files import write_json
from convnet.system.progress import progress

RESULTS = Path(__file__).parents[1] / "results" / "folds_simulation.json"
QUICK = (FoldSetting("points", 100, 5),)
SETTINGS = (
    FoldSetting("digits", 150, 5),
    FoldSetting("points", 100, 5),
    FoldSetting("digits", 300, 5),
    FoldSetting("points", 600, 5),
    FoldSetting("digits", 100, 5),
    FoldSetting("digits", 200, 3),
    FoldSetting("points", 200, 5, copies=4),
    FoldSetting("points", 200, 10),
    FoldSetting("digits", 300, 5, chosen=True),
    FoldSetting("points", 200, 5, chosen=True),
)


def simulate(settings: Sequence[FoldSetting], studies: int) -> Iterator[dict[str, Any]]:
    """Yield one row per setting, and print it."""
    for setting in settings:
        data = load_source(setting.source)
        numbers = progress(range(studies), total=studies, label=f"{setting.source} {setting.images}", unit="studies")
        with threadpool_limits(1):
            row = judge(setting, [run_study(setting, data, number) for number in numbers])
        for name, found in row["intervals"].items():
            print(f"{setting.source:8s} {setting.images:4d} {setting.folds:3d} {name:46s} {found}", flush=True)
        yield row


def main() -> None:
    """Simulate all settings and write every row."""
    parser = argparse.ArgumentParser(description="Count how often the interval over folds contains the truth.")
    parser.add_argument("--quick", action="store_true", help="one setting only")
    parser.add_argument("--studies", type=int, default=200, help="studies per setting")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file to write")
    arguments = parser.parse_args()
    command = f"python -m bench.correctness.simulate_folds --studies {arguments.studies}" + (
        " --quick" if arguments.quick else ""
    )
    rows: list[dict[str, Any]] = []
    for row in simulate(QUICK if arguments.quick else SETTINGS, arguments.studies):
        rows.append(row)
        write_json(arguments.out, {"command": command, "unit": "percent", "settings": rows})  # so far


if __name__ == "__main__":
    main()
