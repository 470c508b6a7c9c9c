"""Is the verdict honest? Simulate studies whose true differences are known and count how often it is wrong.

    python -m bench.correctness.simulate_verdict            writes bench/results/verdict_simulation.json
    python -m bench.correctness.simulate_verdict --quick    a small slice, for the tests

What is simulated, by the functions the verdict itself uses:

* fixed split: every image has a difficulty (more in the minority class, where the classes are unequal), every variant
  finds some images easier than others do, every seed is better or worse as a whole and differs by chance image by
  image; a model is right where the sum of these normal terms is positive, so the true accuracy has a closed form. A
  study is a baseline and 4 variants, corrected by Holm.
* resplit: real training, of a nearest-mean classifier on normal features, on splits of one pool of images, drawn by
  every seed. Its accuracy on new images has a closed form given the weights.

Counted per setting: how often the 95 % interval holds the true difference (target 93..97 %), how often a study calls
at least one useless variant helpful (target: at most 5 %) or takes any wrong decision about one, how often a true gain
is found, and how often the plain t interval over seeds would have held the truth.
"""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from convnet.comparison.random_effects import Estimate, balanced_values, crossed_estimate, image_step
from convnet.comparison.repeated_splits import resplit_estimate
from convnet.comparison.statistics import holm, t_interval
from convnet.comparison.verdict import decisions
from convnet.system.files import write_json
from convnet.system.progress import progress

Floats = npt.NDArray[np.floating[Any]]

RESULTS = Path(__file__).parents[1] / "results" / "verdict_simulation.json"
SEED = 20240501
# Standard deviations on the latent scale on which a model is right above 0.
DIFFICULTY, TASTE, CHANCE = 1.5, 0.5, 0.7
HARDER = 0.8  # by which images of the minority class are harder
NO_GAIN = (0.0, 0.0, 0.0, 0.0)
SOME_GAIN = (0.0, 0.0, 0.03, 0.10)  # shares of accuracy


class Setting(NamedTuple):
    """One simulated kind of study with a fixed split."""

    accuracy: float  # of the baseline
    seeds: int
    images: int
    seed_deviation: float  # latent: how much whole seeds differ
    gains: tuple[float, ...]  # true differences in accuracy, one per variant
    collapse: float = 0.0  # share of seeds that learn nothing
    minority: float = 0.0  # share of images in the smaller, harder of two classes; above 0 balanced accuracy counts


class Counts:
    """What went right and wrong over the studies of one setting."""

    def __init__(self) -> None:
        self.held: list[bool] = []
        self.held_by_seeds: list[bool] = []
        self.found: dict[float, list[bool]] = {}
        self.false_helps: list[bool] = []
        self.false_decisions: list[bool] = []

    def add(self, estimates: Sequence[Estimate], seed_means: Sequence[Floats], truth: Sequence[float]) -> None:
        """Judge one study; `truth` holds the expected difference of each variant."""
        decided = decisions(holm([e.p_value() for e in estimates]), [e.mean for e in estimates])
        useless = [decision for decision, true in zip(decided, truth, strict=True) if true == 0]
        self.false_helps.append("helps" in useless)
        self.false_decisions.append("helps" in useless or "hurts" in useless)
        for estimate, means, true, decision in zip(estimates, seed_means, truth, decided, strict=True):
            lower, upper = estimate.interval()
            self.held.append(lower <= true <= upper)
            plain = t_interval(means)
            if plain is not None:
                self.held_by_seeds.append(plain.lower <= true <= plain.upper)
            if true > 0:
                self.found.setdefault(round(true, 4), []).append(decision == "helps")

    def summary(self) -> dict[str, Any]:
        """Return the rates in percent."""
        return {
            "studies": len(self.false_helps),
            "coverage": percent(self.held),
            "coverage_of_t_interval_over_seeds": percent(self.held_by_seeds) if self.held_by_seeds else None,
            "false_helps": percent(self.false_helps),
            "false_decisions": percent(self.false_decisions),
            "found": {f"{100 * gain:g} points": percent(hits) for gain, hits in sorted(self.found.items())},
        }


def percent(events: Sequence[bool]) -> float:
    """Return the share of true events in percent, one decimal."""
    return round(100 * float(np.mean(events)), 1)


def simulate_fixed(setting: Setting, studies: int, seed: int) -> dict[str, Any]:
    """Return the rates of one setting with a fixed split."""
    generator = np.random.default_rng([SEED, seed])
    counts = Counts()
    scale = np.sqrt(DIFFICULTY**2 + TASTE**2 + CHANCE**2 + setting.seed_deviation**2)
    skills = special.ndtri(setting.accuracy + np.array([0.0, *setting.gains])) * scale
    labels = (np.arange(setting.images) < setting.minority * setting.images).astype(np.int64)
    accuracies = np.stack([special.ndtr((skills - HARDER * label) / scale) for label in range(labels.max() + 1)])
    truth = [float(gain) for gain in (accuracies[:, 1:] - accuracies[:, :1]).mean(axis=0) * (1 - setting.collapse)]
    step = image_step(labels)
    shape = (len(skills), setting.seeds, setting.images)
    for _ in range(studies):
        latent = CHANCE * generator.standard_normal(shape, dtype=np.float32)
        latent += DIFFICULTY * generator.standard_normal((1, 1, setting.images), dtype=np.float32)
        latent += TASTE * generator.standard_normal((len(skills), 1, setting.images), dtype=np.float32)
        latent += setting.seed_deviation * generator.standard_normal((len(skills), setting.seeds, 1), dtype=np.float32)
        correct = latent + skills[:, None, None] - HARDER * labels > 0
        if setting.collapse:
            collapsed = generator.random((len(skills), setting.seeds, 1)) < setting.collapse
            correct = np.where(collapsed, generator.random(shape) < 0.5, correct)
        differences = correct[1:].astype(np.float64) - correct[0]
        if setting.minority:
            differences = np.stack([balanced_values(table, labels) for table in differences])
        estimates = [crossed_estimate(table, step)[0] for table in differences]
        counts.add(estimates, [table.mean(axis=1) for table in differences], truth)
    return {**setting._asdict(), **counts.summary()}


TRAIN_SHARE, TEST_SHARE, FEATURES = 0.6, 0.2, 8
TRAINING_NOISE = 0.15  # of the weights, by seed: what initial values and batch order do to a network


class ResplitSetting(NamedTuple):
    """One simulated kind of study in which every seed draws its own split."""

    seeds: int
    gain: float  # how much farther apart the classes lie in the variant's features than in the baseline's
    distance: float = 0.35  # of each class mean from 0 in every feature of the baseline
    pool: int = 400  # images


def simulate_resplit(setting: ResplitSetting, studies: int, seed: int) -> dict[str, Any]:
    """Return the rates of one setting with own splits per seed; one variant against the baseline."""
    generator = np.random.default_rng([SEED, 1, seed])
    distances = (setting.distance, setting.distance + setting.gain)  # each model sees its own 8 features
    train, test = int(setting.pool * TRAIN_SHARE), int(setting.pool * TEST_SHARE)
    # The truth is what training on new pools gives, exactly evaluated: only training sets are sampled.
    truth = 0.0
    if setting.gain:
        truths = [_expected_accuracy(generator, distance, train) for distance in distances]
        truth = truths[1] - truths[0]
    counts = Counts()
    for _ in range(studies):
        labels = generator.integers(0, 2, setting.pool)
        sides = 2 * labels - 1
        features = [generator.standard_normal((setting.pool, FEATURES)) + sides[:, None] * d for d in distances]
        differences, images = [], []
        for _ in range(setting.seeds):
            order = generator.permutation(setting.pool)
            inside, outside = order[:train], order[-test:]
            correct = []
            for values in features:
                weights = (values[inside] * sides[inside, None]).mean(axis=0)
                weights = weights + TRAINING_NOISE * generator.standard_normal(FEATURES)
                correct.append((values[outside] @ weights > 0) == (labels[outside] == 1))
            differences.append(correct[1].astype(np.float64) - correct[0])
            images.append(outside)
        estimate = resplit_estimate(differences, images)
        counts.add([estimate], [np.array([values.mean() for values in differences])], [truth])
    return {**setting._asdict(), "true_difference": round(truth, 4), **counts.summary()}


def _expected_accuracy(generator: np.random.Generator, distance: float, train: int, draws: int = 200_000) -> float:
    weights = distance + generator.standard_normal((draws, FEATURES)) * np.sqrt(1 / train + TRAINING_NOISE**2)
    return float(special.ndtr(distance * weights.sum(axis=1) / np.linalg.norm(weights, axis=1)).mean())


def settings(quick: bool) -> dict[str, Sequence[Setting | ResplitSetting]]:
    """Return the settings of each group; the stress groups lie beyond the assumptions."""
    if quick:
        fixed = [Setting(0.8, 3, 256, 0.2, NO_GAIN), Setting(0.8, 5, 256, 0.1, SOME_GAIN)]
        return {"fixed_split": fixed, "resplit": [ResplitSetting(5, 0.0)]}
    fixed = [
        Setting(accuracy, seeds, images, deviation, gains)
        for accuracy, seeds, images, deviation, gains in itertools.product(
            (0.7, 0.85), (3, 5, 10), (256, 1000), (0.0, 0.1, 0.3), (NO_GAIN, SOME_GAIN)
        )
    ]
    fixed += [
        Setting(0.85, seeds, images, 0.1, gains, minority=0.2)
        for seeds, images, gains in itertools.product((3, 5, 10), (256, 1000), (NO_GAIN, SOME_GAIN))
    ]
    stress = [
        *(Setting(0.97, seeds, images, 0.1, NO_GAIN) for seeds in (3, 10) for images in (60, 256)),
        *(Setting(0.8, seeds, 256, 0.1, NO_GAIN, collapse=0.1) for seeds in (3, 5, 10)),
        *(Setting(0.8, 1, 256, deviation, NO_GAIN) for deviation in (0.0, 0.1, 0.3)),
    ]
    resplit = [
        ResplitSetting(seeds, gain, pool=pool) for seeds in (3, 5, 10) for gain in (0.0, 0.05) for pool in (400, 2000)
    ]
    # Two wrong test images in 80, and 24 test images in all.
    resplit_stress = [
        ResplitSetting(seeds, 0.0, *rest) for seeds in (3, 5, 10) for rest in ((0.7, 400), (0.35, 120), (0.7, 120))
    ]
    return {"fixed_split": fixed, "stress": stress, "resplit": resplit, "resplit_stress": resplit_stress}


def ranges(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the lowest and highest of each rate, over settings."""
    names = ("coverage", "coverage_of_t_interval_over_seeds", "false_helps", "false_decisions")
    found = {name: [row[name] for row in rows if row[name] is not None] for name in names}
    return {name: {"lowest": min(values), "highest": max(values)} for name, values in found.items() if values}


def main() -> None:
    """Simulate all settings, print the ranges and write every row."""
    parser = argparse.ArgumentParser(description="Count how often the verdict is wrong on studies with known truth.")
    parser.add_argument("--quick", action="store_true", help="a few settings only")
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies per setting")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file to write")
    arguments = parser.parse_args()
    groups = settings(arguments.quick)
    work = [(group, setting) for group, members in groups.items() for setting in members]
    rows: dict[str, list[dict[str, Any]]] = {group: [] for group in groups}
    for number, (group, setting) in enumerate(progress(work, total=len(work), label="simulate", unit="setting")):
        if isinstance(setting, Setting):
            rows[group].append(simulate_fixed(setting, arguments.studies, number))
        else:
            rows[group].append(simulate_resplit(setting, arguments.studies, number))
    summary = {group: ranges(found) for group, found in rows.items()}
    for group, found in summary.items():
        for name, value in found.items():
            print(f"{group:14s} {name:36s} {value['lowest']:5.1f} .. {value['highest']:5.1f} %")
    command = f"python -m bench.correctness.simulate_verdict --studies {arguments.studies}" + (
        " --quick" if arguments.quick else ""
    )
    write_json(arguments.out, {"command": command, "unit": "percent", "ranges": summary, "settings": rows})


if __name__ == "__main__":
    main()
