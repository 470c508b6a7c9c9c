"""What a dataset's own numbers show in each lesson, as sentences."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from convnet.comparison.schema import Comparison, Verdict
from convnet.comparison.wording import metric_words
from convnet.evaluation.schema import Evaluation, LabelCheck
from convnet.report.label_sentences import label_sentences
from convnet.report.networks import network_layers, output_words
from convnet.system.formats import listed, percent, plural, points, points_interval
from convnet.system.language import mark, tr

SWEEP = mark(
    "How much more images would help is not measured in this run. `dvc exp run -S sweep.enabled=true` trains on an "
    "eighth, a quarter, half and all of the training images."
)


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
        "mistakes": label_sentences(study.labels, study.evaluations[0].kind == "rendered"),
    }
    return {section: sentences for section, sentences in found.items() if sentences}


def _see(study: Study) -> list[str]:
    network = study.small_network
    if network is None:
        return []
    maps = [layer for layer in network_layers(network, ()) if layer.name.startswith(("conv", "pool"))]
    first, last = maps[0], maps[-1]
    return [
        tr(
            "In {variant} the maps shrink from {first_size} after {first} to {last_size} after {last}. Their number "
            "grows from {few} to {many}.",
            variant=network.variant,
            first_size=f"{first.shape[0]} × {first.shape[1]}",  # noqa: RUF001
            first=first.name,
            last_size=f"{last.shape[0]} × {last.shape[1]}",  # noqa: RUF001
            last=last.name,
            few=first.shape[2],
            many=last.shape[2],
        )
    ]


def _epochs(study: Study) -> list[str]:
    network = study.evaluations[0]
    best, rise = (fmean(getattr(run, name) for run in network.seeds) for name in ("best_epoch", "validation_loss_rise"))
    epochs = fmean(run.epochs for run in network.seeds)
    train, validation = (_accuracy(network, split) for split in ("train", "validation"))
    sentences = [
        tr(
            "{variant} has its lowest validation loss at epoch {best:.1f} of {epochs:g}, mean over seeds. From there "
            "to the end the loss rises by {rise:.3f} nats.",
            variant=network.variant,
            best=best,
            epochs=epochs,
            rise=rise,
        ),
        tr(
            "Its saved models reach {train} on training images and {validation} on validation images.",
            train=percent(train),
            validation=percent(validation),
        ),
    ]
    gaps = {e.variant: fmean(run.generalisation_gap for run in e.seeds) for e in study.evaluations}
    least = points(min(gaps.values(), key=abs))
    named = [name for name, gap in gaps.items() if points(gap) == least]  # equal as printed
    if network.variant not in named:
        smallest = mark("The smallest generalisation gap is that of {variants}: {points} points.")
        sentences.append(tr(smallest, variants=listed(named), points=least))
    return sentences


def _small(study: Study) -> list[str]:
    network = study.small_network
    if network is None:
        return []
    images = network.counts["train"]
    each = round(network.trainable_parameters / images)
    sentences = [
        tr(
            "{variant} has {parameters:,} parameters and {images}: {each:,} parameters for each image. It reaches "
            "{accuracy} on these images.",
            variant=network.variant,
            parameters=network.trainable_parameters,
            images=plural(images, "training image"),
            each=each,
            accuracy=percent(_accuracy(network, "train")),
        )
    ]
    if not study.sweep:
        sentences.append(tr(SWEEP))
    return sentences


def _augmentation(study: Study) -> list[str]:
    sentences = _compared(study, lambda new, old: _only(new, old, "augmentation"))
    falls = _falls(study.robustness)
    if falls:
        least, most = min(falls, key=falls.__getitem__), max(falls, key=falls.__getitem__)
        sentences.append(
            tr(
                "The caution of the course: a validation set too much like the training set misleads. On the most "
                "changed validation images {most} loses {large:.1f} points of accuracy, mean over the changes, and "
                "{least} {small:.1f}.",
                most=most,
                large=100 * falls[most],
                least=least,
                small=100 * falls[least],
            )
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
        tr(
            "Two cuts of {backbone}, {new} and {old}: {sentence}",
            backbone=new["backbone"],
            new=new["last_layer"],
            old=old["last_layer"],
            sentence=_sentence(row, study.verdict),
        )
        for row in study.verdict.comparisons
        if row.baseline in known
        for new, old in [(known[row.variant].recipe, known[row.baseline].recipe)]
        if new.get("backbone") == old.get("backbone") and new.get("last_layer") != old.get("last_layer")
    ]


def _dropout(study: Study) -> list[str]:
    heads = _compared(study, lambda new, old: bool(new.backbone) and _only(new, old, "dropout"))
    networks = _compared(study, lambda new, old: not new.backbone and _only(new, old, "dropout"))
    return [
        *(tr("With and without dropout on the same head: {sentence}", sentence=sentence) for sentence in heads),
        *(tr("With and without dropout in the small CNN: {sentence}", sentence=sentence) for sentence in networks),
    ]


def _classes(study: Study) -> list[str]:
    first = study.evaluations[0]
    classes = len(first.classes)
    has = mark("This dataset has {count} classes, so the output layer has {output}.")
    sentences = [tr(has, count=classes, output=output_words(first.classes))]
    if classes > 2:
        guess = mark("A guess without looking is right in {share} of cases if classes are equal.")
        sentences.append(tr(guess, share=percent(1 / classes)))
        recalls = {name: _recall(first, name) for name in first.classes}
        known = {name: value for name, value in recalls.items() if value is not None}
        hardest = min(known, key=known.__getitem__)
        found = mark("The hardest class for {variant} is {name}: {share} are found.")
        sentences.append(tr(found, variant=first.variant, name=hardest, share=percent(known[hardest])))
    return sentences


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
    return tr(
        "{variant} less {baseline} is {points} points of {metric} (95 % interval {interval}): {decision}.",
        variant=row.variant,
        baseline=row.baseline,
        points=points(row.mean),
        metric=metric_words(verdict.metric),
        interval=points_interval(*row.interval),
        decision=tr(row.decision),
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
        tr(
            "The looks took {jobs} and {spent:.1f} minutes of training. {last} seeds of all variants take {more} and "
            "about {saved:.1f} more minutes.",
            jobs=plural(jobs, "job"),
            spent=spent,
            last=last,
            more=plural(sum(left.values()), "more job"),
            saved=saved,
        )
    ]
