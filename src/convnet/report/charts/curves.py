"""Accuracy and loss per epoch, a panel per variant."""

from statistics import fmean
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from convnet.report.chart import Chart, Numbers
from convnet.report.drawing import panels, percent_axis
from convnet.report.style import GREY, STYLE, Style, label
from convnet.report.tables import by_variant, history_table
from convnet.system.formats import percent
from convnet.system.language import mark, tr

PER_EPOCH = {"accuracy": mark("Accuracy per epoch"), "loss": mark("Loss per epoch")}
TRAINING = mark(
    "Every panel has its own number of epochs. Training values are means over an epoch with augmentation and dropout "
    "on, so they may be worse than the validation values."
)
FEW_EPOCHS = 5  # up to here each epoch has a marker, because a line of one epoch is invisible


def charts(numbers: Numbers) -> list[Chart]:
    """Return the learning curves of accuracy and of loss."""
    history = history_table(numbers.evaluations)
    return [_chart(numbers, history, metric) for metric in ("accuracy", "loss")]


def mean_curve(history: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return one variant's mean over seeds by epoch (train, validation), up to the last epoch that all seeds have."""
    by_epoch = history.pivot(index="epoch", columns=["split", "seed"], values=metric).dropna()
    return by_epoch.T.groupby(level="split").mean().T


def plot_learning_curves(ax: Axes, history: pd.DataFrame, metric: str, style: Style) -> None:
    """Draw one variant's train (dashed, grey) and validation (solid, coloured): seeds thin, their mean thick."""
    looks: dict[str, dict[str, Any]] = {
        "train": {"color": GREY, "linestyle": "--"},
        "validation": {"color": style.colour},
    }
    if history["seed"].nunique() > 1:
        for split, look in looks.items():
            for _, curve in history[history["split"] == split].groupby("seed"):
                ax.plot(curve["epoch"], curve[metric], **look, linewidth=0.7, alpha=0.45)
    middle = mean_curve(history, metric)
    dot = style.marker if len(middle) <= FEW_EPOCHS else None
    for split, look in looks.items():
        ax.plot(middle.index, middle[split], **look, linewidth=2.0, marker=dot, label=split)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.grid(axis="x", visible=False)


@matplotlib.rc_context(STYLE)
def _chart(numbers: Numbers, history: pd.DataFrame, metric: str) -> Chart:
    subject = tr(PER_EPOCH[metric])
    figure, axes = panels(len(numbers.evaluations), share_y=True)
    means, ends = [], []
    runs = {evaluation.variant: evaluation.seeds for evaluation in numbers.evaluations}
    for ax, (variant, rows) in zip(axes, by_variant(history).items(), strict=True):
        plot_learning_curves(ax, rows, metric, numbers.styles[variant])
        ax.set_title(label(variant, 28))
        ax.set(xlabel=tr("epoch"), ylabel=tr(metric))
        best = fmean(run.best_epoch for run in runs[variant])
        ax.axvline(best, color="black", linewidth=1.0, linestyle=":")
        mean = mean_curve(rows, metric)
        train, validation = (percent(v) if metric == "accuracy" else f"{v:.3f}" for v in mean.iloc[-1])
        end = mark("{variant} ends at {train} on training and {validation} on validation images")
        ends.append(tr(end, variant=variant, train=train, validation=validation))
        means.append(mean.add_suffix(f"_{metric}").reset_index().assign(variant=variant))
    if metric == "accuracy":
        percent_axis(axes[0].yaxis)
    else:
        axes[0].set_ylim(bottom=0)
    handles = [Line2D([], [], color=GREY, linestyle="--", linewidth=2), Line2D([], [], color="black", linewidth=2)]
    handles.append(Line2D([], [], color="black", linewidth=1.0, linestyle=":"))
    names = [tr("train"), tr("validation (colour of the variant)"), tr("lowest validation loss")]
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    caption = [tr(TRAINING)]
    if numbers.several_seeds:
        caption.insert(0, tr("Thick lines are means over seeds, thin lines seeds."))
    if metric == "loss":
        caption.insert(0, tr("Overfitting starts at the dotted line where the validation loss rises behind it."))
    return Chart(
        f"curves_{metric}",
        "epochs",
        numbers.title(subject),
        tr("{subject}, mean over seeds: {list}.", subject=subject, list="; ".join(ends)),
        " ".join(caption),
        pd.concat(means)[["variant", "epoch", f"train_{metric}", f"validation_{metric}"]],
        figure,
    )
