r"""The numbers of all evaluations as long tables: CSV for `dvc plots` and spreadsheets, and rows for the page.

Every table opens with the columns dataset, variant and images ("rendered" or "photographs"). `cost.csv` alone holds
measured seconds, which differ from run to run; all other files are byte-identical for equal evaluations.

Class and file names come from a user's archive, and a spreadsheet runs a cell that begins like a formula. The rule for
text cells, which `csv_text` applies: control characters are written as escapes (`\t`, `\n`), and a text whose first
visible character is one of = + - @ (also full-width) or ' gets one ' in front. Numbers are never touched, so -0.1 stays
a number. Reference: OWASP, "CSV Injection". `dvc plots show` puts the texts into a script element of its page as they
are, which `</script` would end and `<!--<script` would never end: there the < is written as an escape (`\x3c`).
Reference: HTML standard, "Restrictions for contents of script elements".
"""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convnet.comparison.statistics import t_interval, wilson_interval
from convnet.data.splits import SPLITS
from convnet.system.csv_cells import safe_text
from convnet.system.files import write_text

Evaluation = Mapping[str, Any]
Cell = str | int | float | None

KEY = ("dataset", "variant", "kind")
DECIMALS = 6
TOP_LOSSES = 20  # images per variant


@dataclass(frozen=True)
class Table:
    """Named columns and rows of cells; None is an empty cell."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def write_tables(evaluations: Sequence[Evaluation], folder: Path) -> None:
    """Write all tables as CSV into `folder`.

    Args:
        evaluations: contents of `data/evaluations/<dataset>-<variant>.json`, in the order wanted in the tables.
        folder: gets variants.csv, summary.csv, history.csv, confusion.csv, reliability.csv, top_losses.csv, cost.csv.
    """
    tables = {
        "variants": variants_table(evaluations),
        "summary": summary_table(evaluations),
        "history": history_table(evaluations),
        "confusion": confusion_table(evaluations),
        "reliability": reliability_table(evaluations),
        "top_losses": top_losses_table(evaluations),
        "cost": cost_table(evaluations),
    }
    for name, table in tables.items():
        write_text(folder / f"{name}.csv", csv_text(table))


def csv_text(table: Table) -> str:
    """Return `table` as CSV (RFC 4180, but lines end in a bare newline), its text cells made safe."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([[_csv_cell(cell) for cell in row] for row in table.rows])
    return buffer.getvalue()


def variants_table(evaluations: Sequence[Evaluation]) -> Table:
    """One row per dataset x variant x seed: the metrics of the saved model in inference mode.

    `gap` is accuracy(train) - accuracy(validation).
    """
    metrics = ("accuracy", "loss", "balanced_accuracy", "macro_f1", "calibration_error")
    columns = (
        *KEY,
        "seed",
        *(f"{split}_{metric}" for metric in ("accuracy", "loss") for split in reversed(SPLITS)),
        *(f"test_{metric}" for metric in metrics[2:]),
        "gap",
        "validation_loss_rise",
        "best_epoch",
        "epochs",
        "parameters",
        "trainable_parameters",
        "model_bytes",
    )
    rows = []
    for evaluation in evaluations:
        for run in evaluation["seeds"]:
            splits = run["splits"]
            rows.append(
                (
                    *_key(evaluation),
                    run["seed"],
                    *(splits[split][metric] for metric in metrics[:2] for split in reversed(SPLITS)),
                    *(splits["test"][metric] for metric in metrics[2:]),
                    run["generalisation_gap"],
                    run["validation_loss_rise"],
                    run["best_epoch"],
                    run["epochs"],
                    evaluation["parameters"],
                    evaluation["trainable_parameters"],
                    evaluation["model_bytes"],
                )
            )
    return Table(columns, tuple(rows))


def summary_table(evaluations: Sequence[Evaluation]) -> Table:
    """One row per dataset x variant: means over seeds, and how far they can be trusted.

    Two intervals at 95 % answer two questions. The t interval of the mean (over seeds) bounds the mean accuracy of all
    possible seeds, cut off at 0 and 1; it is empty with one seed. The Wilson interval of the mean accuracy on n test
    images bounds the accuracy expected on all such images, of which the test set is a sample; n is not multiplied
    by the seeds, which share the images.
    """
    columns = (
        *KEY,
        "seeds",
        "test_n",
        "test_accuracy",
        "test_accuracy_sd",
        "interval_low",
        "interval_high",
        "wilson_low",
        "wilson_high",
        "validation_accuracy",
        "train_accuracy",
        "gap",
        "gap_sd",
        "test_loss",
        "calibration_error",
        "parameters",
        "trainable_parameters",
        "model_bytes",
    )
    rows = []
    for evaluation in evaluations:
        test = split_values(evaluation, "test", "accuracy")
        n = min(run["splits"]["test"]["n"] for run in evaluation["seeds"])
        gaps = [float(run["generalisation_gap"]) for run in evaluation["seeds"]]
        rows.append(
            (
                *_key(evaluation),
                len(test),
                n,
                mean(test),
                deviation(test),
                *(np.clip(interval, 0.0, 1.0).tolist() if (interval := t_interval(test)) else (None, None)),
                *wilson_interval(mean(test), n),
                mean(split_values(evaluation, "validation", "accuracy")),
                mean(split_values(evaluation, "train", "accuracy")),
                mean(gaps),
                deviation(gaps),
                mean(split_values(evaluation, "test", "loss")),
                mean(split_values(evaluation, "test", "calibration_error")),
                evaluation["parameters"],
                evaluation["trainable_parameters"],
                evaluation["model_bytes"],
            )
        )
    return Table(columns, tuple(rows))


def history_table(evaluations: Sequence[Evaluation]) -> Table:
    """One row per dataset x variant x seed x epoch x split (train, validation), as measured while training."""
    rows: list[tuple[Cell, ...]] = []
    for evaluation in evaluations:
        for row in evaluation["history"]:
            start = (*_key(evaluation), row["seed"], row["epoch"])
            rows.append((*start, "train", row["accuracy"], row["loss"]))
            rows.append((*start, "validation", row["validation_accuracy"], row["validation_loss"]))
    return Table((*KEY, "seed", "epoch", "split", "accuracy", "loss"), tuple(rows))


def confusion_table(evaluations: Sequence[Evaluation]) -> Table:
    """One row per dataset x variant x true class x predicted class, on the test split.

    `count` is summed over seeds; `row_share` is its share of all images of the true class.
    """
    rows: list[tuple[Cell, ...]] = []
    for evaluation in evaluations:
        counts = summed_confusion(evaluation)
        classes = evaluation["classes"]
        for true, row in zip(classes, counts, strict=True):
            total = sum(row)
            for predicted, count in zip(classes, row, strict=True):
                rows.append((*_key(evaluation), true, predicted, count, count / total if total else None))
    return Table((*KEY, "true", "predicted", "count", "row_share"), tuple(rows))


def reliability_table(evaluations: Sequence[Evaluation]) -> Table:
    """One row per dataset x variant x seed x confidence bin that holds test images.

    `confidence` is the mean probability of the predicted class in the bin, `accuracy` the share that is right.
    """
    rows: list[tuple[Cell, ...]] = []
    for evaluation in evaluations:
        for run in evaluation["seeds"]:
            for part in run["splits"]["test"]["reliability"]:
                if part["n"]:
                    values = (part["lower"], part["upper"], part["n"], part["confidence"], part["accuracy"])
                    rows.append((*_key(evaluation), run["seed"], *values))
    return Table((*KEY, "seed", "lower", "upper", "n", "confidence", "accuracy"), tuple(rows))


def cost_table(evaluations: Sequence[Evaluation]) -> Table:
    """One row per dataset x variant x seed: measured seconds; not the same on a second run, so kept apart.

    `seconds_features` is the time the backbone ran once for all images of the dataset, shared by its variants.
    """
    rows: list[tuple[Cell, ...]] = []
    for evaluation in evaluations:
        for run in evaluation["seeds"]:
            measured = (run["seconds_training"], run["images_per_second"], evaluation["seconds"]["features"])
            rows.append((*_key(evaluation), run["seed"], *measured, run["splits"]["test"]["accuracy"]))
    columns = ("seed", "seconds_training", "images_per_second", "seconds_features", "test_accuracy")
    return Table((*KEY, *columns), tuple(rows))


def overfitting_table(evaluations: Sequence[Evaluation]) -> Table:
    """One row per variant of one dataset, means over seeds: when its training began to overfit, and how far it went.

    `best_epoch` has the lowest validation loss, `validation_loss_rise` is from there to the last epoch. Both gaps are
    accuracy(train) - accuracy(validation) as logged while training, with augmentation and dropout on.
    """
    columns = ("epochs", "best_epoch", "validation_loss_rise", "gap_at_best_epoch", "gap_at_last_epoch")
    rows = tuple(
        (evaluation["variant"], *(mean([float(run[column]) for run in evaluation["seeds"]]) for column in columns))
        for evaluation in evaluations
    )
    return Table(("variant", *columns), rows)


def top_losses_table(evaluations: Sequence[Evaluation], count: int = TOP_LOSSES) -> Table:
    """The test images a variant is most wrong about, `count` per dataset x variant, worst first.

    `loss` is the mean cross-entropy over the `seeds` that had the image in their test split, `probability` the mean
    probability of the class predicted by the mean, `wrong` the number of seeds that predicted another class than true.
    """
    rows: list[tuple[Cell, ...]] = []
    for evaluation in evaluations:
        for rank, worst in enumerate(top_losses(evaluation, count), start=1):
            values = (worst.member, worst.true, worst.predicted, worst.probability, worst.loss)
            rows.append((*_key(evaluation), rank, *values, worst.wrong, worst.seeds))
    columns = ("rank", "member", "true", "predicted", "probability", "loss", "wrong", "seeds")
    return Table((*KEY, *columns), tuple(rows))


@dataclass(frozen=True)
class TopLoss:
    """A test image and how wrong a variant is about it, over seeds."""

    member: str
    true: str
    predicted: str
    probability: float  # of `predicted`, 0..1
    loss: float  # cross-entropy, nats
    wrong: int
    seeds: int


def top_losses(evaluation: Evaluation, count: int) -> list[TopLoss]:
    """Return the `count` test images with the highest mean loss, worst first; ties in order of their names."""
    classes = evaluation["classes"]
    rows: dict[str, list[list[float]]] = {}
    labels: dict[str, int] = {}
    for members, run_labels, probabilities in _test_predictions(evaluation):
        for member, label, row in zip(members, run_labels, probabilities, strict=True):
            rows.setdefault(member, []).append(row)
            labels[member] = label
    worst = []
    for member, values in rows.items():
        table = np.asarray(values, dtype=np.float64)  # (seeds, classes)
        true = labels[member]
        loss = float(-np.log(np.clip(table[:, true], 1e-7, 1.0)).mean())
        average = table.mean(axis=0)
        predicted = int(average.argmax())
        wrong = int((table.argmax(axis=1) != true).sum())
        worst.append(
            TopLoss(member, classes[true], classes[predicted], float(average[predicted]), loss, wrong, len(values))
        )
    return sorted(worst, key=lambda item: (-item.loss, item.member))[:count]


def pictures_text(evaluation: Mapping[str, Any]) -> str:
    """Return what the images are in words; results on rendered images must never pass for results on photographs.

    Args:
        evaluation: anything with the key images ("rendered" or "photographs").
    """
    return "rendered images" if evaluation["kind"] == "rendered" else "photographs"


def split_values(evaluation: Evaluation, split: str, metric: str) -> list[float]:
    """Return `metric` on `split`, one value per seed."""
    return [float(run["splits"][split][metric]) for run in evaluation["seeds"]]


def seconds_per_seed(evaluations: Sequence[Evaluation]) -> dict[str, float]:
    """Return the mean seconds of training per seed by variant of one dataset.

    A fine-tuned variant costs what the variant it starts from cost, and then its own training.
    """
    own = {e["variant"]: mean([float(run["seconds_training"]) for run in e["seeds"]]) for e in evaluations}
    return {e["variant"]: own[e["variant"]] + own.get(e["recipe"].get("start"), 0.0) for e in evaluations}


def summed_confusion(evaluation: Evaluation) -> list[list[int]]:
    """Return the test confusion matrix summed over seeds: rows true, columns predicted, shape (classes, classes)."""
    total = np.sum([run["splits"]["test"]["confusion"] for run in evaluation["seeds"]], axis=0)
    return [[int(count) for count in row] for row in total]


def mean(values: Sequence[float]) -> float:
    """Return the mean; `math.fsum` makes it independent of order."""
    return math.fsum(values) / len(values)


def deviation(values: Sequence[float]) -> float | None:
    """Return the standard deviation of a sample (n - 1), or None for a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _key(evaluation: Evaluation) -> tuple[str, str, str]:
    return evaluation["dataset"], evaluation["variant"], evaluation["kind"]


def _test_predictions(evaluation: Evaluation) -> Iterable[tuple[list[str], list[int], list[list[float]]]]:
    """Yield (members, labels, probabilities) per seed; seeds that share a test split name its members only once."""
    first = evaluation["seeds"][0]
    for run in evaluation["seeds"]:
        members = run.get("test_members") or first["test_members"]
        labels = run.get("test_labels") or first["test_labels"]
        yield members, labels, run["test_probabilities"]


def _csv_cell(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return safe_text(cell)
    if isinstance(cell, int):
        return str(cell)
    if not math.isfinite(cell):
        return ""
    return f"{cell:.{DECIMALS}f}"
