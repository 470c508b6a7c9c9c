"""Plausible evaluations and summaries in the pipeline's formats, made without training anything."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convnet.evaluation.schema import Evaluation, LabelCheck, Pair, Suspect

DATASETS = ("pets", "shapes", "hands")
VARIANTS = ("baseline", "augmented", "dropout", "transfer", "transfer_dropout", "fine_tune")
CLASSES = {"pets": ["cat", "dog"], "shapes": ["circle", "square", "triangle"], "hands": ["paper", "rock", "scissors"]}
COUNTS = {"train": 240, "validation": 60, "test": 80}

TEMPERATURE = {
    "temperature": 1.4,
    "at_bound": False,
    "calibration_error_before": 0.05,
    "calibration_error_after": 0.02,
    "loss_before": 0.38,
    "loss_after": 0.35,
}

# Asymptotes of the accuracy: a baseline that overfits, and remedies that close the gap.
TRAIN = {"baseline": 0.99, "augmented": 0.88, "dropout": 0.95}
UNSEEN = {"baseline": 0.74, "augmented": 0.82, "dropout": 0.76, "transfer": 0.93, "transfer_dropout": 0.94}


def make_evaluations(
    datasets: int = 2, variants: int = 5, seeds: int = 3, *, kind: str = "rendered"
) -> list[dict[str, Any]]:
    """Return one evaluation for each of the first `datasets` x the first `variants`, each with `seeds` seeds."""
    return [
        make_evaluation(dataset, variant, seeds, kind=kind)
        for dataset in DATASETS[:datasets]
        for variant in (*VARIANTS, "larger", "ema")[:variants]
    ]


def make_evaluation(
    dataset: str,
    variant: str,
    seeds: int = 3,
    *,
    classes: Sequence[str] | None = None,
    kind: str = "rendered",
    epochs: int = 15,
) -> dict[str, Any]:
    """Return one `data/evaluations/<dataset>-<variant>.json`; equal arguments give equal values."""
    names = list(classes if classes is not None else CLASSES[dataset])
    backbone = "compact" if variant.startswith(("transfer", "fine")) else None
    runs, history = [], []
    labels = np.arange(COUNTS["test"]) % len(names)
    for seed in range(seeds):
        generator = np.random.default_rng([seed, *map(ord, dataset + variant)])
        curve = _history(generator, variant, seed, epochs)
        history += curve
        splits = {
            "train": _split(generator, names, COUNTS["train"], TRAIN.get(variant, 0.98))[0],
            "validation": _split(generator, names, COUNTS["validation"], UNSEEN.get(variant, 0.95))[0],
        }
        splits["test"], probabilities = _split(generator, names, COUNTS["test"], UNSEEN.get(variant, 0.95) - 0.02)
        best = min(curve, key=lambda row: row["validation_loss"])
        last = curve[-1]
        runs.append(
            {
                "seed": seed,
                "splits": splits,
                "generalisation_gap": splits["train"]["accuracy"] - splits["validation"]["accuracy"],
                "best_epoch": best["epoch"],
                "validation_loss_rise": last["validation_loss"] - best["validation_loss"],
                "gap_at_best_epoch": best["accuracy"] - best["validation_accuracy"],
                "gap_at_last_epoch": last["accuracy"] - last["validation_accuracy"],
                "epochs": epochs,
                "test_members": [f"test/{names[k]}/{i:04d}.png" for i, k in enumerate(labels)],
                "test_groups": list(range(len(labels))),
                "test_labels": labels.tolist(),
                "test_predicted": probabilities.argmax(axis=1).tolist(),
                "test_probabilities": np.round(probabilities, 6).tolist(),
                "temperature": TEMPERATURE,
                "seconds_training": (2.5 if backbone else 40.0 + 3 * len(variant)) + seed,
                "images_per_second": 310.0 - seed,
            }
        )
    return {
        "dataset": dataset,
        "variant": variant,
        "kind": kind,
        "classes": names,
        "image_size": [96, 96],
        "counts": COUNTS,
        "backbone": backbone,
        "split": "fixed",
        "recipe": _recipe(dataset, variant, backbone, epochs),
        "parameters": 1_500_000 if backbone else 9_494_561,
        "trainable_parameters": 300_000 if backbone else 9_494_561,
        "model_bytes": 6_100_000 if backbone else 38_000_000,
        "seeds": runs,
        "history": history,
        "seconds": {"training": sum(run["seconds_training"] for run in runs), "features": 4.2 if backbone else None},
        "machine": {"processor": "test processor", "cores": 2, "device": "CPU"},
        "versions": {"python": "3.11.7", "keras": "3.15.0", "tensorflow": "2.21.0"},
    }


def _recipe(dataset: str, variant: str, backbone: str | None, epochs: int) -> dict[str, Any]:
    """Return the settings of a run, as `params.recipe` resolves them."""
    recipe: dict[str, Any] = {
        "dataset": dataset,
        "variant": variant,
        "image_size": [96, 96],
        "kind": "features" if backbone else "pixels",
        "dropout": 0.5 if "dropout" in variant else 0.0,
        "augmentation": {"rotation": 40.0, "zoom": 0.2} if variant == "augmented" else None,
        "fit": {
            "optimizer": "rmsprop",
            "learning_rate": 0.0001 if backbone else 0.001,
            "batch_size": 20,
            "epochs": epochs,
            "labels": "sparse",
            "early_stopping": None,
        },
    }
    if backbone is None:
        return recipe | {"network": {"filters": [16, 32, 64], "dense": 512}}
    recipe |= {"backbone": backbone, "last_layer": "block4_pool", "pooling": "flatten", "dense": 1024}
    if variant == "fine_tune":
        recipe |= {"kind": "fine_tune", "start": "transfer", "trainable_from": "block4_conv"}
    return recipe


def typed(*evaluations: dict[str, Any]) -> list[Evaluation]:
    """Return evaluations as the program reads them."""
    return [Evaluation.model_validate(evaluation) for evaluation in evaluations]


def make_backbone(origin: str, **changes: Any) -> dict[str, Any]:
    """Return one `data/backbones/<dataset>/backbone.json`, of a backbone trained here or fetched."""
    described: dict[str, Any] = {"needed": True, "sha256": "0" * 64, "origin": origin}
    if origin == "trained here":
        described |= {
            "backbone": "compact",
            "seen": "rendered images of other classes",
            "file": "source.keras",
            "source_classes": ["bears", "fish"],
            "source_images": {"train": 1800, "validation": 500, "test": 600},
            "source_test_accuracy": 0.8383,
        }
    else:
        described |= {
            "backbone": "inception_v3",
            "seen": "1.28 million photographs.",
            "file": "weights.h5",
            "bytes": 87_910_968,
            "address": "https://example.org/weights.h5",
            "note": None,
        }
    return described | changes


def make_summary(dataset: str, classes: Sequence[str] | None = None, *, kind: str = "rendered") -> dict[str, Any]:
    """Return one `data/splits/<dataset>.summary.json`, with a rejected file, a note and duplicates."""
    names = list(classes if classes is not None else CLASSES[dataset])
    return {
        "dataset": dataset,
        "kind": kind,
        "classes": names,
        "counts": {split: {name: n // len(names) for name in names} for split, n in COUNTS.items()},
        "rejected": [{"archive": f"{dataset}.zip", "member": "cat/=666.jpg", "reason": "holds no bytes"}],
        "notes": [{"archive": f"{dataset}.zip", "member": "cat/7.png", "note": "GIF content under .png"}],
        "duplicates": {
            "exact_pairs": 2,
            "near_pairs": 1,
            "groups": [["cat/1.jpg", "cat/2.jpg"]],
            "across_splits": 0,
            "two_labels": [["cat/9.jpg", "dog/9.jpg"]],
        },
        "image_sizes": {"smallest": [40, 60], "median": [96, 96], "largest": [500, 375]},
        "bytes_total": 1_234_567,
    }


def _history(generator: np.random.Generator, variant: str, seed: int, epochs: int) -> list[dict[str, Any]]:
    """One row per epoch; without a remedy the validation loss turns upwards after a third of the way."""
    rows = []
    top, unseen = TRAIN.get(variant, 0.98), UNSEEN.get(variant, 0.95)
    for epoch in range(1, epochs + 1):
        rise = 1.0 - math.exp(-epoch / (0.3 * epochs))
        noise = generator.normal(0.0, 0.008, size=2)
        overfit = max(0.0, epoch / epochs - 0.35) * 2.5 * (top - unseen)
        rows.append(
            {
                "seed": seed,
                "epoch": epoch,
                "accuracy": float(min(1.0, 0.5 + (top - 0.5) * rise + noise[0])),
                "loss": float(0.02 + 0.7 * (1.0 - rise) * (1.1 - top) * 4 + abs(noise[0])),
                "validation_accuracy": float(min(1.0, 0.5 + (unseen - 0.5) * rise + noise[1])),
                "validation_loss": float(0.65 - 0.5 * (unseen - 0.5) * rise + overfit + abs(noise[1])),
                "learning_rate": 0.001,
            }
        )
    return rows


def _split(
    generator: np.random.Generator, classes: Sequence[str], n: int, accuracy: float
) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """Draw predictions with about the wanted accuracy; return their metrics and probabilities (n, classes)."""
    k = len(classes)
    labels = np.arange(n) % k
    right = generator.random(n) < accuracy
    predicted = np.where(right, labels, (labels + generator.integers(1, k, size=n)) % k)
    confidence = np.clip(generator.beta(6, 1.5, size=n), 1 / k + 0.01, 0.999)
    probabilities = np.repeat((1.0 - confidence)[:, None] / (k - 1), k, axis=1)
    probabilities[np.arange(n), predicted] = confidence
    confusion = np.zeros((k, k), dtype=int)
    np.add.at(confusion, (labels, predicted), 1)
    recall = confusion.diagonal() / confusion.sum(axis=1)
    bins: list[dict[str, Any]] = []
    for lower in np.arange(0.0, 1.0, 0.1):
        inside = (confidence > lower) & (confidence <= lower + 0.1)
        count = int(inside.sum())
        bins.append(
            {
                "lower": round(float(lower), 6),
                "upper": round(float(lower + 0.1), 6),
                "n": count,
                "confidence": float(confidence[inside].mean()) if count else None,
                "accuracy": float((labels == predicted)[inside].mean()) if count else None,
            }
        )
    error = sum(b["n"] * abs(b["confidence"] - b["accuracy"]) for b in bins if b["n"]) / n
    metrics = {
        "n": n,
        "accuracy": float((labels == predicted).mean()),
        "loss": float(-np.log(probabilities[np.arange(n), labels]).mean()),
        "balanced_accuracy": float(recall.mean()),
        "macro_f1": float(recall.mean()),
        "recall": dict(zip(classes, recall.tolist(), strict=True)),
        "calibration_error": error,
        "confusion": confusion.tolist(),
        "reliability": bins,
    }
    return metrics, probabilities


def make_label_check(dataset: str = "pets", suspects: int = 3, pairs: int = 1, **changes: Any) -> LabelCheck:
    """Return a check of labels with suspects and pairs of copies; the last pair is not in the arrays."""
    names = [f"cat/{number:03}.jpg" for number in range(suspects)]
    found = [
        Suspect(
            file=name,
            split="train",
            given="cat",
            suggested="dog",
            probability_given=0.1,
            probability_suggested=0.9,
            row={"file": name, "label": "dog"},
        )
        for name in names
    ]
    copies = [
        Pair(files=[f"cat/{number}.jpg", f"dog/{number}.jpg"], labels=["cat", "dog"], used=number < pairs)
        for number in range(pairs + 1 if pairs else 0)
    ]
    parts: dict[str, Any] = {"unknown": "", "images": 200, "folds_accuracy": 0.85, "columns": ["file", "label"]}
    return LabelCheck(dataset=dataset, suspects=found, two_labels=copies, **(parts | changes))
