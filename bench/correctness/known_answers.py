"""Does the program find what is known? The course's datasets at full length, with the answers that others published.

    CONVNET_DATA=<folder> python -m bench.correctness.known_answers --project <new folder>
    ... --datasets cats_vs_dogs --seeds 3 --epochs 100 --jobs 2

A copy of the project trains every variant to its plateau. A stopped run resumes when the same folder is named again.
The result is bench/results/known_answers.json.

Chollet, "Deep Learning with Python" (2018), sections 5.2 and 5.3, has the same 2,000 photographs and a small CNN. About
72 % are right without a remedy, 82 % with augmentation and dropout, 90 to 97 % with a pretrained network. These are
validation accuracies of one training each, so the ranges below are wide. The course reports the same order.
"""

import argparse
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.lib.material import copy_project, run_environment
from bench.lib.numbers import MACHINE, RESULTS, command_of
from convnet.backend.machine import machine_facts
from convnet.comparison.schema import Comparison, Verdict, read_verdicts
from convnet.system.files import read_json, write_json

VARIANTS = {"pixel_variants": ["baseline", "augmented"], "feature_variants": ["transfer", "transfer_dropout"]}


class Range(NamedTuple):
    """A published gain, in points of accuracy."""

    variant: str
    against: str
    least: float
    most: float
    source: str


BOOK = "Chollet 2018, sections 5.2 and 5.3"
COURSE = "the course's notebooks"
PUBLISHED: dict[str, list[Range]] = {
    "cats_vs_dogs": [
        Range("augmented", "baseline", 3.0, 14.0, BOOK),
        Range("transfer", "baseline", 15.0, 30.0, BOOK),
        Range("transfer_dropout", "transfer", -2.0, 2.0, COURSE),
    ],
    # Rendered images, whose test images look unlike the training images.
    "horses_or_humans": [
        Range("transfer", "baseline", 2.0, 35.0, COURSE),
        Range("transfer_dropout", "transfer", -2.0, 2.0, COURSE),
    ],
    "rock_paper_scissors": [
        Range("transfer", "baseline", 2.0, 45.0, COURSE),
        Range("transfer_dropout", "transfer", -5.0, 5.0, COURSE),
    ],
}


def changes(datasets: Sequence[str], seeds: int, epochs: int) -> dict[str, Any]:
    """Return what the copy's params.yaml changes, by dotted key: every variant trains to its plateau."""
    settings: dict[str, Any] = {
        "run.datasets": list(datasets),
        "run.seeds": list(range(seeds)),
        **{f"run.{key}": value for key, value in VARIANTS.items()},
        "run.fine_tune_variants": [],
        "robustness.images_per_split": 0,
    }
    for name in datasets:
        settings[f"datasets.{name}.recipe"] = None
        settings[f"datasets.{name}.training"] = {"length": "plateau", "epochs": epochs}
        settings[f"datasets.{name}.transfer"] = {"length": "plateau", "epochs": epochs}
    return settings


def row_of(comparison: Comparison, verdict: Verdict) -> dict[str, Any]:
    """Return a comparison in points, with the published range where there is one, and whether it is within."""
    accuracy = {summary.variant: summary.accuracy for summary in verdict.variants}
    published = [
        known
        for known in PUBLISHED[verdict.dataset]
        if (known.variant, known.against) == (comparison.variant, comparison.baseline)
    ]
    points = 100 * comparison.mean
    return {
        "dataset": verdict.dataset,
        "kind": verdict.kind,
        "variant": comparison.variant,
        "against": comparison.baseline,
        "accuracy": round(accuracy[comparison.variant].mean, 4),
        "accuracy_of_the_other": round(accuracy[comparison.baseline].mean, 4),
        "difference_points": round(points, 1),
        "interval_points": [round(100 * bound, 1) for bound in comparison.interval],
        "decision": comparison.decision,
        "n_test": verdict.n_test,
        "published": [{"from": known.least, "to": known.most, "source": known.source} for known in published],
        "within": all(known.least <= points <= known.most for known in published),
    }


def claims(verdicts: Mapping[str, Verdict]) -> dict[str, bool]:
    """Return what must hold on cats_vs_dogs, by sentence."""
    verdict = verdicts.get("cats_vs_dogs")
    if verdict is None:
        return {}
    by_pair = {(found.variant, found.baseline): found for found in verdict.comparisons}
    augmented, transfer = by_pair["augmented", "baseline"], by_pair["transfer", "baseline"]
    dropout = by_pair["transfer_dropout", "transfer"]
    return {
        "augmentation helps": augmented.decision == "helps",
        "transfer helps": transfer.decision == "helps",
        "transfer helps more than augmentation": transfer.mean > augmented.mean,
        "dropout on the transfer head neither helps nor hurts": dropout.decision not in ("helps", "hurts"),
    }


def minutes_of(project: Path, dataset: str) -> dict[str, float]:
    """Return the summed minutes of the jobs of each variant of a dataset."""
    files = sorted((project / "models" / dataset).glob("*/timing.json"))
    return {
        file.parent.name: round(sum(job["seconds_training"] for job in read_json(file).values()) / 60, 1)
        for file in files
    }


def main() -> None:
    """Run the studies, compare them with the published ranges, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, required=True, help="folder of the copy; an earlier run in it goes on")
    parser.add_argument("--datasets", nargs="+", choices=list(PUBLISHED), default=list(PUBLISHED))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100, help="cap of the plateau")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once, of one thread each")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the result file")
    arguments = parser.parse_args()
    settings = changes(arguments.datasets, arguments.seeds, arguments.epochs)
    project = arguments.project
    environment = run_environment(project) if project.exists() else copy_project(project, settings)
    variables = os.environ | environment
    subprocess.run(["git", "init", "--quiet"], cwd=project, env=variables, check=True)
    subprocess.run(["convnet", "train", "--jobs", str(arguments.jobs)], cwd=project, env=variables, check=True)
    subprocess.run(["dvc", "repro", "compare"], cwd=project, env=variables, check=True)
    verdicts = read_verdicts(project / "reports" / "tables" / "verdict.json")
    machine = machine_facts()
    rows = [row_of(comparison, verdict) for verdict in verdicts.values() for comparison in verdict.comparisons]
    held = claims(verdicts)
    result = {
        "command": command_of(arguments),
        "machine": {key: value for key, value in machine.items() if key in MACHINE},
        "versions": {key: value for key, value in machine.items() if key not in MACHINE},
        "claims": held,
        "rows": rows,
        "minutes_of_jobs": {name: minutes_of(project, name) for name in verdicts},
    }
    write_json(arguments.out / "known_answers.json", result)
    for sentence, holds in held.items():
        print(f"{'holds' if holds else 'FAILS'}: {sentence}")
    for row in rows:
        low, high = row["interval_points"]
        print(
            f"{row['dataset']} ({row['kind']}), {row['variant']} against {row['against']}: "
            f"{row['difference_points']:+.1f} ({low:+.1f} to {high:+.1f}), {row['decision']}"
        )


if __name__ == "__main__":
    main()
