"""Does the program find what is known? The course's datasets at full length, with the answers that others published.

    CONVNET_DATA=<folder> python -m bench.correctness.known_answers --project <new folder>
    ... --datasets cats_vs_dogs --seeds 3 --epochs 100 --jobs 2

A copy of the project trains every variant to its plateau. A stopped run resumes when the same folder is named again.
The result is one file of bench/results/known_answers for each dataset.

Chollet, "Deep Learning with Python" (2018), sections 5.2 and 5.3, has the same 2,000 photographs and a small CNN. About
72 % are right without a remedy, 82 % with augmentation and dropout, 90 to 97 % with a pretrained network. These are
validation accuracies of one training each, so the ranges below are wide. The course reports the same order.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.lib.numbers import RESULTS
from bench.lib.studies import facts_of_run, line_of, minutes_of, rows_of, run_study
from convnet.comparison.schema import Verdict
from convnet.system.files import write_json

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


def changes(datasets: Sequence[str], seeds: int, epochs: int, patience: int) -> dict[str, Any]:
    """Return what the copy's params.yaml changes, by dotted key: plateaus for all, and heads on averaged features."""
    settings: dict[str, Any] = {
        "run.datasets": list(datasets),
        "run.seeds": list(range(seeds)),
        **{f"run.{key}": value for key, value in VARIANTS.items()},
        "run.fine_tune_variants": [],
        "robustness.images_per_split": 0,
        # The course's flat head has 38 million weights, which take most of the time and give the same accuracy.
        "transfer.pooling": "average",
    }
    plateau = {"length": "plateau", "epochs": epochs, "patience": patience}
    for name in datasets:
        settings[f"datasets.{name}.recipe"] = None
        settings[f"datasets.{name}.training"] = plateau
        settings[f"datasets.{name}.transfer"] = plateau
    return settings


def with_published(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with the published range of its comparison, where there is one, and whether it is within."""
    known = [found for found in PUBLISHED[row["dataset"]] if (found.variant, found.against) == _pair(row)]
    return {
        **row,
        "published": [{"from": found.least, "to": found.most, "source": found.source} for found in known],
        "within": all(found.least <= row["difference_points"] <= found.most for found in known),
    }


def _pair(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["variant"], row["against"]


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


def main() -> None:
    """Run the studies, compare them with the published ranges, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, required=True, help="folder of the copy; an earlier run in it goes on")
    parser.add_argument("--datasets", nargs="+", choices=list(PUBLISHED), default=list(PUBLISHED))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100, help="cap of the plateau")
    parser.add_argument("--patience", type=int, default=25, help="of the plateau, in epochs")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once, of one thread each")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the result file")
    arguments = parser.parse_args()
    settings = changes(arguments.datasets, arguments.seeds, arguments.epochs, arguments.patience)
    verdicts = run_study(arguments.project, settings, arguments.jobs)
    rows = [with_published(row) for verdict in verdicts.values() for row in rows_of(verdict)]
    held = claims(verdicts)
    for name in verdicts:
        result = {
            **facts_of_run(arguments),
            "claims": held if name == "cats_vs_dogs" else {},
            "rows": [row for row in rows if row["dataset"] == name],
            "minutes_of_training": minutes_of(arguments.project, name),
        }
        write_json(arguments.out / "known_answers" / f"{name}.json", result)
    for sentence, holds in held.items():
        print(f"{'holds' if holds else 'FAILS'}: {sentence}")
    for row in rows:
        print(line_of(row), "" if row["within"] else "OUTSIDE the published range")


if __name__ == "__main__":
    main()
