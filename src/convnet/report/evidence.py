"""What a dataset's own numbers show in each lesson, as sentences."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from convnet.comparison.schema import Comparison, Verdict
from convnet.comparison.wording import metric_words
from convnet.evaluation.schema import Evaluation, LabelCheck
from convnet.report.networks import network_layers, output_words
from convnet.system.formats import percent, plural, points, points_interval

SWEEP = "`dvc exp run -S sweep.enabled=true` trains on an eighth, a quarter, half and all of the training images"

SHOWN_PAIRS = 6  # of classes, in a sentence


@dataclass(frozen=True)
class Study:
    """All that the sentences read."""

    evaluations: Sequence[Evaluation]
    verdict: Verdict
    robustness: Sequence[Mapping[str, Any]] = ()  # rows of the robustness stage
    sweep: Mapping[str, Any] | None = None  # by variant
    layers: Sequence[Mapping[str, Any]] = ()  # of the backbone
    labels: LabelCheck | None = None

    @property
    def small_network(self) -> Evaluation | None:
        """The first variant that trains on pixels."""
        return next((e for e in self.evaluations if not e.backbone), None)


def evidence(study: Study) -> dict[str, list[str]]:
    """Return the sentences by section; a section without numbers has none."""
    found = {
        "see": _see(study),
        "epochs": _epochs(study),
        "small": _small(study),
        "augmentation": _augmentation(study),
        "transfer": [*_compared(study, lambda new, old: bool(new.backbone) and not old.backbone), *_cuts(study)],
        "dropout": _dropout(study),
        "classes": _classes(study),
        "cost": _saved_by_looks(study),
        "mistakes": _mistakes(study.labels, study.evaluations[0].kind == "rendered"),
    }
    return {section: sentences for section, sentences in found.items() if sentences}


def _see(study: Study) -> list[str]:
    network = study.small_network
    if network is None:
        return []
    maps = [layer for layer in network_layers(network, ()) if layer.name.startswith(("conv", "pool"))]
    first, last = maps[0], maps[-1]
    return [
        f"In {network.variant} the maps shrink from {first.shape[0]} × {first.shape[1]} after {first.name} to "  # noqa: RUF001
        f"{last.shape[0]} × {last.shape[1]} after {last.name}. Their number grows from {first.shape[2]} to "  # noqa: RUF001
        f"{last.shape[2]}."
    ]


def _epochs(study: Study) -> list[str]:
    network = study.evaluations[0]
    best, rise = (fmean(getattr(run, name) for run in network.seeds) for name in ("best_epoch", "validation_loss_rise"))
    epochs = fmean(run.epochs for run in network.seeds)
    train, validation = (_accuracy(network, split) for split in ("train", "validation"))
    sentences = [
        f"{network.variant} has its lowest validation loss at epoch {best:.1f} of {epochs:g}, mean over seeds. "
        f"From there to the end the loss rises by {rise:.3f} nats.",
        f"Its saved models reach {percent(train)} on training images and {percent(validation)} on validation images.",
    ]
    gaps = {e.variant: fmean(run.generalisation_gap for run in e.seeds) for e in study.evaluations}
    least = min(gaps, key=lambda name: abs(gaps[name]))
    if least != network.variant:
        sentences.append(f"{least} has the smallest gap between the two: {points(gaps[least])} points.")
    return sentences


def _small(study: Study) -> list[str]:
    network = study.small_network
    if network is None:
        return []
    images = network.counts["train"]
    each = round(network.trainable_parameters / images)
    sentences = [
        f"{network.variant} has {network.trainable_parameters:,} parameters and {plural(images, 'training image')}: "
        f"{each:,} parameters for each image. It reaches {percent(_accuracy(network, 'train'))} on these images."
    ]
    if not study.sweep:
        sentences.append(f"How much more images would help is not measured in this run. {SWEEP}.")
    return sentences


def _augmentation(study: Study) -> list[str]:
    sentences = _compared(study, lambda new, old: _only(new, old, "augmentation"))
    falls = _falls(study.robustness)
    if falls:
        least, most = min(falls, key=falls.__getitem__), max(falls, key=falls.__getitem__)
        sentences.append(
            "The caution of the course: a validation set too much like the training set misleads. On the most changed "
            f"validation images {most} loses {100 * falls[most]:.1f} points of accuracy, mean over the changes, and "
            f"{least} {100 * falls[least]:.1f}."
        )
    return sentences


def _falls(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return how much accuracy each variant loses at the greatest strength, mean over perturbations and seeds."""
    own = [row for row in rows if row["split"] == "validation"]
    strongest = max((row["strength"] for row in own), default=0)
    original = {row["variant"]: fmean(row["accuracy"]) for row in own if row["strength"] == 0}
    return {
        variant: kept
        - fmean(fmean(row["accuracy"]) for row in own if row["variant"] == variant and row["strength"] == strongest)
        for variant, kept in original.items()
        if strongest
    }


def _cuts(study: Study) -> list[str]:
    """Return a sentence for each comparison of two cuts of one backbone."""
    known = {evaluation.variant: evaluation for evaluation in study.evaluations}
    return [
        f"Two cuts of {new['backbone']}, {new['last_layer']} and {old['last_layer']}: {_sentence(row, study.verdict)}"
        for row in study.verdict.comparisons
        if row.baseline in known
        for new, old in [(known[row.variant].recipe, known[row.baseline].recipe)]
        if new.get("backbone") == old.get("backbone") and new.get("last_layer") != old.get("last_layer")
    ]


def _dropout(study: Study) -> list[str]:
    heads = _compared(study, lambda new, old: bool(new.backbone) and _only(new, old, "dropout"))
    networks = _compared(study, lambda new, old: not new.backbone and _only(new, old, "dropout"))
    return [
        *(f"With and without dropout on the same head: {sentence}" for sentence in heads),
        *(f"With and without dropout in the small CNN: {sentence}" for sentence in networks),
    ]


def _classes(study: Study) -> list[str]:
    first = study.evaluations[0]
    classes = len(first.classes)
    sentences = [f"This dataset has {classes} classes, so the output layer has {output_words(first.classes)}."]
    if classes > 2:
        sentences.append(f"A guess without looking is right in {percent(1 / classes)} of cases if classes are equal.")
        recalls = {name: _recall(first, name) for name in first.classes}
        known = {name: value for name, value in recalls.items() if value is not None}
        hardest = min(known, key=known.__getitem__)
        sentences.append(f"The hardest class for {first.variant} is {hardest}: {percent(known[hardest])} are found.")
    return sentences


def _mistakes(check: LabelCheck | None, rendered: bool) -> list[str]:
    """Return how many labels are suspect, between which classes, and how to change them."""
    if check is None:
        return []
    copies = len(check.two_labels)
    doubled = [f"{plural(copies, 'pair')} of copies of one image {_have(copies)} two labels."] if copies else []
    if check.unknown:
        return [check.unknown, *doubled]
    assert check.folds_accuracy is not None
    count = len(check.suspects)
    judged = [
        f"A logistic regression on the features of the backbone judges each of the {check.images:,} images. It did not "
        "train on the image, nor on a copy of it.",
        f"It predicts the given label of {percent(check.folds_accuracy)}. {plural(count, 'image')} "
        f"({percent(count / check.images)}) {_have(count)} a label to check{_pairs_of_classes(check)}.",
    ]
    if not count and not copies:
        return judged
    caution = "Labels of rendered images are usually right, so most of these images are hard and not mislabelled."
    return [
        *judged,
        *doubled,
        caution if rendered else "A hard image looks like a wrong label to a model, so look at each image first.",
        "To change labels, write their table with `convnet init FOLDER --write-labels labels.csv`. "
        f"Replace its rows by rows of reports/tables/suggested_labels_{check.dataset}.csv, or write drop as a label. "
        "Then run `convnet init FOLDER` again.",
    ]


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def _pairs_of_classes(check: LabelCheck) -> str:
    """Return the most frequent pairs of a given and a suggested label."""
    pairs = Counter((image.given, image.suggested) for image in check.suspects).most_common(SHOWN_PAIRS)
    words = ", ".join(f"{given} that may be {suggested} {count:,}" for (given, suggested), count in pairs)
    return f": {words}" if words else ""


def _recall(evaluation: Evaluation, name: str) -> float | None:
    values = [run.splits["test"].recall[name] for run in evaluation.seeds]
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _accuracy(evaluation: Evaluation, split: str) -> float:
    return fmean(run.splits[split].accuracy for run in evaluation.seeds)


def _compared(study: Study, concerns: Callable[[Evaluation, Evaluation], bool]) -> list[str]:
    """Return a sentence for each comparison whose two variants `concerns` accepts."""
    known = {e.variant: e for e in study.evaluations}
    return [
        _sentence(row, study.verdict)
        for row in study.verdict.comparisons
        if row.baseline in known and concerns(known[row.variant], known[row.baseline])
    ]


def _sentence(row: Comparison, verdict: Verdict) -> str:
    return (
        f"{row.variant} less {row.baseline} is {points(row.mean)} points of {metric_words(verdict.metric)} "
        f"(95 % interval {points_interval(*row.interval)}): {row.decision}."
    )


def _only(new: Evaluation, old: Evaluation, setting: str) -> bool:
    """Return whether a remedy is what the first of two variants of one network has and the second has not."""
    return bool(new.recipe[setting]) and not old.recipe[setting] and bool(new.backbone) == bool(old.backbone)


def _saved_by_looks(study: Study) -> list[str]:
    if not study.verdict.looks:
        return []
    last = study.verdict.looks[-1]
    spent = sum(run.seconds_training for e in study.evaluations for run in e.seeds) / 60
    left = {e.variant: max(last - len(e.seeds), 0) for e in study.evaluations}
    saved = sum(left[e.variant] * fmean(run.seconds_training for run in e.seeds) for e in study.evaluations) / 60
    if not saved:
        return []
    jobs = sum(len(e.seeds) for e in study.evaluations)
    return [
        f"The looks took {plural(jobs, 'job')} and {spent:.1f} minutes of training. {last} seeds of all variants take "
        f"{plural(sum(left.values()), 'more job')} and about {saved:.1f} more minutes."
    ]
