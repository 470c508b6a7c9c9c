"""Studies in folds with real training: small networks on images, and on points, of which far more exist than are used.

Each study draws a pool of n images. Seed k trains every network on the training part that folds leave, and is tested on
fold k. All images outside the pool give the truth: the mean accuracy there, over all studies of the setting.
"""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

from convnet.comparison.decisions import MARGIN, decide
from convnet.comparison.folds import parts_of
from convnet.comparison.random_effects import Estimate
from convnet.data.division import Division, divide

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SEED = 20240601
SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}  # as params.yaml divides a folder
# Hidden units. twin is the baseline with other random numbers, so its true difference is exactly 0.
NETWORKS = {"baseline": 16, "twin": 16, "narrow": 4}
ITERATIONS = 15  # of L-BFGS
STOPS = (3, 8, 20)  # iterations among which the validation loss chooses, where a setting says so
UNUSED = 1000  # images outside the pool that each study adds to the truth
COPY_NOISE = 0.1  # standard deviation of the difference of two copies, in standard deviations of the data


class FoldSetting(NamedTuple):
    """One kind of study."""

    source: str  # digits or points
    images: int
    folds: int
    copies: int = 1  # nearly equal images in a group
    chosen: bool = False  # the validation loss of each fold chooses the number of iterations


class Study(NamedTuple):
    """Differences to the baseline of one study, by network; shares of accuracy."""

    estimates: dict[str, dict[str, Estimate]]  # by interval, then by network
    unused: dict[str, float]  # differences on images outside the pool


def load_source(source: str) -> tuple[Floats, Integers]:
    """Return features (n, count) and labels (n,)."""
    if source == "digits":
        features, labels = load_digits(return_X_y=True)
        return features / 16, labels
    made: tuple[Floats, Integers] = make_classification(
        12_000, 20, n_informative=8, n_redundant=4, n_clusters_per_class=3, class_sep=1.2, flip_y=0.02, random_state=1
    )
    return made


def run_study(setting: FoldSetting, data: tuple[Floats, Integers], number: int) -> Study:
    """Train all networks on all folds of one study."""
    features, labels = data
    generator = np.random.default_rng([SEED, number])
    distinct = setting.images // setting.copies
    order = generator.permutation(len(labels))
    while np.bincount(labels[order[:distinct]]).min() < setting.folds:  # a class must be in every fold
        order = generator.permutation(len(labels))
    pool = np.repeat(order[:distinct], setting.copies)
    unused = order[distinct:][:UNUSED]
    groups = np.repeat(np.arange(distinct), setting.copies)
    pixels = features[pool]
    if setting.copies > 1:
        pixels = pixels + COPY_NOISE * features.std() * generator.standard_normal(pixels.shape)
    right: dict[str, list[Floats]] = {name: [] for name in NETWORKS}
    truth: dict[str, list[float]] = {name: [] for name in NETWORKS}
    tested = []
    for fold in range(setting.folds):
        index = _divide(setting, labels[pool], groups, fold, number)
        tested.append(groups[index["test"]])
        for place, (name, units) in enumerate(NETWORKS.items()):
            state = int(generator.integers(2**31)) + place
            parts = {split: (pixels[index[split]], labels[pool][index[split]]) for split in ("train", "validation")}
            network = _train(units, state, parts, STOPS if setting.chosen else (ITERATIONS,))
            seen = network.predict(np.concatenate([pixels[index["test"]], features[unused]]))
            found = seen == np.concatenate([labels[pool][index["test"]], labels[unused]])
            right[name].append(found[: len(index["test"])].astype(np.float64))
            truth[name].append(float(found[len(index["test"]) :].mean()))
    others = list(NETWORKS)[1:]
    by_network = {
        name: intervals([a - b for a, b in zip(right[name], right["baseline"], strict=True)], tested) for name in others
    }
    estimates = {kind: {name: by_network[name][kind] for name in others} for kind in by_network[others[0]]}
    return Study(estimates, {name: float(np.mean(truth[name]) - np.mean(truth["baseline"])) for name in others})


def _train(units: int, state: int, parts: dict[str, tuple[Floats, Integers]], stops: Sequence[int]) -> MLPClassifier:
    """Return the network whose number of iterations has the lowest validation loss."""
    found = []
    for iterations in stops:
        network = MLPClassifier((units,), solver="lbfgs", max_iter=iterations, random_state=state)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            network.fit(*parts["train"])
        found.append(network)
    if len(found) == 1:
        return found[0]
    features, labels = parts["validation"]
    losses = [log_loss(labels, network.predict_proba(features), labels=network.classes_) for network in found]
    return found[int(np.argmin(losses))]


def _divide(setting: FoldSetting, labels: Integers, groups: Integers, fold: int, number: int) -> dict[str, Integers]:
    """Divide a pool as the pipeline does, from arrays that hold it in three parts."""
    ends = np.cumsum([round(share * len(labels)) for share in SHARES.values()])[:-1]
    of_labels, of_groups = (dict(zip(SHARES, np.split(values, ends), strict=True)) for values in (labels, groups))
    return divide(Division("folds", fold, setting.folds, number), of_labels, of_groups, 100 * number + fold)


def intervals(differences: Sequence[Floats], groups: Sequence[Integers]) -> dict[str, Estimate]:
    """Return the intervals that are judged."""
    parts, folds = parts_of(differences, groups), len(differences)
    images = sum(map(len, differences))
    shrink, luck = images / (images + 2), (1 / (images + 2)) ** 2
    of_folds, of_units = parts.of_folds * shrink**2, parts.of_units * shrink**2
    excess = max(of_folds - of_units, 0.0)
    plain = Estimate(
        parts.mean, parts.mean * shrink, max(of_folds, of_units), luck, folds, images, parts.units - folds + 1
    )
    return {
        "larger variance, t of the folds": plain,
        "larger variance, twice the degrees of freedom": replace(plain, freedom_factor=2.0),
        "images and folds": replace(plain, seed_variance=excess, image_variance=of_units + luck),
        "images alone": replace(plain, seed_variance=0.0, image_variance=of_units + luck),
        "t over folds": replace(plain, seed_variance=of_folds),
        # Test images of a fold / images of the others, 1 / (folds - 1), is for the images that training sets share.
        "Nadeau and Bengio": replace(plain, seed_variance=of_folds * (1 + folds / (folds - 1))),
    }


def judge(setting: FoldSetting, studies: Sequence[Study]) -> dict[str, Any]:
    """Return coverage, false decisions, half widths and found differences of each interval, in percent and points."""
    names = list(studies[0].unused)
    truth = {name: float(np.mean([study.unused[name] for study in studies])) for name in names}
    truth["twin"] = 0.0
    rows: dict[str, Any] = {}
    for kind in studies[0].estimates:
        coverage, false, alone, widths = [], [], [], []
        found: dict[str, list[bool]] = {name: [] for name in names}
        for study in studies:
            estimates = study.estimates[kind]
            decided = decide([estimates[name] for name in names])
            wrong = []
            for name, row in zip(names, decided, strict=True):
                lower, upper = estimates[name].interval()
                coverage.append(lower <= truth[name] <= upper)
                widths.append(estimates[name].half_width(0.05))
                wrong.append(_is_false(row.decision, truth[name]))
                found[name].append(row.decision in ("helps", "hurts") and not wrong[-1])
            false.append(any(wrong))
            alone.append(estimates["twin"].p_value() <= 0.05)
        rows[kind] = {
            "coverage": _percent(coverage),
            "coverage_by_network": {name: _percent(coverage[i :: len(names)]) for i, name in enumerate(names)},
            "false_decisions": _percent(false),
            "false_alone": _percent(alone),
            "half_width": round(100 * float(np.mean(widths)), 1),
            "found": {name: _percent(found[name]) for name in names if name != "twin"},
        }
    true = {name: round(100 * value, 2) for name, value in truth.items()}
    return {**setting._asdict(), "studies": len(studies), "true_points": true, "intervals": rows}


def _is_false(decision: str, true: float) -> bool:
    wrong = {"helps": true <= 0, "hurts": true >= 0, "no relevant difference": abs(true) >= MARGIN}
    return wrong.get(decision, False)


def _percent(events: Sequence[bool]) -> float:
    return round(100 * float(np.mean(events)), 1)
