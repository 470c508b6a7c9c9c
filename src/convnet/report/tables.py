"""The numbers of all evaluations as long tables: CSV for `dvc plots` and spreadsheets, and numbers of figures.

Every table opens with the columns dataset, variant and kind ("rendered" or "photographs"). Only `cost.csv` holds
measured seconds, which differ from run to run. All other files are byte-identical for equal evaluations.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from convnet.comparison.statistics import t_interval, wilson_interval
from convnet.evaluation.schema import Evaluation, LabelCheck
from convnet.system.csv_tables import write_csv

TOP_LOSSES = 20  # images per variant
PLOT_DECIMALS = 4  # these tables are in git: last bits would be changed lines


def write_tables(evaluations: Sequence[Evaluation], folder: Path) -> None:
    """Write all tables as CSV into `folder`.

    Args:
        evaluations: in the order wanted in the tables.
        folder: gets variants.csv, summary.csv, history.csv, confusion.csv, reliability.csv, top_losses.csv, cost.csv.
    """
    tables = (
        variants_table,
        summary_table,
        history_table,
        confusion_table,
        reliability_table,
        top_losses_table,
        cost_table,
    )
    for table in tables:
        write_csv(folder / f"{table.__name__.removesuffix('_table')}.csv", table(evaluations))


def write_plot_tables(evaluations: Sequence[Evaluation], folder: Path) -> None:
    """Write the tables that `dvc plots` draws, variants.csv, history.csv and confusion.csv, rounded to 4 digits."""
    for table in (variants_table, history_table, confusion_table):
        write_csv(folder / f"{table.__name__.removesuffix('_table')}.csv", table(evaluations), decimals=PLOT_DECIMALS)


def variants_table(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """One row per dataset x variant x seed: the metrics of the saved model in inference mode.

    `gap` is accuracy(train) - accuracy(validation), or - accuracy(test) where the validation images chose the epoch.
    """
    return pd.DataFrame(
        {
            **_key(evaluation),
            "seed": run.seed,
            **{
                f"{split}_{metric}": getattr(run.splits[split], metric)
                for metric in ("accuracy", "loss")
                for split in ("test", "validation", "train")
            },
            **{
                f"test_{metric}": getattr(run.splits["test"], metric)
                for metric in ("balanced_accuracy", "macro_f1", "calibration_error")
            },
            "gap": run.generalisation_gap,
            "validation_loss_rise": run.validation_loss_rise,
            "best_epoch": run.best_epoch,
            "epochs": run.epochs,
            **_model(evaluation),
        }
        for evaluation in evaluations
        for run in evaluation.seeds
    )


def summary_table(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """One row per dataset x variant: means over seeds, and two 95 % intervals of the test accuracy.

    The t interval over seeds bounds the mean accuracy of all possible seeds, cut off at 0 and 1. One seed has none.
    The Wilson interval bounds the accuracy on all images of which the `test_n` test images are a sample. The seeds
    share these images, so they do not multiply n.
    """
    rows = []
    for evaluation in evaluations:
        runs = variants_table([evaluation]).drop(columns=["dataset", "variant", "kind"])
        mean, deviation = runs.apply(fmean), runs.std()
        sizes = [run.splits["test"].n for run in evaluation.seeds]
        n = sum(sizes) if evaluation.split == "folds" else min(sizes)
        low, high = clipped_interval(runs["test_accuracy"].tolist())
        wilson = wilson_interval(float(mean["test_accuracy"]), n)
        rows.append(
            {
                **_key(evaluation),
                "seeds": len(runs),
                "test_n": n,
                "test_accuracy": mean["test_accuracy"],
                "test_accuracy_sd": deviation["test_accuracy"],
                **{"interval_low": low, "interval_high": high, "wilson_low": wilson[0], "wilson_high": wilson[1]},
                **mean[["validation_accuracy", "train_accuracy", "gap"]],
                "gap_sd": deviation["gap"],
                "test_loss": mean["test_loss"],
                "calibration_error": mean["test_calibration_error"],
                **_model(evaluation),
            }
        )
    return pd.DataFrame(rows)


def history_table(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """One row per dataset x variant x seed x epoch x split (train, validation), as measured while training."""
    return pd.DataFrame(
        {**_key(evaluation), "seed": row.seed, "epoch": row.epoch, "split": split, "accuracy": accuracy, "loss": loss}
        for evaluation in evaluations
        for row in evaluation.history
        for split, accuracy, loss in (
            ("train", row.accuracy, row.loss),
            ("validation", row.validation_accuracy, row.validation_loss),
        )
    )


def confusion_table(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """One row per dataset x variant x true class x predicted class, on the test split.

    `count` is summed over seeds. `row_share` is its share of all images of the true class, NaN where it has none.
    """
    rows = []
    for evaluation in evaluations:
        counts = np.sum([run.splits["test"].confusion for run in evaluation.seeds], axis=0)
        for true, of_class in zip(evaluation.classes, counts.tolist(), strict=True):
            total = sum(of_class)
            for predicted, count in zip(evaluation.classes, of_class, strict=True):
                share = count / total if total else np.nan
                rows.append(
                    {**_key(evaluation), "true": true, "predicted": predicted, "count": count, "row_share": share}
                )
    return pd.DataFrame(rows)


def reliability_table(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """One row per dataset x variant x seed x confidence bin that holds test images.

    `confidence` is the mean probability of the predicted class in the bin, `accuracy` the share of right predictions.
    """
    return pd.DataFrame(
        {**_key(evaluation), "seed": run.seed, **bin_.model_dump()}
        for evaluation in evaluations
        for run in evaluation.seeds
        for bin_ in run.splits["test"].reliability
        if bin_.n
    )


def cost_table(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """One row per dataset x variant x seed: measured seconds of training, and the accuracy they bought.

    `seconds_features` is the time of one pass of the backbone over all images of the dataset, shared by its variants.
    """
    return pd.DataFrame(
        {
            **_key(evaluation),
            "seed": run.seed,
            "seconds_training": run.seconds_training,
            "images_per_second": run.images_per_second,
            "seconds_features": evaluation.seconds.features,
            "test_accuracy": run.splits["test"].accuracy,
        }
        for evaluation in evaluations
        for run in evaluation.seeds
    )


def overfitting_table(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """One row per variant of one dataset, means over seeds; `evaluation.schema.Overfitting` describes the columns."""
    columns = ("epochs", "best_epoch", "validation_loss_rise", "gap_at_best_epoch", "gap_at_last_epoch")
    return pd.DataFrame(
        {
            "variant": evaluation.variant,
            **{column: fmean(getattr(run, column) for run in evaluation.seeds) for column in columns},
        }
        for evaluation in evaluations
    )


def top_losses_table(evaluations: Sequence[Evaluation], count: int = TOP_LOSSES) -> pd.DataFrame:
    """The `count` test images with the highest loss of each dataset x variant, worst first, then by name.

    `loss` is the mean cross-entropy over the `seeds` that had the image in their test split. `probability` is the mean
    probability of the class predicted by the mean. `wrong` is the number of seeds that predicted another class.
    """
    return pd.concat([_top_losses(evaluation, count) for evaluation in evaluations], ignore_index=True)


def _top_losses(evaluation: Evaluation, count: int) -> pd.DataFrame:
    parts = []
    for run in evaluation.seeds:
        probabilities, labels = np.asarray(run.test_probabilities), np.asarray(run.test_labels)
        losses = -np.log(np.clip(probabilities[np.arange(len(labels)), labels], 1e-7, 1.0))
        wrong = np.asarray(run.test_predicted) != labels
        parts.append(
            pd.DataFrame(probabilities).assign(member=run.test_members, true=labels, loss=losses, wrong=wrong, seeds=1)
        )
    by_member = pd.concat(parts).groupby("member")
    means, sums = by_member.mean(), by_member[["wrong", "seeds"]].sum()
    probabilities = means[list(range(len(evaluation.classes)))].to_numpy()
    classes = np.asarray(evaluation.classes, dtype=object)
    worst = pd.DataFrame(
        {
            "member": means.index,
            "true": classes[means["true"].to_numpy().astype(int)],
            "predicted": classes[probabilities.argmax(axis=1)],
            "probability": probabilities.max(axis=1),
            "loss": means["loss"].to_numpy(),
            "wrong": sums["wrong"].to_numpy(),
            "seeds": sums["seeds"].to_numpy(),
        }
    ).sort_values(["loss", "member"], ascending=[False, True], ignore_index=True)[:count]
    ranks = pd.DataFrame([_key(evaluation)] * len(worst)).assign(rank=worst.index + 1)
    return pd.concat([ranks, worst], axis=1)


def suggested_labels_table(check: LabelCheck) -> pd.DataFrame:
    """The images most likely mislabelled as rows of a label table, with the suggested label."""
    return pd.DataFrame([suspect.row for suspect in check.suspects], columns=check.columns)


def seconds_per_seed(evaluations: Sequence[Evaluation]) -> dict[str, float]:
    """Return the mean seconds of training per seed by variant of one dataset.

    A fine-tuned variant costs its own training and that of the variant it starts from.
    """
    own = {e.variant: fmean(run.seconds_training for run in e.seeds) for e in evaluations}
    return {e.variant: own[e.variant] + own.get(e.recipe.get("start", ""), 0.0) for e in evaluations}


def origins(evaluations: Sequence[Evaluation]) -> list[tuple[str, str]]:
    """Return machine and versions as (name, value); where evaluations differ, all values are listed, sorted."""
    values: dict[str, set[str]] = {}
    for evaluation in evaluations:
        for name, value in {**evaluation.machine, **evaluation.versions}.items():
            values.setdefault(name, set()).add(str(value))
    return [(name, ", ".join(sorted(found))) for name, found in values.items()]


def by_variant(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each variant, all in their order."""
    return {str(name): rows for name, rows in table.groupby("variant", sort=False)}


def clipped_interval(shares: Sequence[float], lowest: float = 0.0) -> tuple[float, float]:
    """Return Student's 95 % interval of the mean, cut off at `lowest` and 1; NaN for a single value."""
    interval = t_interval(shares)
    if interval is None:
        return np.nan, np.nan
    low, high = np.clip(interval, lowest, 1.0).tolist()
    return low, high


def _key(evaluation: Evaluation) -> dict[str, Any]:
    return {"dataset": evaluation.dataset, "variant": evaluation.variant, "kind": evaluation.kind}


def _model(evaluation: Evaluation) -> dict[str, Any]:
    return {name: getattr(evaluation, name) for name in ("parameters", "trainable_parameters", "model_bytes")}
