"""Studies with known truth, and the rates at which the verdict on them is wrong: one function per kind of study."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from convnet.comparison.decisions import MARGIN, decide, find_leader
from convnet.comparison.power import images_needed, plan_seeds
from convnet.comparison.random_effects import (
    Components,
    Estimate,
    balanced_values,
    by_groups,
    crossed_estimate,
    image_step,
    separate_estimate,
)
from convnet.comparison.repeated_splits import resplit_estimate
from convnet.comparison.statistics import t_interval

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]

SEED = 20240501
# Standard deviations on the latent scale on which a model is right above 0.
DIFFICULTY, TASTE, CHANCE = 1.5, 0.5, 0.7
HARDER = 0.8  # by which images of the smallest class are harder
CLUSTERED = 0.8  # share of the variance of difficulty and taste that images of one cluster have in common
FAILED = 0.5  # accuracy of a failed training


class Setting(NamedTuple):
    """One simulated kind of study with a fixed split."""

    accuracy: float  # of the baseline
    seeds: int
    images: int
    seed_deviation: float  # latent: how much whole seeds differ
    gains: tuple[float, ...]  # true differences in accuracy, one per variant
    variant_deviation: float | None = None  # latent, of the variants' seeds; None: as the baseline's
    unlike: bool = False  # the variants train another network than the baseline
    failing: float = 0.0  # share of seeds that learn nothing
    shares: tuple[float, ...] = ()  # of the classes, which are harder the smaller they are; balanced accuracy counts
    cluster: int = 1  # images of one scene


class Counts:
    """What went right and wrong over the studies of one setting."""

    def __init__(self) -> None:
        self.rates: dict[str, list[bool]] = {}

    def count(self, name: str, event: bool) -> None:
        """Count one event or its absence."""
        self.rates.setdefault(name, []).append(bool(event))

    def add(self, estimates: Sequence[Estimate], seed_means: Sequence[Floats], truth: Sequence[float]) -> list[str]:
        """Judge one study and return its decisions; `truth` holds the expected difference of each variant."""
        decided = [row.decision for row in decide(estimates)]
        false = [is_false(decision, true) for decision, true in zip(decided, truth, strict=True)]
        helps = [decision == "helps" for decision in decided]
        self.count("false_helps", any(h and true <= 0 for h, true in zip(helps, truth, strict=True)))
        self.count("false_decisions", any(false))
        for estimate, means, true, decision in zip(estimates, seed_means, truth, decided, strict=True):
            lower, upper = estimate.interval()
            self.count("coverage", lower <= true <= upper)
            plain = t_interval(means)
            if plain is not None:
                self.count("coverage_of_t_interval_over_seeds", plain.lower <= true <= plain.upper)
            if true > 0:
                self.count(f"found {100 * true:.1f} points", decision == "helps")
            if abs(true) < MARGIN:
                self.count("found no relevant difference", decision == "no relevant difference")
        return list(decided)

    def add_headline(self, helpers: Sequence[int], tables: Floats, truth: Sequence[float], units: "Units") -> None:
        """Judge the headline of one study: which helper is ahead of every other.

        Args:
            helpers: indices of the variants that are decided to help.
            tables: (variants, seeds, images) differences to the baseline.
            truth: as for `add`.
            units: makes estimates.
        """
        pairs = list(itertools.combinations(helpers, 2))
        estimates = [units.paired(tables[a] - tables[b])[0] for a, b in pairs]
        words = {"helps": 0, "hurts": 1}
        ahead = {
            (str(a), str(b)): str((a, b)[words[row.decision]]) if row.decision in words else None
            for (a, b), row in zip(pairs, decide(estimates, margin=0.0), strict=True)
        }
        leader = find_leader([str(helper) for helper in helpers], ahead)
        order = sorted(truth)
        best = [i for i, true in enumerate(truth) if true == order[-1]]
        self.count("false_headlines", leader is not None and (len(best) > 1 or int(leader) != best[0]))
        wrong = [w is not None and truth[int(w)] <= truth[int(b if w == a else a)] for (a, b), w in ahead.items()]
        self.count("false_pairs", any(wrong))
        if len(best) == 1 and order[-1] > order[-2]:
            self.count("found the leader", leader == str(best[0]))

    def summary(self) -> dict[str, Any]:
        """Return the rates in percent."""
        return {"studies": len(self.rates["false_decisions"])} | {
            name: percent(events) for name, events in sorted(self.rates.items())
        }


def is_false(decision: str, true: float) -> bool:
    """Return whether a decision is wrong about a true difference."""
    if decision == "helps":
        return true <= 0
    if decision == "hurts":
        return true >= 0
    return decision == "no relevant difference" and abs(true) >= MARGIN - 1e-9


def percent(events: Sequence[bool]) -> float:
    """Return the share of true events in percent, one decimal."""
    return round(100 * float(np.mean(events)), 1)


class Units:
    """The test images of a setting, and estimates over them."""

    def __init__(self, setting: Setting) -> None:
        shares = np.array(setting.shares or (1.0,))
        position = (np.arange(setting.images) + 0.5) / setting.images
        # Clusters are whole scenes of one class, so labels follow the order of images.
        self.labels: Integers = np.searchsorted(np.cumsum(shares) / shares.sum(), position).astype(np.int64)
        self.groups: Integers = np.arange(setting.images) // setting.cluster
        self.balanced = bool(setting.shares)
        largest = shares.max()
        spread = largest - shares.min()
        self.harder = HARDER * (largest - shares) / spread if spread else np.zeros(len(shares))  # by class
        self.step = image_step(self.labels) if self.balanced else 1.0

    def table(self, values: Floats) -> Floats:
        """Return (seeds, units)."""
        if self.balanced:
            values = balanced_values(values, self.labels, self.groups)
        return by_groups(values, self.groups)

    def paired(self, differences: Floats) -> tuple[Estimate, Components | None]:
        """Estimate from (seeds, images) differences."""
        return crossed_estimate(self.table(differences), self.step, len(self.labels))

    def apart(self, variant: Floats, baseline: Floats) -> tuple[Estimate, Components | None]:
        """Estimate from (seeds, images) of two networks."""
        return separate_estimate(self.table(variant), self.table(baseline), self.step, len(self.labels))


class Studies:
    """Draws studies of one setting."""

    def __init__(self, setting: Setting, generator: np.random.Generator) -> None:
        self.setting, self.generator, self.units = setting, generator, Units(setting)
        own = setting.seed_deviation if setting.variant_deviation is None else setting.variant_deviation
        self.deviations = np.array([setting.seed_deviation, *[own] * len(setting.gains)])
        self.scales = np.sqrt(DIFFICULTY**2 + TASTE**2 + CHANCE**2 + self.deviations**2)
        self.skills = special.ndtri(setting.accuracy + np.array([0.0, *setting.gains])) * self.scales
        by_class = special.ndtr((self.skills[:, None] - self.units.harder) / self.scales[:, None]).mean(axis=1)
        self.truth = [float(gain) for gain in (by_class[1:] - by_class[0]) * (1 - setting.failing)]
        # An exact zero or margin must stay one.
        self.truth = [round(true, 9) for true in self.truth]

    def draw(self, seeds: int) -> npt.NDArray[np.bool_]:
        """Return (variants, seeds, images): right or not."""
        setting, normal = self.setting, self.generator.standard_normal
        shape = (len(self.skills), seeds, setting.images)
        latent = CHANCE * normal(shape, dtype=np.float32)
        latent += self._of_images(DIFFICULTY, (1, 1))
        latent += self._of_images(TASTE, (len(self.skills), 1))
        latent += self.deviations[:, None, None] * normal((len(self.skills), seeds, 1), dtype=np.float32)
        correct = latent + self.skills[:, None, None] - self.units.harder[self.units.labels] > 0
        if setting.failing:
            failed = self.generator.random((len(self.skills), seeds, 1)) < setting.failing
            correct = np.where(failed, self.generator.random(shape) < FAILED, correct)
        return np.asarray(correct)

    def _of_images(self, deviation: float, shape: tuple[int, ...]) -> Floats:
        """Return one normal effect per image; images of one cluster have most of it in common."""
        images, groups = self.setting.images, self.units.groups
        effects: Floats = self.generator.standard_normal((*shape, images), dtype=np.float32)
        if self.setting.cluster > 1:
            common = self.generator.standard_normal((*shape, int(groups[-1]) + 1), dtype=np.float32)[..., groups]
            effects = np.float32(np.sqrt(CLUSTERED)) * common + np.float32(np.sqrt(1 - CLUSTERED)) * effects
        return np.float32(deviation) * effects


def simulate_fixed(setting: Setting, studies: int, seed: int) -> dict[str, Any]:
    """Return the rates of one setting with a fixed split."""
    made = Studies(setting, np.random.default_rng([SEED, seed]))
    units, counts = made.units, Counts()
    for _ in range(studies):
        correct = made.draw(setting.seeds).astype(np.float64)
        differences = correct[1:] - correct[0]
        if setting.unlike:
            estimates = [units.apart(table, correct[0])[0] for table in correct[1:]]
            for table, true in zip(differences, made.truth, strict=True):
                paired = units.paired(table)[0]
                counts.count(f"found {100 * true:.1f} points by pairs", paired.p_value() <= 0.05 and paired.mean > 0)
            for estimate, true in zip(estimates, made.truth, strict=True):
                counts.count(f"found {100 * true:.1f} points alone", estimate.p_value() <= 0.05 and estimate.mean > 0)
        else:
            estimates = [units.paired(table)[0] for table in differences]
        decided = counts.add(estimates, [units.table(table).mean(axis=1) for table in differences], made.truth)
        helpers = [i for i, decision in enumerate(decided) if decision == "helps"]
        counts.add_headline(helpers, differences, made.truth, units)
        if setting.cluster > 1:
            for table, true in zip(differences, made.truth, strict=True):
                lower, upper = crossed_estimate(table)[0].interval()
                counts.count("coverage_with_images_as_units", lower <= true <= upper)
    return {**setting._asdict(), **counts.summary()}


def simulate_plan(setting: Setting, studies: int, seed: int) -> dict[str, Any]:
    """Return how often an open comparison is decided with the seeds or the test images that its plan names."""
    most_seeds, times = setting.seeds + 10, 4
    larger = setting._replace(images=times * setting.images)
    made = Studies(larger, np.random.default_rng([SEED, 2, seed]))
    counts = Counts()
    for _ in range(studies):
        correct = made.draw(most_seeds).astype(np.float64)
        differences = correct[1] - correct[0]
        order = made.generator.permutation(larger.images)  # clusters are 1 here

        def part(seeds: int, images: int, table: Floats = differences, order: Integers = order) -> Floats:
            return table[:seeds, order[:images]]

        estimate, components = crossed_estimate(part(setting.seeds, setting.images))
        is_open = estimate.p_value() > 0.05
        counts.count("false_decisions", not is_open and made.truth[0] * estimate.mean <= 0)
        if not is_open or components is None:
            continue
        plan = plan_seeds(estimate, 0.05, margin=0.0)
        if plan is not None:
            later, _ = crossed_estimate(part(setting.seeds + plan.more, setting.images))
            enough, tens = later.p_value() <= 0.05, 10 * round(10 * plan.probability)
            counts.count(f"enough: {_seeds_words(plan.more)}", enough)
            counts.count(f"enough: stated {tens} %", enough)
        images = images_needed(estimate, components, 0.05)
        if images is not None and images <= larger.images:
            later, _ = crossed_estimate(part(setting.seeds, images))
            counts.count("enough: up to 4 times the test images", later.p_value() <= 0.05)
    return {**setting._asdict(), **counts.summary()}


def _seeds_words(more: int) -> str:
    return "1 more seed" if more == 1 else "2 to 5 more seeds" if more <= 5 else "6 to 10 more seeds"


TRAIN_SHARE, TEST_SHARE, FEATURES = 0.6, 0.2, 8
TRAINING_NOISE = 0.15  # of the weights, by seed: what initial values and batch order do to a network


class ResplitSetting(NamedTuple):
    """One simulated kind of study in which every seed draws its own split."""

    seeds: int
    gain: float  # how much farther apart the classes are in the variant's features than in the baseline's
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
